"""The door: a byte stream as records, in the framing that its first bytes show.

Lines of JSON are handed on many at once, before they are parsed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from halo_adapters.files.framing.lines import Lines, json_pieces, lines_in
from halo_adapters.files.framing.otlp_binary import (
    delimited_records,
    export_records,
    is_delimited,
    is_export,
)
from halo_adapters.files.framing.streams import (
    HEAD_BYTES,
    READ_ERRORS,
    Peekable,
    as_utf8,
    decompressed,
)
from halo_adapters.files.framing.tables import csv_records, is_csv, is_parquet, parquet_records
from halo_adapters.files.records import Problem, Record


class Framing(NamedTuple):
    """How records are laid out in bytes: how it is recognised, and the function that reads it."""

    recognises: Callable[[bytes], bool]
    pieces: Callable[[Peekable, int], Iterator[Record | Lines]]


def is_any(head: bytes) -> bool:
    """True: what is in no other framing is in this one."""
    return True


def text_pieces(stream: Peekable, limit: int) -> Iterator[Record | Lines]:
    """The records in a text: the rows of a table, or values of JSON."""
    text = as_utf8(stream)
    yield from framing_of(text, TEXT_FRAMINGS).pieces(text, limit)


TEXT_FRAMINGS = (Framing(is_csv, csv_records), Framing(is_any, json_pieces))
FRAMINGS = (
    Framing(is_parquet, parquet_records),
    Framing(is_delimited, delimited_records),
    Framing(is_export, export_records),
    Framing(is_any, text_pieces),
)


def framing_of(stream: Peekable, framings: tuple[Framing, ...]) -> Framing:
    """The first of ``framings`` that recognises what ``stream`` starts with."""
    head = stream.peek(HEAD_BYTES)
    return next(framing for framing in framings if framing.recognises(head))


def pieces_in(raw: Peekable, limit: int) -> Iterator[Record | Lines]:
    """The records in ``raw``, whatever its compression, encoding and framing.

    A record longer than ``limit`` bytes is a problem, and so is where reading cannot continue.
    """
    number = 0
    try:
        stream = decompressed(raw)
        for piece in framing_of(stream, FRAMINGS).pieces(stream, limit):
            number = piece.number
            yield piece
    except READ_ERRORS as error:
        what = f"cannot be read, nor what follows: {error}."
        yield Record(number + 1, problem=Problem(what))


def json_lines_in(raw: Peekable, limit: int) -> Iterator[bytes]:
    """The lines of ``raw`` where it is JSON, none where it is in another framing or broken.

    One longer than ``limit`` bytes is left out.
    """
    with suppress(*READ_ERRORS):
        stream = decompressed(raw)
        if framing_of(stream, FRAMINGS).pieces is text_pieces:
            text = as_utf8(stream)
            if framing_of(text, TEXT_FRAMINGS).pieces is json_pieces:
                yield from (line for _, line in lines_in(text, limit) if isinstance(line, bytes))
