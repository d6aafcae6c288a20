"""Lines of text as JSON values: JSON lines, documents over many lines, and both between others.

Lines are read one by one, and a value is handed on as soon as it is whole, so memory is bounded by
the longest value. Lines that look like one object each are handed on as they are, many at once, so
that another process can parse them.
"""

from __future__ import annotations

import io
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import NamedTuple

from halo_adapters.files.framing.json_text import BOM, BrokenText, parse
from halo_adapters.files.framing.loose_text import OtherLines, broken_record, values_in_text
from halo_adapters.files.framing.streams import READ_ERRORS, Peekable
from halo_adapters.files.records import Problem, Record

# The number of a line, counted from 1, with its bytes or why it cannot be read.
Line = tuple[int, bytes | Problem]
CLOSING = {b"{": b"}", b"[": b"]"}


# So many bytes of lines, or so many lines, are handed on at once: up to twice, where a trace goes on.
LINES_BYTES = 1 << 20
LINES = 500
EMPTY_LINES = (b"\n", b"\r\n")
LINE_ENDS = (b"}\n", b"}\r\n", b"}")
TRACE_ID = re.compile(rb'"[tT]race_?[iI][dD]"\s*:\s*"([^"]+)"')


class Lines(NamedTuple):
    """So many ``lines`` that are not parsed yet, of which ``number`` is that of the first."""

    number: int
    lines: int
    text: bytes

    @property
    def size(self) -> int:
        """The bytes of the lines."""
        return len(self.text)

    def by_trace_id(self) -> Iterator[tuple[bytes, bytes]]:
        """Each line with its trace id, as ``trace_id_in`` tells it."""
        return ((trace_id_in(line), line) for line in io.BytesIO(self.text))

    def records(self, limit: int) -> Iterator[Record]:
        """The JSON values in them, none longer than ``limit`` bytes."""
        values = JsonValues(limit)
        for number, line in lines_in(io.BytesIO(self.text), limit):
            yield from values.add(self.number + number - 1, line)
        yield from values.end()


def json_pieces(stream: Peekable, limit: int) -> Iterator[Record | Lines]:
    """The JSON values in ``stream``, which is UTF-8, none longer than ``limit`` bytes.

    A line or document that is not whole is a ``Problem``, with what can be read of it in spite of
    that. So are other lines: those that are plain text, such as a log's, are told together.
    """
    values, lines = JsonValues(limit), lines_in(stream, limit)
    while others := (yield from whole_lines(lines)):
        for number, line in others:
            yield from values.add(number, line)
        while values.is_open and (following := next(lines, None)):
            yield from values.add(*following)
    yield from values.end()


def whole_lines(lines: Iterator[Line]) -> Generator[Lines, None, Sequence[Line]]:
    """Hand on ``lines``, many at once, as long as each looks whole.

    Returns the first that does not, and before it the one that it may go on from; none at the end.
    """
    some: list[bytes] = []
    number = size = 0
    for number, line in lines:
        if not isinstance(line, bytes) or not looks_whole(line):
            before = taken_back(number, some)
            yield from lines_before(number - len(before), some)
            return [*before, (number, line)]
        if (size >= LINES_BYTES or len(some) >= LINES) and are_enough(some, size, line):
            yield from lines_before(number, some)
            some, size = [], 0
        some.append(line)
        size += len(line)
    yield from lines_before(number + 1, some)
    return []


def taken_back(number: int, some: list[bytes]) -> list[Line]:
    """Take the last of ``some`` that is not empty, and what follows it: it may go on.

    ``number`` is that of the line after them.
    """
    at = len(some) - 1
    while at > 0 and some[at] in EMPTY_LINES:
        at -= 1
    back = some[max(0, at) :]
    del some[max(0, at) :]
    return list(enumerate(back, number - len(back)))


def are_enough(some: Sequence[bytes], size: int, line: bytes) -> bool:
    """Whether ``line`` belongs to others than ``some`` of this ``size``: not amidst a trace."""
    if size >= 2 * LINES_BYTES or len(some) >= 2 * LINES:
        return True
    return trace_id_in(line) != trace_id_in(some[-1])


def lines_before(number: int, some: Sequence[bytes]) -> Iterator[Lines]:
    """``some`` lines, the last of them before the one with this number, if there are any."""
    if some:
        yield Lines(number - len(some), len(some), b"".join(some))


def looks_whole(line: bytes) -> bool:
    """Whether a line looks like an object that is whole, or is empty."""
    return (line.startswith(b"{") and line.endswith(LINE_ENDS)) or line in EMPTY_LINES


def trace_id_in(line: bytes) -> bytes:
    """The first trace id in a line, as far as it can be told without parsing it; else nothing."""
    found = TRACE_ID.search(line)
    return found[1] if found else b""


def lines_in(stream: Peekable | io.BytesIO, limit: int) -> Iterator[Line]:
    """Every line with its number; ends with a ``Problem`` where reading cannot continue."""
    number = 0
    try:
        while line := stream.readline(limit + 1):
            number += 1
            if len(line) <= limit:
                yield number, line
                continue
            while line and not line.endswith(b"\n"):
                line = stream.readline(limit)
            yield number, Problem(f"is longer than {limit} bytes.")
    except READ_ERRORS as error:
        yield number + 1, Problem(f"cannot be read, nor what follows: {error}.")


class JsonValues:
    """Puts lines together to JSON values. ``add`` takes them in order, ``end`` says that all were.

    A value over several lines begins with a line that is the beginning of one, and is tried where a
    line closes it that is indented as that one was, as every printer does it, or where a line could
    be a value by itself. As long as it is the beginning of JSON it stays open, and is tried again
    when it has twice the size: so the work grows with the size, however the file is laid out.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lines: list[bytes] = []  # those of the value that has begun
        self._start = 0
        self._size = 0
        self._next_try = 0
        self._is_skipping = False
        self._others = OtherLines()

    @property
    def is_open(self) -> bool:
        """Whether a value has begun that is not whole yet."""
        return bool(self._lines)

    def add(self, number: int, line: bytes | Problem) -> Iterable[Record]:
        """The values that are whole with this line, and what cannot be one."""
        if isinstance(line, Problem):
            return (Record(number, problem=line), *self.add(number, b"\n"))
        return self._continue(line) if self._lines else self._begin(number, line)

    def end(self) -> Iterator[Record]:
        """What is left: a value that breaks off, or is laid out in another way; other lines."""
        if self._lines and not self._is_skipping:
            yield from self._broken(b"".join(self._lines), self._start)
        yield from self._others.record()

    def _begin(self, number: int, line: bytes) -> Iterable[Record]:
        text = line.removeprefix(BOM).strip()
        if not text:
            return ()
        try:
            value, problem = parse(text)
        except BrokenText as error:
            if not error.is_cut or text[:1] not in CLOSING:
                return self._broken(text, number)
            self._open(number, line.removeprefix(BOM))
            return ()
        return (Record(number, value, len(line), problem),)

    def _broken(self, text: bytes, number: int) -> Iterator[Record]:
        """The values in a text that is none as a whole, and what can be read of the last."""
        if unfinished := (yield from values_in_text(text, number, self._others)):
            yield broken_record(unfinished)

    def _open(self, number: int, line: bytes) -> None:
        self._lines, self._start, self._size, self._next_try = [line], number, len(line), 0

    def _continue(self, line: bytes) -> Iterator[Record]:
        if self._is_skipping:
            if self._closes(line):
                self._lines, self._is_skipping = [], False
            return
        self._lines.append(line)
        self._size += len(line)
        if self._size > self._limit:
            what = f"is a document longer than {self._limit} bytes; write JSON lines instead."
            yield Record(self._start, problem=Problem(what))
            self._lines, self._is_skipping = self._lines[:1], True
        elif self._size >= self._next_try and (self._closes(line) or self._is_alike(line)):
            yield from self._try_whole()

    def _closes(self, line: bytes) -> bool:
        """Whether ``line`` closes the value, by its indentation."""
        first = self._lines[0]
        indentation = first[: len(first) - len(first.lstrip())]
        return line.rstrip() == indentation + CLOSING[first.lstrip()[:1]]

    def _is_alike(self, line: bytes) -> bool:
        """Whether ``line`` could be a value by itself, so that the first line was a broken one."""
        bracket = self._lines[0][:1]
        return line.startswith(bracket) and line.rstrip().endswith(CLOSING.get(bracket, b"\0"))

    def _try_whole(self) -> Iterator[Record]:
        text = b"".join(self._lines)
        try:
            value, problem = parse(text)
        except BrokenText:
            yield from self._try_values(text)
        else:
            yield Record(self._start, value, self._size, problem)
            self._lines = []

    def _try_values(self, text: bytes) -> Iterator[Record]:
        """The values that are whole; the one that is not yet stays open."""
        unfinished = yield from values_in_text(text, self._start, self._others)
        self._lines = []
        if unfinished:
            rest = unfinished.text.encode()
            self._open(unfinished.number, rest)
            self._next_try = 2 * len(rest)
