"""A part of a store: a folder of Parquet files with some traces, written once.

The spans of a trace are rows next to each other. What is read together is compressed together: a
row group has whole traces, unless one is so large that it has several row groups to itself.

The files are made in memory (``packed_part``), by any process on any machine, and written by the one
that has the store open (``write_part``).
"""

from __future__ import annotations

import shutil
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate, repeat
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from halo_engine.chunks import sized_chunks
from halo_engine.errors import EngineError
from halo_engine.private_files import create_bytes, file_errors, make_private_folder, sync_folder
from halo_engine.schema import Trace
from halo_engine.store.columns import COUNTED, COUNTS, FACTS, SCORES, SPANS
from halo_engine.store.facts import fact_row
from halo_engine.store.manifest import COUNTS_FILE, FACTS_FILE, SCORES_FILE, SPANS_FILE
from halo_engine.store.rows import ARROW, SqlRow, score_row, span_row, table_of

T = TypeVar("T")

# A row group ends after a trace from so many spans on; within a trace at so many, or so much text.
ENOUGH_ROWS = 1024
MOST_ROWS = 4096
MOST_CHARS = 16_000_000

# The text of a span is its own; these are those of many, so that they are stored once.
REPEATED = (
    *("trace_id", "parent_span_id", "name", "kind", "status_code", "tool_name", "agent_name"),
    *("model_name", "finish_reason", "session_id", "user_id", "tools", "resource"),
    *("platform", "project", "copied"),
)
SIZE = list(SPANS).index("size")


# The content of the files of a part, by name; the last of them says that it is whole.
PartFiles = Mapping[str, bytes]


class Position(NamedTuple):
    """Where a trace is: its part, its first row there, its number of rows, characters and scores."""

    part: str
    first_row: int
    rows: int
    size: int
    scores: int


def packed_part(traces: Iterable[Trace], replaced: Iterable[Trace] = ()) -> PartFiles:
    """The files of a part with ``traces``, as ``united_traces`` makes them.

    ``replaced`` are the versions of them in other parts.
    """
    ordered = sorted(traces, key=first_start)
    facts: list[SqlRow] = []
    counts = span_counts(ordered)
    counts.subtract(span_counts(replaced))
    groups = row_groups(trace_rows(ordered, facts), itemgetter(SIZE))
    spans = parquet_bytes(SPANS, (table_of(SPANS, group) for group in groups))
    scores = [score_row(trace.trace_id, score) for trace in ordered for score in trace.scores]
    return part_files(spans, table_of(FACTS, facts), table_of(SCORES, scores), counts)


def part_files(
    spans: bytes, facts: pa.Table, scores: pa.Table, counts: Counter[tuple[str, str]]
) -> PartFiles:
    """The files of a part, of the one with its ``spans`` and of what the others hold."""
    rows = ((*key, number) for key, number in counts.items() if number)
    return {
        SPANS_FILE: spans,
        SCORES_FILE: parquet_bytes(SCORES, [scores]),
        COUNTS_FILE: parquet_bytes(COUNTS, [table_of(COUNTS, rows)]),
        FACTS_FILE: parquet_bytes(FACTS, [facts]),
    }


def write_part(folder: Path, files: PartFiles) -> None:
    """Write the files of a part into the new folder ``folder``; with an error, none.

    It is on the disk when this returns. Raises ``StorageError``.
    """
    make_private_folder(folder)
    try:
        with file_errors(folder.parent):
            for name, content in files.items():
                create_bytes(folder / name, content)
            sync_folder(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def span_counts(traces: Iterable[Trace]) -> Counter[tuple[str, str]]:
    """How many spans have a value: the fields ``COUNTED`` with their values."""
    spans = [span for trace in traces for span in trace.spans]
    return Counter(
        {
            (field, value): number
            for field in COUNTED
            for value, number in Counter(map(attrgetter(field), spans)).items()
            if value is not None
        }
    )


def first_start(trace: Trace) -> tuple[bool, int, str]:
    """The order of traces in a part: by start time, as they are mostly read."""
    starts = [s.start_time_unix_nano for s in trace.spans if s.start_time_unix_nano is not None]
    return not starts, min(starts, default=0), trace.trace_id


def trace_rows(traces: Iterable[Trace], facts: list[SqlRow]) -> Iterator[list[SqlRow]]:
    """The rows of the spans of each trace; its facts are appended to ``facts``."""
    first_row = 0
    for trace in traces:
        rows = [span_row(span) for span in trace.spans]
        size = sum(row[SIZE] for row in rows)
        facts.append(fact_row(trace.spans, size, len(trace.scores), first_row))
        first_row += len(rows)
        yield rows


def row_groups(traces: Iterable[Sequence[T]], size: Callable[[T], int]) -> Iterator[list[T]]:
    """The rows of ``traces`` in groups of whole traces; only one that is too large is cut.

    ``size`` gives the characters of a row.
    """
    group: list[T] = []
    chars = 0
    for rows in traces:
        for row in rows:
            group.append(row)
            chars += size(row)
            if len(group) == MOST_ROWS or chars > MOST_CHARS:
                yield group
                group, chars = [], 0
        if len(group) >= ENOUGH_ROWS:
            yield group
            group, chars = [], 0
    yield group


def parquet_bytes(columns: dict[str, str], tables: Iterable[pa.Table]) -> bytes:
    """``tables`` as a Parquet file, each as a row group."""
    schema = pa.schema([(name, ARROW[kind]) for name, kind in columns.items()])
    options: dict[str, Any] = {
        "compression": "lz4",
        "use_dictionary": [name for name in columns if name in REPEATED],
        "write_statistics": False,
    }
    content = pa.BufferOutputStream()
    with pq.ParquetWriter(content, schema, **options) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=MOST_ROWS)
    packed: bytes = content.getvalue().to_pybytes()
    return packed


class PartReader:
    """The spans of one part, read by their rows."""

    def __init__(self, spans: Path | pa.NativeFile) -> None:
        # What is far away is read in few requests.
        self._file = pq.ParquetFile(spans, pre_buffer=not isinstance(spans, Path))
        metadata = self._file.metadata
        sizes = (metadata.row_group(n).num_rows for n in range(metadata.num_row_groups))
        # The first row of each row group, and one past the last row.
        self._starts = list(accumulate(sizes, initial=0))

    def rows(self, first: int, number: int, columns: Sequence[str]) -> pa.Table:
        """``columns`` of ``number`` rows from ``first``."""
        begin, table = self.groups(first, number, columns)
        return table.slice(first - begin, number)

    def groups(self, first: int, number: int, columns: Sequence[str]) -> tuple[int, pa.Table]:
        """``columns`` of all rows of the row groups with these, and the first of these rows."""
        begin = bisect_right(self._starts, first) - 1
        end = bisect_right(self._starts, first + number - 1)
        table = self._file.read_row_groups(range(begin, end), columns=columns, use_threads=False)
        return self._starts[begin], table.select(columns)

    def whole(self) -> pa.Table:
        """All rows with all columns."""
        return self._file.read(use_threads=False)

    def batches(self) -> Iterator[list[int]]:
        """All row groups, those next to each other together up to ``MOST_CHARS`` bytes."""
        row_group = self._file.metadata.row_group
        sizes = ((n, row_group(n).total_byte_size) for n in range(self._file.num_row_groups))
        return sized_chunks(sizes, MOST_CHARS)

    def groups_of(self, numbers: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """``columns``, in this order, of all rows of these row groups."""
        return self._file.read_row_groups(numbers, columns, use_threads=False).select(columns)

    def pieces(self, first: int, number: int) -> Iterator[tuple[int, int]]:
        """These rows in pieces, each within one row group: their first row and number."""
        end = first + number
        while first < end:
            border = self._starts[bisect_right(self._starts, first)]
            yield first, min(border, end) - first
            first = border


def read_parquet(path: Path | pa.BufferReader, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a small file, with all ``columns`` or some."""
    with pq.ParquetFile(path, pre_buffer=False) as file:
        return file.read(columns, use_threads=False)


def read_facts(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The facts of the traces of a part."""
    return read_parquet(folder / FACTS_FILE, columns)


def ids_in(files: PartFiles) -> list[str]:
    """The ids of the traces of a part that is not written yet."""
    facts = read_parquet(pa.BufferReader(files[FACTS_FILE]), ["trace_id"])
    ids: list[str] = facts["trace_id"].to_pylist()
    return ids


def read_scores(folder: Path) -> pa.Table:
    """The scores of the traces of a part."""
    return read_parquet(folder / SCORES_FILE)


def read_counts(folder: Path) -> Counter[tuple[str, str]]:
    """How many spans have a value, as ``span_counts`` of the part."""
    rows = values_in(read_parquet(folder / COUNTS_FILE))
    return Counter({(field, value): number for field, value, number in rows})


def positions_in(folder: Path, hidden: frozenset[str]) -> Iterator[tuple[str, Position]]:
    """Each trace of the part in ``folder``, but for those ``hidden``, and where it is."""
    facts = read_facts(folder, ["trace_id", "first_row", "spans", "size", "scores"])
    names = ("first_row", "spans", "size", "scores")
    places = zip(repeat(folder.name), *(facts[name].to_pylist() for name in names), strict=False)
    for trace_id, place in zip(facts["trace_id"].to_pylist(), places, strict=True):
        if trace_id not in hidden:
            yield trace_id, Position._make(place)


def values_in(table: pa.Table) -> Iterator[SqlRow]:
    """The rows of ``table``."""
    columns = (
        repeat(None, table.num_rows) if c.null_count == table.num_rows else c.to_pylist()
        for c in table.columns
    )
    return zip(*columns, strict=True)


@contextmanager
def part_errors(store: Path) -> Iterator[None]:
    """Raise what is wrong with a file of a part as ``EngineError``; too little memory is not."""
    try:
        yield
    except pa.ArrowMemoryError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise EngineError(
            f"The trace store {store} cannot be read: it is damaged, or another process has written "
            f"it meanwhile. Give the same command again, or start a new run. ({error})"
        ) from error
