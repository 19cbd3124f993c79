"""Every request in the pages about HTTP, sent as written; and answered as written there.

A page is a story: its requests are sent in their order to a server of its own. `<a name>` in an answer stands for text
that is another every time; in a later request it stands for the text that it was. A block that shows no body has it
not compared; `<vectors.npy>` as a body is a NumPy file.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.http.client import Client, npy
from tests.http.documented import routes
from tests.http.server import ServerProcess

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted((DOCS / "http").glob("*.md"))
VECTORS = npy(np.eye(2, 4, dtype=np.float32))

_BLOCK = re.compile(r"^```http\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_REQUEST = re.compile(r"([A-Z]+) (/\S*) HTTP/1\.1")
_STATUS = re.compile(r"HTTP/1\.1 (\d{3}) [A-Z].*")
_NAME = re.compile(r"<([a-z][a-z ]*)>")


class Block:
    """A request or an answer: its first line, its headers, and its body as text."""

    def __init__(self, text: str) -> None:
        head, _, body = text.partition("\n\n")
        self.first, *lines = head.strip().split("\n")
        self.headers = dict(line.split(": ", 1) for line in lines)
        self.body = body.strip()


def pairs(page: Path) -> list[tuple[Block, Block]]:
    """The requests of a page, each with its answer."""
    blocks = [Block(text) for text in _BLOCK.findall(page.read_text())]
    asked, answered = blocks[::2], blocks[1::2]
    for block in asked:
        assert _REQUEST.fullmatch(block.first), f"{page.name}: {block.first!r} is no request"
    for block in answered:
        assert _STATUS.fullmatch(block.first), f"{page.name}: {block.first!r} is no answer"
    assert len(asked) == len(answered), page.name
    return list(zip(asked, answered, strict=True))


class Story:
    """What the names of a page stand for, as far as it has been told."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def told(self, text: str) -> str:
        """Text with what is known in the place of its name."""
        return _NAME.sub(lambda found: self.known.get(found[1], found[0]), text)

    def is_same(self, shown: Any, got: Any) -> bool:
        """Whether an answer is the one shown; learns what its names stand for."""
        if isinstance(shown, str) and isinstance(got, str):
            return self._is_text(shown, got)
        if isinstance(shown, dict) and isinstance(got, dict):
            # In the same order, too: the page shows what one sees.
            return list(shown) == list(got) and all(self.is_same(shown[key], got[key]) for key in shown)
        if isinstance(shown, list) and isinstance(got, list):
            return len(shown) == len(got) and all(map(self.is_same, shown, got))
        return type(shown) is type(got) and bool(shown == got)

    def _is_text(self, shown: str, got: str) -> bool:
        pattern, names = "", []
        for number, part in enumerate(_NAME.split(self.told(shown))):
            pattern += "(.+?)" if number % 2 else re.escape(part)
            names += [part] if number % 2 else []
        found = re.fullmatch(pattern, got, re.DOTALL)
        if found is None:
            return False
        for name, text in zip(names, found.groups(), strict=True):
            # Every answer has an id of its own.
            if name != "request id":
                self.known[name] = text
        return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_the_pages_show_is_what_happens(start: Callable[..., ServerProcess], page: Path) -> None:
    client = Client(start().port)
    story = Story()
    shown = pairs(page)
    assert shown
    for asked, answered in shown:
        method, target = story.told(asked.first).split(" ")[:2]
        body = VECTORS if asked.body == "<vectors.npy>" else story.told(asked.body).encode() or None
        answer = client.request(method, target, body, asked.headers)
        where = f"{page.name}: {asked.first}\n{asked.body}\n-> {answer.status}\n{answer.body.decode()}"
        assert answered.first.startswith(f"HTTP/1.1 {answer.status} "), where
        for name, value in answered.headers.items():
            assert story.is_same(value, answer.headers.get(name.lower())), f"{where}\n{name}"
        if answered.body:
            assert story.is_same(json.loads(answered.body), answer.json), where


def test_every_endpoint_is_shown() -> None:
    shown = {
        (method, target.partition("?")[0])
        for page in PAGES
        for asked, answered in pairs(page)
        for method, target in [asked.first.split(" ")[:2]]
        if int(answered.first.split(" ")[1]) < 400
    }
    served = {
        (method, path)
        for path, methods in routes().items()
        for method in methods
        if method != "HEAD" and not path.startswith("/docs/")
    }
    assert served - shown == set()


def test_every_page_is_linked() -> None:
    index = (DOCS / "http.md").read_text()
    assert [page.name for page in PAGES if f"(http/{page.name})" not in index] == []


def test_an_answer_that_is_another_is_found() -> None:
    story = Story()
    assert story.is_same({"a": ["<x>_0", 1.0]}, {"a": ["b_0", 1.0]})
    assert story.known == {"x": "b"}
    for shown, got in [
        ("<x>", "c"),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ([1], [1, 2]),
        (1, True),
        (1, 1.0),
        (None, "a"),
    ]:
        assert not story.is_same(shown, got), (shown, got)
