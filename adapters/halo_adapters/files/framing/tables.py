"""Tables as records, one a row: CSV and Parquet, which data frames and platforms export.

A cell that is empty, in Parquet one that is null, is left out of its row.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from halo_adapters.files.framing.streams import HEAD_BYTES, Peekable
from halo_adapters.files.records import Problem, Record
from halo_adapters.files.temporary import copy_to_disk, temporary_file

PARQUET_MAGIC = b"PAR1"
# The names that columns of ids have in tables of spans.
ID_COLUMNS = frozenset(
    {"context.trace_id", "trace_id", "traceId", "traceID", "context.span_id", "span_id", "spanId"}
)
# Those of what only a table of Langfuse's traces has, which describes the spans of another one.
TRACE_COLUMNS = frozenset({"bookmarked", "is_bookmarked"})
# How much of a file is parsed at a time, which is also the limit of a row.
BLOCK_BYTES = 64 << 20
BATCH_ROWS = 1000


def is_csv(head: bytes) -> bool:
    """Whether ``head``, the first bytes of a text, is the header of a table of spans or traces."""
    return not (ID_COLUMNS | TRACE_COLUMNS).isdisjoint(csv_columns(head))


def csv_columns(head: bytes) -> list[str]:
    """The names in the first line of ``head``; none where it is no header."""
    line, ending, _ = head.partition(b"\n")
    if not ending or line.lstrip()[:1] in (b"{", b"["):
        return []
    try:
        return next(csv.reader([line.decode("utf-8-sig", "replace").strip()], strict=True), [])
    except csv.Error:
        return []


def csv_records(stream: Peekable, limit: int) -> Iterator[Record]:
    """The rows of a CSV file, all values texts; a row with another number of cells is a problem.

    ``limit`` is that of a row, up to 64 MB. Of columns with one name the first counts.
    """
    names = csv_columns(stream.peek(HEAD_BYTES))
    unique = [name if name not in names[:at] else f"{name}#{at}" for at, name in enumerate(names)]
    bad: list[Problem] = []

    def skip_row(row: Any) -> str:
        what = f"is a row with {row.actual_columns} cells, not {row.expected_columns}."
        bad.append(Problem(what))
        return "skip"

    reader = pa_csv.open_csv(
        stream,
        read_options=pa_csv.ReadOptions(
            column_names=unique, skip_rows=1, block_size=min(limit, BLOCK_BYTES), use_threads=False
        ),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip_row),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(unique, pa.string()),
            include_columns=list(dict.fromkeys(names)),
            strings_can_be_null=True,
            null_values=[""],
        ),
    )
    number = 1
    for batch in reader:
        for row in rows_of(batch):
            number += 1
            yield Record(number, row, batch.nbytes // batch.num_rows)
        for problem in bad:
            number += 1
            yield Record(number, problem=problem)
        bad.clear()


def is_parquet(head: bytes) -> bool:
    """Whether ``head`` is the beginning of a Parquet file."""
    return head.startswith(PARQUET_MAGIC)


def parquet_records(stream: Peekable, limit: int) -> Iterator[Record]:
    """The rows of a Parquet file, which is read from its end; a stream is copied to disk first."""
    with temporary_file() as copy:
        number = 0
        for batch in pq.ParquetFile(on_disk(stream, copy)).iter_batches(batch_size=BATCH_ROWS):
            for row in rows_of(exact_times(batch)):
                number += 1
                yield Record(number, row, batch.nbytes // batch.num_rows)


def on_disk(stream: Peekable, copy: IO[bytes]) -> IO[bytes]:
    """``stream`` if it is a plain file, else ``copy`` with its content."""
    if isinstance(stream, io.BufferedReader) and stream.seekable():
        return stream
    copy_to_disk(stream, copy)
    return copy


def exact_times(batch: pa.RecordBatch) -> pa.RecordBatch:
    """``batch`` with its times as nanoseconds since 1970, which Python's times cannot hold."""
    for at, column in enumerate(batch.schema):
        if pa.types.is_timestamp(column.type):
            nanoseconds = batch.column(at).cast(pa.timestamp("ns", column.type.tz), safe=False)
            batch = batch.set_column(at, column.name, nanoseconds.cast(pa.int64()))
    return batch


def rows_of(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """The rows of ``batch`` as objects, without what is null or no number."""
    columns = [(name, batch.column(at).to_pylist()) for at, name in enumerate(batch.schema.names)]
    for at in range(batch.num_rows):
        yield {name: v for name, cells in columns if (v := cells[at]) is not None and not is_nan(v)}


def is_nan(value: Any) -> bool:
    """Whether ``value`` is the number that data frames write for a missing one."""
    return isinstance(value, float) and math.isnan(value)
