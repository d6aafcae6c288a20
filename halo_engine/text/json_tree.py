"""JSON as a tree of ranges: where in a text each value is, so that it can be shown in another form.

The literals of Python are read as well: many tools return the ``str`` of a dictionary. Values are
not decoded: a number keeps its digits, a string its escapes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MAX_DEPTH = 60
# JSON is looked for where a line begins.
LINE_START = re.compile(r"^[ \t]*(?=[\[{])", re.MULTILINE)

SPACE = re.compile(r"\s*")
STRING = re.compile(r""""[^"\\]*(?:\\.[^"\\]*)*"|'[^'\\]*(?:\\.[^'\\]*)*'""", re.DOTALL)
LITERAL = re.compile(r"-?\d[\d.eE+-]*|(?:null|true|false|None|True|False|NaN|-?Infinity)\b")

Shape = tuple[object, ...]


class NoJsonHere(ValueError):
    """A text is not JSON from ``at`` on."""

    def __init__(self, at: int) -> None:
        super().__init__(f"no JSON at character {at}")
        self.at = at


@dataclass
class JsonValue:
    """A value and its range in the text.

    ``members`` are those of an array or an object, ``keys`` the keys of an object without quotation
    marks and with their ranges; ``shape`` is the same for objects with the same keys.
    """

    start: int
    end: int
    members: list[JsonValue] = field(default_factory=list)
    keys: list[JsonKey] = field(default_factory=list)
    shape: Shape | None = None


@dataclass(frozen=True)
class JsonKey:
    """A key of an object."""

    name: str
    start: int
    end: int


def json_values(text: str) -> list[JsonValue]:
    """The arrays and objects that begin a line of ``text``, in order.

    After something that only begins like one, they are looked for where it ceases to: in linear
    time.
    """
    found: list[JsonValue] = []
    at = 0
    while match := LINE_START.search(text, at):
        try:
            found.append(JsonReader(text).value(match.end()))
        except NoJsonHere as error:
            at = max(error.at, match.end() + 1)
        else:
            at = found[-1].end
    return found


def whole_value(text: str) -> JsonValue | None:
    """The value that ``text`` is as a whole; None if it is no array or object."""
    values = json_values(text)
    return values[0] if len(values) == 1 and text.strip() == spelled(text, values[0]) else None


def spelled(text: str, value: JsonValue) -> str:
    """``value`` as it is written in ``text``."""
    return text[value.start : value.end]


class JsonReader:
    """Reads the values in ``text``."""

    def __init__(self, text: str) -> None:
        self._text = text

    def value(self, at: int, depth: int = 0) -> JsonValue:
        """The value that begins at ``at``; raises ``NoJsonHere`` if there is none."""
        opening = self._text[at : at + 1]
        if depth > MAX_DEPTH:
            raise NoJsonHere(at)
        if opening == "{":
            return self._object(at, depth)
        if opening == "[":
            return self._array(at, depth)
        match = STRING.match(self._text, at) or LITERAL.match(self._text, at)
        if not match:
            raise NoJsonHere(at)
        return JsonValue(at, match.end())

    def _array(self, start: int, depth: int) -> JsonValue:
        array = JsonValue(start, start)
        at = self._after_space(start + 1)
        while self._text[at : at + 1] != "]":
            array.members.append(self.value(at, depth + 1))
            at = self._next_member(array.members[-1].end, "]")
        array.end = at + 1
        return array

    def _object(self, start: int, depth: int) -> JsonValue:
        found = JsonValue(start, start)
        at = self._after_space(start + 1)
        while self._text[at : at + 1] != "}":
            key = STRING.match(self._text, at)
            if not key:
                raise NoJsonHere(at)
            found.keys.append(JsonKey(key[0][1:-1], at, key.end()))
            colon = self._after_space(key.end())
            if self._text[colon : colon + 1] != ":":
                raise NoJsonHere(colon)
            found.members.append(self.value(self._after_space(colon + 1), depth + 1))
            at = self._next_member(found.members[-1].end, "}")
        found.end = at + 1
        named = zip(found.keys, found.members, strict=True)
        found.shape = tuple((key.name, member.shape) for key, member in named)
        return found

    def _next_member(self, at: int, closing: str) -> int:
        """Where the member after the one that ends at ``at`` begins, or the ``closing`` mark."""
        after = self._after_space(at)
        mark = self._text[after : after + 1]
        if mark == closing:
            return after
        if mark != ",":
            raise NoJsonHere(after)
        return self._after_space(after + 1)

    def _after_space(self, at: int) -> int:
        match = SPACE.match(self._text, at)
        return match.end() if match else at
