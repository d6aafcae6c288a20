"""JSON in less space, for readers: nothing is left out unless it is said so.

White space goes, quotation marks too where a string is plain words, and JSON within a string is
shown as JSON. Where many objects have the same keys, the first is marked, as in
``@1{flight:HAT1,price:58}``, and the next is ``@1{HAT2,70}``. Of what does not fit, long arrays and
objects are summarised: ``[... 14 of 20 items left out; over all: price 58 to 305 ...]``.

Every part of the compact form knows its place in the stored text (``Rendering``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from halo_engine.text.canonical import characters_of
from halo_engine.text.json_tree import (
    LITERAL,
    JsonKey,
    JsonValue,
    Shape,
    json_values,
    spelled,
    whole_value,
)
from halo_engine.text.rendering import Rendering, RenderingBuilder
from halo_engine.text.sanitize import strip_invisible

Range = tuple[int, int]


class Shown(NamedTuple):
    """How many members of a collection are shown, and how deeply nested ones; None: all.

    ``is_brief``: of those that are left out, only the number is said.
    """

    members: int | None = None
    depth: int | None = None
    is_brief: bool = False


# Tried in turn where a text has to be shortened.
SHORTER = (
    *(Shown(members) for members in (24, 12, 6, 3)),
    Shown(3, 3),
    Shown(3, 2),
    Shown(3, 2, is_brief=True),
    Shown(3, 1, is_brief=True),
)
# From how many objects with the same keys on these are named once, and how many keys that takes.
ALIKE_OBJECTS, ALIKE_KEYS = 3, 2
# A value of so many characters is shown however deeply it is nested.
SHORT_VALUE = 60
# From how many keys without a value on these are left out, where a text has to be shortened.
EMPTY_KEYS = 3
# An object with more keys is a collection, not a record, and so is one of objects that are alike.
RECORD_KEYS = 24
# What is said of the members that are left out.
MAX_EXTREMES, MAX_NAMES, MAX_NAME_CHARS = 5, 8, 40
MIN_EXTREMES = 4
# What may stand without quotation marks: neither a mark of JSON nor a literal.
PLAIN = re.compile(r"[^\W_](?:(?:[\w.@/+#&%$* -]|:(?=[\d/]))*[\w%])?")
UNICODE_ESCAPES = re.compile(r"((?:\\u[0-9a-fA-F]{4})+)|\\.", re.DOTALL)
EMPTY_VALUES = frozenset({"null", "None", '""', "''", "[]", "{}"})
NO_SPACE = str.maketrans("", "", " \n\r\t")
ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)", re.DOTALL)
ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


def compact(text: str) -> Rendering:
    """``text`` with the JSON in it compacted."""
    return JsonRenderer(text, Shown(), ()).rendering(json_values(text))


class Shortened(NamedTuple):
    """A text with compact JSON, and whether all of it is there."""

    rendering: Rendering
    is_whole: bool


def shortened(text: str, limit: int, keep: Sequence[Range]) -> Shortened:
    """``text`` with the JSON in it compacted, in ``limit`` characters if that suffices.

    For that, long arrays and objects are summarised, but for the members in the ranges ``keep``.
    """
    values = json_values(text)
    rendering = JsonRenderer(text, Shown(), ()).rendering(values)
    if len(rendering.text) <= limit:
        return Shortened(rendering, is_whole=True)
    for shown in SHORTER if values else ():
        rendering = JsonRenderer(text, shown, keep).rendering(values)
        if len(rendering.text) <= limit:
            break
    return Shortened(rendering, is_whole=False)


class JsonRenderer:
    """Renders ``text`` with compact JSON: what ``shown`` says, and the ranges ``keep``."""

    def __init__(self, text: str, shown: Shown, keep: Sequence[Range]) -> None:
        self._text = text
        self._shown = shown
        self._depth = 0
        self._keep = keep
        self._builder = RenderingBuilder(text)
        self._counts: Counter[Shape] = Counter()
        self._marks: dict[Shape, str] = {}

    def rendering(self, values: Sequence[JsonValue]) -> Rendering:
        """The text with ``values`` in compact form, and what is around them as it is."""
        at = 0
        for value in values:
            self._count(value)
            self._builder.copy(at, value.start)
            self._add(value)
            at = value.end
        self._builder.copy(at, len(self._text))
        return self._builder.rendering()

    def _count(self, value: JsonValue) -> None:
        """Count the objects by shape; those within objects of a shape count once."""
        if value.shape:
            self._counts[value.shape] += 1
        is_known = bool(value.shape) and self._counts[value.shape or ()] > 1
        for member in value.members:
            if not (is_known and member.shape):
                self._count(member)

    def _add(self, value: JsonValue) -> None:
        if not value.members:
            self._add_scalar(value)
            return
        self._depth += 1
        if self._is_too_deep(value):
            summary = self._summary(value, range(len(value.members)))
            self._builder.add(summary, value.start, value.end)
        elif value.keys:
            self._add_object(value)
        else:
            self._add_array(value)
        self._depth -= 1

    def _summary(self, value: JsonValue, left_out: Sequence[int]) -> str:
        """What is said in place of members."""
        if value.keys and all(has_no_value(self._text, value.members[n]) for n in left_out):
            return f"[... {len(left_out)} keys without a value ...]"
        if self._shown.is_brief:
            return f"[... {json_number(value, left_out)} ...]"
        return summary_of(self._text, value, left_out)

    def _is_too_deep(self, value: JsonValue) -> bool:
        """Whether it is nested too deeply, or all that is in a collection is."""
        is_short = value.end - value.start <= SHORT_VALUE
        if self._shown.depth is None or is_short or overlaps(value.start, value.end, self._keep):
            return False
        holds_more = is_collection(value) and any(member.members for member in value.members)
        return self._depth + holds_more > self._shown.depth

    def _add_array(self, array: JsonValue) -> None:
        self._mark("[", array.start)
        self._add_members(array, self._kept_members(array), [None] * len(array.members))
        self._mark("]", array.end)

    def _add_object(self, value: JsonValue) -> None:
        shape = value.shape or ()
        if shape in self._marks:
            self._mark(self._marks[shape], value.start)
            self._add_values(value)
            return
        if self._counts[shape] >= ALIKE_OBJECTS and len(value.keys) >= ALIKE_KEYS:
            self._marks[shape] = f"@{len(self._marks) + 1}"
            self._mark(self._marks[shape], value.start)
            kept = set(range(len(value.members)))
        else:
            kept = self._kept_members(value)
        self._mark("{", value.start)
        self._add_members(value, kept, value.keys)
        self._mark("}", value.end)

    def _add_values(self, value: JsonValue) -> None:
        """An object, and those in it, without keys."""
        self._mark("{", value.start)
        for number, member in enumerate(value.members):
            if number:
                self._mark(",", member.start)
            if member.keys:
                self._add_values(member)
            else:
                self._add(member)
        self._mark("}", value.end)

    def _add_members(
        self, value: JsonValue, kept: set[int], keys: Sequence[JsonKey | None]
    ) -> None:
        """The members of a container that are kept; the others are summarised where they begin."""
        left_out = [n for n in range(len(value.members)) if n not in kept]
        for number, member in enumerate(value.members):
            if number in kept or number in left_out[:1]:
                self._mark("," if number else "", member.start)
            if number in kept:
                self._add_named(keys[number], member)
            elif number == left_out[0]:
                end = value.members[left_out[-1]].end
                self._builder.add(self._summary(value, left_out), member.start, end)

    def _add_named(self, key: JsonKey | None, member: JsonValue) -> None:
        if key:
            self._add_string(key.start, key.end)
            self._mark(":", key.end)
        self._add(member)

    def _add_scalar(self, value: JsonValue) -> None:
        if self._text[value.start] in "\"'":
            self._add_string(value.start, value.end)
        else:
            self._builder.copy(value.start, value.end)

    def _add_string(self, start: int, end: int) -> None:
        inside = self._text[start + 1 : end - 1]
        if PLAIN.fullmatch(inside) and not LITERAL.fullmatch(inside):
            self._builder.copy(start + 1, end - 1)
        elif inside[:1] in ("{", "[") and (nested := nested_rendering(inside)):
            self._builder.embed(*nested, start + 1)
        else:
            self._add_quoted(start, end)

    def _add_quoted(self, start: int, end: int) -> None:
        """A string with its quotation marks and escapes, but for those of visible characters."""
        at = start
        for match in UNICODE_ESCAPES.finditer(self._text, start, end):
            characters = characters_of(match[1]) if match[1] else ""
            if characters and strip_invisible(characters) == characters:
                self._builder.copy(at, match.start())
                self._builder.add(characters, *match.span())
                at = match.end()
        self._builder.copy(at, end)

    def _mark(self, text: str, at: int) -> None:
        """Add punctuation, which stands for nothing in the text."""
        self._builder.add(text, at, at)

    def _kept_members(self, value: JsonValue) -> set[int]:
        """The numbers of the members that are shown.

        Where a text is shortened those are, of a record, those with a value, of a collection, the
        first ones and the last one; and what is in the ranges to keep.
        """
        count, most = len(value.members), self._shown.members
        if most is None:
            return set(range(count))
        wanted = {n for n in range(count) if overlaps(*member_range(value, n), self._keep)}
        if value.keys and not is_collection(value):
            valued = {n for n, m in enumerate(value.members) if not has_no_value(self._text, m)}
            return valued | wanted if count - len(valued) >= EMPTY_KEYS else set(range(count))
        return {*range(most - 1), count - 1, *wanted} if count > most else set(range(count))


def member_range(value: JsonValue, number: int) -> Range:
    """The range of a member with its key."""
    member = value.members[number]
    return value.keys[number].start if value.keys else member.start, member.end


def is_collection(value: JsonValue) -> bool:
    """Whether the members are of one kind, so that some of them show what the others are like."""
    shapes = {member.shape for member in value.members}
    is_alike = len(shapes) == 1 and None not in shapes
    return not value.keys or len(value.keys) > RECORD_KEYS or is_alike


def has_no_value(text: str, value: JsonValue) -> bool:
    """Whether this is null, or an empty text, array or object."""
    return not value.members and spelled(text, value).translate(NO_SPACE) in EMPTY_VALUES


def overlaps(start: int, end: int, ranges: Sequence[Range]) -> bool:
    """Whether the range from ``start`` to ``end`` has a part of one of ``ranges``."""
    return any(first < end and start < last for first, last in ranges)


def nested_rendering(escaped: str) -> tuple[Rendering, Rendering] | None:
    """The compact form of the JSON in a string, and that string without its escapes.

    None if it is not JSON as a whole.
    """
    plain = without_escapes(escaped)
    if whole_value(plain.text) is None:
        return None
    return compact(plain.text), plain


def without_escapes(escaped: str) -> Rendering:
    """The characters of a JSON string, given what stands between its quotation marks."""
    builder = RenderingBuilder(escaped)
    at = 0
    for match in ESCAPE.finditer(escaped):
        builder.copy(at, match.start())
        builder.add(character_of(match[0]), *match.span())
        at = match.end()
    builder.copy(at, len(escaped))
    return builder.rendering()


def character_of(escape: str) -> str:
    r"""The character that an escape stands for; ``\u`` is left, since two may be one character."""
    letter = escape[1]
    return escape if letter == "u" else ESCAPED.get(letter, letter)


def summary_of(text: str, value: JsonValue, left_out: Sequence[int]) -> str:
    """What is said in place of members: how many, the names of keys, the extremes of numbers."""
    said = f"[... {json_number(value, left_out)}"
    if value.keys:
        said += f": {names_text([value.keys[n].name for n in left_out])}"
    inside = value.members[0].keys
    if len(left_out) == len(value.members) and inside and is_collection(value):
        said += f" with {names_text([key.name for key in inside])}"
    extremes = list(extremes_of(text, value))[:MAX_EXTREMES]
    return f"{said}; over all: {', '.join(extremes)} ...]" if extremes else f"{said} ...]"


def json_number(value: JsonValue, left_out: Sequence[int]) -> str:
    """How many members are left out, and of how many."""
    count, what = len(value.members), "key" if value.keys else "item"
    plural = what if count == 1 else f"{what}s"
    is_all = len(left_out) == count
    return f"{count} {plural}" if is_all else f"{len(left_out)} of {count} {plural} left out"


def names_text(names: Sequence[str]) -> str:
    """The first of ``names``."""
    more = " and more" if len(names) > MAX_NAMES else ""
    return ", ".join(name[:MAX_NAME_CHARS] for name in names[:MAX_NAMES]) + more


def extremes_of(text: str, value: JsonValue) -> Iterator[str]:
    """The least and the greatest number of the members, or of each key of theirs.

    Of few, the two would be taken for what changed from one to the other.
    """
    columns: dict[str, list[str]] = {}
    for member in value.members:
        for name, number in numbers_of(text, member, ""):
            columns.setdefault(name, []).append(number)
    for name, numbers in columns.items():
        least, greatest = min(numbers, key=float), max(numbers, key=float)
        if len(numbers) >= MIN_EXTREMES:
            yield f"{name} {least} to {greatest}".strip()


def numbers_of(text: str, value: JsonValue, name: str) -> Iterator[tuple[str, str]]:
    """The numbers in a value, and in the objects in it, with their keys."""
    for key, member in zip(value.keys, value.members, strict=False):
        yield from numbers_of(text, member, f"{name}.{key.name}" if name else key.name)
    if not value.members and is_number(spelled(text, value)):
        yield name, spelled(text, value)


def is_number(spelling: str) -> bool:
    """Whether this is a number in JSON."""
    try:
        float(spelling)
    except ValueError:
        return False
    return spelling[0] in "-0123456789"
