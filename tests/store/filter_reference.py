"""What filters mean, a second time: expressions as trees, made at random, written down, and evaluated in plain Python.

Written from the wire contract's rules, not from the engine: a comparison with a key that is not there, or with a value
of another type, is false, `!=` and `not in` included; `not` is plain negation; numbers compare by value; `like` knows
`%` and `\\`.
"""

import itertools
import json
import random
import re
from dataclasses import dataclass
from typing import Any

SOURCE, CHUNK = "source_id", "chunk_id"


@dataclass(frozen=True)
class Row:
    source_id: str
    chunk_id: str
    metadata: str | None


@dataclass(frozen=True)
class Path:
    steps: tuple[str | int, ...]


Field = str | Path


@dataclass(frozen=True)
class Tested:
    field: Field
    operator: str
    value: Any


@dataclass(frozen=True)
class Joined:
    operator: str
    parts: tuple["Expression", ...]


@dataclass(frozen=True)
class Negated:
    part: "Expression"


Expression = Tested | Joined | Negated

_ABSENT = object()


def evaluate(expression: Expression, row: Row) -> bool:
    match expression:
        case Joined("and", parts):
            return all(evaluate(part, row) for part in parts)
        case Joined(_, parts):
            return any(evaluate(part, row) for part in parts)
        case Negated(part):
            return not evaluate(part, row)
        case Tested(field, operator, operand):
            return _holds(_look_up(field, row), operator, operand)


def _look_up(field: Field, row: Row) -> Any:
    if isinstance(field, str):
        return row.source_id if field == SOURCE else row.chunk_id
    value: Any = {} if row.metadata is None else json.loads(row.metadata)
    for step in field.steps:
        if isinstance(step, str):
            if not isinstance(value, dict) or step not in value:
                return _ABSENT
        elif not isinstance(value, list) or step >= len(value):
            return _ABSENT
        value = value[step]
    return value


def _kind(value: Any) -> str | None:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else None


def _holds(value: Any, operator: str, operand: Any) -> bool:
    if value is _ABSENT:
        return False
    if operator == "exists":
        return True
    kind = _kind(value)
    if kind is None:
        return False
    if operator == "in":
        return any(_kind(one) == kind and one == value for one in operand)
    if operator == "not in":
        alike = [one for one in operand if _kind(one) == kind]
        return bool(alike or not operand) and value not in alike
    if operator == "like":
        return kind == "string" and re.fullmatch(
            ".*".join(map(re.escape, operand)), value, re.DOTALL
        ) is not None  # fmt: skip
    if _kind(operand) != kind:
        return False
    match operator:
        case "==":
            return bool(value == operand)
        case "!=":
            return bool(value != operand)
        case "<":
            return bool(value < operand)
        case "<=":
            return bool(value <= operand)
        case ">":
            return bool(value > operand)
        case _:
            return bool(value >= operand)


_NUMBERS = [
    *(
        "0",
        "-0",
        "-0.0",
        "1",
        "1.0",
        "1e0",
        "-1",
        "2",
        "3",
        "3.5",
        "-3.5",
        "0.1",
        "0.30000000000000004",
        "1e2",
        "100",
    ),
    *(
        "9007199254740992",
        "9007199254740993",
        "9007199254740992.0",
        "-9007199254740993",
        "9223372036854775807",
    ),
    *("9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551616"),
    *(
        "1e30",
        "1000000000000000000000000000000",
        "1000000000000000019884624838656",
        "1.7976931348623157e308",
        "5e-324",
    ),
]
_TEXTS = [
    *(
        "",
        "a",
        "A",
        "ab",
        "abc",
        "abcabc",
        "b",
        "ä",
        "a\u0308",
        "🦀",
        "🦀🦀",
        "a%b",
        "a_b",
        "a\\b",
        "\\",
        "%",
        "10",
        "1",
    ),
    *(
        'say "x"',
        "it's",
        "line\nbreak",
        "tab\t",
        "\u0000",
        "\uffff",
        "true",
        "null",
        "metadata",
        "a b",
        "/",
        "\uff46",
    ),
]
_KEYS = ["a", "b", "c", "ключ", "a b", 'q"uote', "back\\slash", "it's", ""]


class Maker:
    """Makes rows and expressions that have something to do with each other."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def metadata(self, depth: int = 0) -> str:
        """An object's text as some client may write it: white space, escapes, keys that come twice."""
        members = []
        for _ in range(self.random.choice((0, 1, 2, 3, 5))):
            members.append(
                f"{self._json(self.random.choice(_KEYS))}{self._white()}:{self._member(depth + 1)}"
            )
        return "{" + ",".join(f"{self._white()}{member}{self._white()}" for member in members) + "}"

    def _member(self, depth: int) -> str:
        kind = self.random.random()
        if kind < 0.35:
            return self._json(self.random.choice(_TEXTS))
        if kind < 0.7:
            return self.random.choice([*_NUMBERS, "1e999", "-1e999"])
        if kind < 0.85 or depth > 3:
            return self.random.choice(("true", "false", "null"))
        if kind < 0.93:
            return self.metadata(depth)
        return "[" + ", ".join(self._member(depth + 1) for _ in range(self.random.randrange(4))) + "]"

    def _white(self) -> str:
        return self.random.choice(("", "", "", " ", "\n", "\t "))

    def _json(self, text: str) -> str:
        written = json.dumps(text, ensure_ascii=self.random.random() < 0.3)
        if self.random.random() < 0.2:
            written = '"' + "".join(f"\\u{ord(c):04x}" if ord(c) < 65536 else c for c in text) + '"'
        return written

    def expression(self, ids: list[str], depth: int = 0) -> Expression:
        kind = self.random.random()
        if depth > 4 or kind < 0.45:
            return self._test(ids)
        if kind < 0.6:
            return Negated(self.expression(ids, depth + 1))
        parts = tuple(self.expression(ids, depth + 1) for _ in range(self.random.choice((2, 2, 3))))
        return Joined(self.random.choice(("and", "or")), parts)

    def _test(self, ids: list[str]) -> Tested:
        chosen = self.random.random()
        field: Field = Path(self._path())
        if chosen < 0.1:
            field = SOURCE
        elif chosen < 0.2:
            field = CHUNK
        elif chosen < 0.3:
            return Tested(field, "exists", None)
        texts = ids if isinstance(field, str) and self.random.random() < 0.8 else _TEXTS
        operator = self.random.choice(("==", "!=", "<", "<=", ">", ">=", "in", "not in", "like"))
        match operator:
            case "in" | "not in":
                count = self.random.choice((0, 1, 2, 5))
                return Tested(field, operator, tuple(self._operand(texts) for _ in range(count)))
            case "like":
                text = self.random.choice(texts)
                cut = sorted(
                    self.random.randrange(len(text) + 1) for _ in range(self.random.choice((0, 1, 2, 3)))
                )
                bounds = [0, *cut, len(text)]
                parts = [text[a:b] for a, b in itertools.pairwise(bounds)]
                return Tested(
                    field, operator, tuple(p if self.random.random() < 0.7 else p[:1] for p in parts)
                )
            case "==" | "!=":
                return Tested(field, operator, self._operand(texts))
            case _:
                operand = self._operand(texts)
                while isinstance(operand, bool):
                    operand = self._operand(texts)
                return Tested(field, operator, operand)

    def _path(self) -> tuple[str | int, ...]:
        steps: list[str | int] = [self.random.choice(_KEYS)]
        while self.random.random() < 0.25:
            further: list[str | int] = [*_KEYS[:3], 0, 1]
            steps.append(self.random.choice(further))
        return tuple(steps)

    def _operand(self, texts: list[str]) -> Any:
        kind = self.random.random()
        if kind < 0.45:
            return self.random.choice(texts)
        return json.loads(self.random.choice(_NUMBERS)) if kind < 0.9 else self.random.random() < 0.5

    # Writing.

    def text(self, expression: Expression) -> str:
        match expression:
            case Tested():
                return self._text_of_test(expression)
            case Negated(part):
                inside = self.text(part)
                if isinstance(part, Joined) or self.random.random() < 0.3:
                    inside = f"({inside})"
                return self.random.choice(("not ", "NOT ", "!", "! ")) + inside
            case Joined(operator, parts):
                written = []
                for part in parts:
                    text = self.text(part)
                    binds_less = isinstance(part, Joined) and (operator == "and" or part.operator == operator)
                    written.append(f"({text})" if binds_less or self.random.random() < 0.2 else text)
                signs = {"and": ("and", "&&", "AND", "And"), "or": ("or", "||", "OR")}[operator]
                return f" {self.random.choice(signs)} ".join(written)

    def _text_of_test(self, test: Tested) -> str:
        field = test.field if isinstance(test.field, str) else self._text_of_path(test.field)
        gap = self.random.choice(("", " ", "  "))
        match test.operator:
            case "exists":
                return f"{self.random.choice(('exists', 'EXISTS'))} {field}"
            case "like":
                pattern = "%".join(part.replace("\\", "\\\\").replace("%", "\\%") for part in test.value)
                return f"{field} like {self._literal(pattern)}"
            case "in" | "not in":
                comma = "," if test.value and self.random.random() < 0.2 else ""
                return f"{field} {test.operator} [{', '.join(map(self._literal, test.value))}{comma}]"
            case operator:
                literal = self._literal(test.value)
                if self.random.random() < 0.3:
                    mirrored = operator.translate(str.maketrans("<>", "><"))
                    return f"{literal}{gap}{mirrored}{gap}{field}"
                return f"{field}{gap}{operator}{gap}{literal}"

    def _text_of_path(self, path: Path) -> str:
        steps = (str(step) if isinstance(step, int) else self._literal(step) for step in path.steps)
        return "metadata" + "".join(f"[{step}]" for step in steps)

    def _literal(self, value: Any) -> str:
        if isinstance(value, bool):
            return self.random.choice((str(value), str(value).lower()))
        if isinstance(value, int | float):
            return repr(value)
        quote = self.random.choice("'\"")
        written: str = value.replace("\\", "\\\\").replace(quote, f"\\{quote}")
        if self.random.random() < 0.3:
            written = written.replace("\n", "\\n").replace("\t", "\\t").replace("\u0000", "\\u0000")
            written = written.replace("🦀", "\\ud83e\\udd80").replace("ä", "\\u00e4")
        return quote + written + quote
