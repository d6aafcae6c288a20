"""Framing: a byte stream as JSON records, from NDJSON or one JSON document, also gzip."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

from halo_adapters.files.records import BOM, Problem, is_record, parse

GZIP_MAGIC = b"\x1f\x8b"
# How much is read to distinguish one document over many lines from NDJSON.
HEAD_LINES = 100
HEAD_BYTES = 1 << 20

Peekable = io.BufferedReader | io.BufferedRandom
# The number of a line, counted from 1, with its bytes or why it cannot be read.
Line = tuple[int, bytes | Problem]


def records_in(raw: Peekable, limit: int) -> Iterator[Line]:
    """The JSON records in ``raw`` (plain or gzip), each with the number of its first line.

    Lines are read one by one, so memory is bounded by the longest. A document over many lines
    (indented JSON) is loaded whole. A record longer than ``limit`` bytes is a ``Problem``.
    """
    lines = lines_in(raw, limit)
    head = read_head(lines)
    if is_document(head):
        yield from whole_document(chain(head, lines), limit)
    else:
        yield from (line for line in chain(head, lines) if not is_blank_line(line[1]))


def decompressed(raw: Peekable) -> io.BufferedIOBase:
    """``raw``, decompressed if its first bytes are those of gzip."""
    return gzip.GzipFile(fileobj=raw) if raw.peek(2).startswith(GZIP_MAGIC) else raw


def lines_in(raw: Peekable, limit: int) -> Iterator[Line]:
    """Every line with its number; ends with a ``Problem`` where reading cannot continue."""
    number = 0
    try:
        stream = decompressed(raw)
        while line := stream.readline(limit + 1):
            number += 1
            if len(line) <= limit:
                yield number, line
                continue
            while line and not line.endswith(b"\n"):
                line = stream.readline(limit)
            yield number, Problem(f"is longer than {limit} bytes.")
    except (OSError, EOFError, zlib.error) as error:
        yield number + 1, Problem(f"cannot be read, nor what follows: {error}.")


def is_blank_line(line: bytes | Problem) -> bool:
    """Whether ``line`` is white space."""
    return isinstance(line, bytes) and line.isspace()


def read_head(lines: Iterator[Line]) -> list[Line]:
    """The first lines, at least two, until ``HEAD_LINES`` or ``HEAD_BYTES`` is reached."""
    head: list[Line] = []
    size = 0
    for line in lines:
        head.append(line)
        size += len(line[1])
        if len(head) == HEAD_LINES or (len(head) > 1 and size > HEAD_BYTES):
            break
    return head


def is_document(head: Iterable[Line]) -> bool:
    """Whether a file that starts with ``head`` is one JSON document over many lines.

    It is where the first line starts an array, or where it starts an incomplete value and no later
    line is a record by itself: a malformed first line alone does not make it a document.
    """
    lines = [line.strip() for _, line in head if isinstance(line, bytes) and not line.isspace()]
    start = lines[0].removeprefix(BOM) if lines else b""
    if start == b"[":
        return True
    return (
        start.startswith((b"[", b"{"))
        and not is_json_line(start)
        and not any(map(is_record, lines))
    )


def is_json_line(line: bytes) -> bool:
    """Whether ``line`` is one whole JSON value."""
    try:
        parse(line)
    except ValueError:
        return False
    return True


def whole_document(lines: Iterable[Line], limit: int) -> Iterator[Line]:
    """All ``lines`` as one record, after a ``Problem`` where one of them could not be read."""
    parts: list[bytes] = []
    size = 0
    for number, line in lines:
        size += len(line)
        if isinstance(line, Problem):
            yield number, line
        elif size > limit:
            yield 1, Problem(f"is a document longer than {limit} bytes; write JSON lines instead.")
            return
        else:
            parts.append(line)
    yield 1, b"".join(parts)
