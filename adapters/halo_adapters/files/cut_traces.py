"""Files in which the spans of a trace are far apart: their lines are put together by trace.

What is read in batches is stored batch by batch, and a trace in many of them would be read back and
written anew each time. So a file is looked through for the ids of traces first. Where many traces are
cut up, its lines are sorted by them in temporary files. A few that reach from one batch into the next
are none of this.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby
from operator import itemgetter
from typing import IO, NamedTuple
from zlib import crc32

from halo_adapters.files.framing.lines import Lines, trace_id_in
from halo_adapters.files.temporary import temporary_file, temporary_file_errors
from halo_engine.chunks import chunks

# Lines are sorted where traces are in so many batches on average.
BATCHES_OF_TRACE = 1.25
# All lines of a trace are in one file, which is held in memory when it is read: of so many bytes, as
# long as there need not be more files than a process may have open.
FILE_BYTES = 16 << 20
MOST_FILES = 128
# A trace of more lines than this is in several batches after all.
MOST_LINES = 4_000
# Before each line: the number of its input, its own there, and its length.
HEAD = struct.Struct("<IQI")


def are_traces_cut_up(lines: Iterable[bytes], batch_bytes: int) -> bool:
    """Whether traces are in many of the batches, of so many bytes each, that ``lines`` make."""
    last_batch: dict[bytes, int] = {}
    batch = size = places = 0
    for line in lines:
        size += len(line)
        if size > batch_bytes:
            batch, size = batch + 1, len(line)
        trace_id = trace_id_in(line)
        if trace_id and last_batch.get(trace_id) != batch:
            last_batch[trace_id] = batch
            places += 1
    return places > BATCHES_OF_TRACE * len(last_batch)


class PlacedLine(NamedTuple):
    """A line with its trace, the number of its input and its own."""

    trace_id: bytes
    source: int
    number: int
    text: bytes


class SortedLines:
    """Lines in temporary files, from which they are read trace by trace."""

    def __init__(self, stack: ExitStack, size: int) -> None:
        """For lines of ``size`` bytes in all; raises ``StorageError``, as all here."""
        number = min(MOST_FILES, 1 + size // FILE_BYTES)
        self._files = [stack.enter_context(temporary_file()) for _ in range(number)]

    def add(self, source: int, lines: Lines) -> Iterator[Lines]:
        """Add lines of the input with the number ``source``; those without a trace are given back."""
        for number, (trace_id, line) in enumerate(lines.by_trace_id(), lines.number):
            if not trace_id:
                yield Lines(number, 1, line)
                continue
            file = self._files[crc32(trace_id) % len(self._files)]
            with temporary_file_errors():
                file.write(HEAD.pack(source, number, len(line)) + line)

    def traces(self) -> Iterator[list[tuple[int, Lines]]]:
        """The lines of each trace, with the numbers of their inputs, in the order of these."""
        for file in self._files:
            with temporary_file_errors():
                placed = sorted(placed_lines(file))
            for _, same in groupby(placed, key=itemgetter(0)):
                for some in chunks(list(same), MOST_LINES):
                    yield [(line.source, Lines(line.number, 1, line.text)) for line in some]


def placed_lines(file: IO[bytes]) -> Iterator[PlacedLine]:
    """The lines that were written into ``file``."""
    file.seek(0)
    while head := file.read(HEAD.size):
        source, number, length = HEAD.unpack(head)
        text = file.read(length)
        yield PlacedLine(trace_id_in(text), source, number, text)
