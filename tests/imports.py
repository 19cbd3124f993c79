"""What each module imports, read from its source: Rust by its tokens, Python by its syntax tree."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Import:
    """One module of a crate or package naming another; both as paths from its root: `("graph", "build")`."""

    importer: tuple[str, ...]
    target: tuple[str, ...]
    file: Path
    line: int


_RUST_NOISE = re.compile(
    r"""//[^\n]* | /\*.*?\*/ | b?r(?P<fence>\#*)".*?"(?P=fence) | b?"(?:\\.|[^"\\])*" | b?'(?:\\.[^']*|[^'\\\n])'""",
    re.VERBOSE | re.DOTALL,
)
_RUST_TOKEN = re.compile(r"\w+|::|[{}*,;]")


def rust_code(source: str) -> str:
    """The source with comments and literals blanked, line breaks kept."""
    return _RUST_NOISE.sub(lambda noise: re.sub(r"[^\n]", " ", noise[0]), source)


def rust_module(file: Path, root: Path) -> tuple[str, ...]:
    """The path of the module that a file holds; `()` for `lib.rs`."""
    parts = file.relative_to(root).with_suffix("").parts
    return parts[:-1] if parts[-1] in ("mod", "lib") else parts


def rust_imports(file: Path, root: Path, source: str | None = None) -> Iterator[Import]:
    """Every `crate::..` and `super::..` path of a file, in `use` trees and in expressions alike."""
    code = rust_code(file.read_text() if source is None else source)
    tokens = [(token[0], token.start()) for token in _RUST_TOKEN.finditer(code)]
    words = [word for word, _ in tokens] + ["", ""]
    own = rust_module(file, root)
    inline: list[tuple[str, int]] = []  # names of the inline modules around the token, with their depth
    depth = 0
    for at, (word, offset) in enumerate(tokens):
        if word == "{":
            depth += 1
            if at >= 2 and words[at - 2] == "mod":
                inline.append((words[at - 1], depth))
        elif word == "}":
            if inline and inline[-1][1] == depth:
                inline.pop()
            depth -= 1
        elif word in ("crate", "super") and words[at + 1] == "::" and (at == 0 or words[at - 1] != "::"):
            base = () if word == "crate" else (*own, *(name for name, _ in inline))[:-1]
            at += 2
            while word == "super" and words[at] == "super" and words[at + 1] == "::":
                base = base[:-1]
                at += 2
            line = code.count("\n", 0, offset) + 1
            for path in _use_tree(words, at):
                importer = (*own, *(name for name, _ in inline)) if own else ()
                yield Import(importer, (*base, *path), file, line)


def _use_tree(words: list[str], at: int) -> Iterator[tuple[str, ...]]:
    """The paths of the use tree that starts at `at`: `a::{b, c::d}` gives `a::b` and `a::c::d`."""
    path: tuple[str, ...] = ()
    while words[at] not in ("{", "*", ""):
        path = (*path, words[at])
        if words[at + 1] != "::":
            yield path
            return
        at += 2
    if words[at] != "{":
        yield path
        return
    depth, at = 1, at + 1
    while depth and words[at]:
        if depth == 1 and words[at] not in (",", "}"):
            yield from ((*path, *rest) for rest in _use_tree(words, at))
            while depth and words[at] and not (depth == 1 and words[at] in (",", "}")):
                depth += {"{": 1, "}": -1}.get(words[at], 0)
                at += 1
            continue
        depth -= words[at] == "}"
        at += 1


def python_module(file: Path, root: Path) -> tuple[str, ...]:
    """The path of the module that a file holds, below the package; `()` for the package's `__init__.py`."""
    parts = file.relative_to(root).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def python_imports(file: Path, root: Path, source: str | None = None) -> Iterator[Import]:
    """Every import of the package's own modules in a file, wherever it stands."""
    own = python_module(file, root)
    package = own if file.stem == "__init__" else own[:-1]
    tree = ast.parse(file.read_text() if source is None else source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
            targets = [name[1:] for name in names if name[0] == root.name]
        elif isinstance(node, ast.ImportFrom):
            base = tuple(node.module.split(".")) if node.module else ()
            if node.level:
                base = (*package[: len(package) - node.level + 1], *base)
            elif base[0] == root.name:
                base = base[1:]
            else:
                continue
            targets = [(*base, alias.name) for alias in node.names]
        else:
            continue
        for target in targets:
            yield Import(own, target, file, node.lineno)
