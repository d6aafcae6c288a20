"""Records: the values in a file, from which the formats make spans, and what could not be read."""

from __future__ import annotations

from typing import Any, NamedTuple


class Problem(NamedTuple):
    """Why a record, or a part of it, is not a span: a sentence without its subject.

    ``where`` is the reference of the part, "" for the record as a whole. One that ``is_general`` is
    about all records of its kind, and told once.
    """

    what: str
    where: str = ""
    is_general: bool = False


class Record(NamedTuple):
    """A value in a file: a line or document of JSON, a row of a table, a binary message.

    ``number`` is the line on which it starts, or which row or message it is, counted from 1.
    ``size`` is in bytes. Where there is a ``problem``, ``value`` is what could be read in spite of
    it, None for nothing.
    """

    number: int
    value: Any = None
    size: int = 0
    problem: Problem | None = None


def count_of(number: int, thing: str) -> str:
    """``number`` with its noun: "1 line", "2 lines"."""
    return f"{number:,} {thing}{'s' * (number != 1)}"
