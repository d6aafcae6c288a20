"""Text that is no JSON as a whole: the values in it, one after the other or between other lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from halo_adapters.files.framing.cut_json import DECODER, after, skip
from halo_adapters.files.framing.json_text import parse_broken
from halo_adapters.files.records import Problem, Record, count_of

# How much of a line that is no JSON a message shows.
SHOWN_CHARS = 60
# What is left of a word, number or escape at the end of a text that breaks off in it.
CUT_TOKEN = re.compile(r"[-+.\w\\]*\s*")


class OtherLines:
    """The lines of a file that are plain text: they are told together."""

    def __init__(self) -> None:
        self._first: tuple[int, str] | None = None
        self._count = 0

    def add(self, number: int, line: str) -> None:
        """Count a line."""
        self._first = self._first or (number, line)
        self._count += 1

    def record(self) -> Iterator[Record]:
        """The problem with these lines, at the first of them; nothing where there are none."""
        if self._first:
            number, line = self._first
            shown = line if len(line) <= SHOWN_CHARS else f"{line[:SHOWN_CHARS]}..."
            rest = self._count - 1
            more = f", nor are {count_of(rest, 'more line')}" if rest else ""
            yield Record(number, problem=Problem(f"is not JSON{more}: {shown!r}."))


def values_in_text(text: bytes, number: int, others: OtherLines) -> Iterator[Record]:
    """The JSON values in ``text``, whose first line has this number, and those that break off.

    A value can begin with a line, behind another value, or in a line behind the words of a log.
    ``others`` gets the lines that hold none. Where a value breaks off, what follows is looked at
    from there: every part of the text is read once.
    """
    decoded = text.decode("utf-8", "replace")
    at, counted = skip(decoded, 0), 0
    while at < len(decoded):
        number, counted = number + decoded.count("\n", counted, at), at
        end = end_of_line(decoded, at)
        begins = decoded[at] in "{["
        start = at if begins else decoded.find("{", at, end)
        if start < 0:
            others.add(number, decoded[at:end].strip())
            at = skip(decoded, end)
            continue
        try:
            value, stop = DECODER.raw_decode(decoded, start)
        except (ValueError, RecursionError) as error:
            if begins:
                end = max(end, breaking_point(decoded, error))
                yield broken_record(decoded[start:end], number, error)
            else:
                others.add(number, decoded[at:end].strip())
            at = skip(decoded, end)
        else:
            yield Record(number, value, stop - start)
            at = after_value(decoded, stop)


def end_of_line(text: str, at: int) -> int:
    """Where the line with the character ``at`` ends."""
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def after_value(text: str, at: int) -> int:
    """The place of what follows a value, without the comma of a list that is not whole."""
    return after(text, at, ",") if text.startswith(",", skip(text, at)) else skip(text, at)


def breaking_point(text: str, error: Exception) -> int:
    """The line from which on the value cannot go on; the end where the text breaks off in it."""
    if not isinstance(error, json.JSONDecodeError):
        return 0
    if error.msg.startswith("Unterminated string") or CUT_TOKEN.fullmatch(text, error.pos):
        return len(text)
    return text.rfind("\n", 0, error.pos) + 1


def broken_record(text: str, number: int, error: Exception) -> Record:
    """What can be read of the text of a value that breaks off."""
    is_nested = isinstance(error, RecursionError)
    what = "is nested too deeply." if is_nested else f"is not JSON: {error}."
    value, problem = parse_broken(text, what)
    return Record(number, value, len(text), problem)
