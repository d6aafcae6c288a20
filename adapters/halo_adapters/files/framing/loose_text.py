"""Text that is no JSON as a whole: the values in it, one after the other or between other lines."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from typing import NamedTuple

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


class Unfinished(NamedTuple):
    """A value that breaks off with its text: the line on which it begins, and why it is none."""

    number: int
    text: str
    error: Exception


def values_in_text(
    text: bytes, number: int, others: OtherLines
) -> Generator[Record, None, Unfinished | None]:
    """The JSON values in ``text``, whose first line has this number; returns one that breaks off.

    A value can begin with a line, behind another value, or in a line behind the words of a log.
    ``others`` gets the lines that hold none. Where a value is broken, what follows is looked at
    from there: every part of the text is read once.
    """
    decoded = text.decode("utf-8", "replace")
    at, counted = skip(decoded, 0), 0
    while at < len(decoded):
        number, counted = number + decoded.count("\n", counted, at), at
        end = end_of_line(decoded, at)
        begins = decoded[at] in "{["
        start = at if begins else decoded.find("{", at, end)
        try:
            value, stop = DECODER.raw_decode(decoded, start if start >= 0 else len(decoded))
        except (ValueError, RecursionError) as error:
            if not begins:
                others.add(number, decoded[at:end].strip())
            elif (broken := breaking_point(decoded, error)) == len(decoded):
                return Unfinished(number, decoded[start:], error)
            else:
                end = max(end, broken)
                yield broken_record(Unfinished(number, decoded[start:end], error))
            at = skip(decoded, end)
        else:
            yield Record(number, value, stop - start)
            at = after_value(decoded, stop)
    return None


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


def broken_record(found: Unfinished) -> Record:
    """What can be read of a value that breaks off."""
    is_nested = isinstance(found.error, RecursionError)
    what = "is nested too deeply." if is_nested else f"is not JSON: {found.error}."
    value, problem = parse_broken(found.text, what)
    return Record(found.number, value, len(found.text), problem)
