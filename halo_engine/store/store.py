"""The trace store: writes traces, and answers queries, searches and SQL over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from halo_engine.errors import EngineError
from halo_engine.private_files import file_errors
from halo_engine.schema import Score, Trace
from halo_engine.store.columns import SCORES, SPANS
from halo_engine.store.database import (
    derived_path,
    disk_errors,
    keep_log_private,
    remove_derived,
    write_derived,
)
from halo_engine.store.queries import TraceQueries
from halo_engine.store.reading import TraceReader
from halo_engine.store.rows import DerivedTable, SqlRow, score_row, span_row, table_of
from halo_engine.store.search import TraceSearch
from halo_engine.store.sql import SqlWorker

# What a row of ``SPANS`` says, without where it was read.
CONTENT = [column for column in SPANS if column != "reference"]
SAME_CONTENT = " AND ".join(f"spans.{c} IS NOT DISTINCT FROM incoming.{c}" for c in CONTENT)
# A stored span is replaced by the same record, or by one that says the same.
IS_REPLACED = (
    "spans.trace_id = incoming.trace_id AND spans.span_id = incoming.span_id AND "
    f"((spans.reference = incoming.reference) IS NOT FALSE OR ({SAME_CONTENT}))"
)
# Exporters can send a span when it starts and again when it has ended: one span, whatever else the
# two records say. Different spans that a fault gave one id differ in their place.
DELETE_OPEN_RECORDS = """
DELETE FROM spans USING spans AS ended
WHERE spans.trace_id IN (SELECT unnest(?))
    AND spans.end_time_unix_nano IS NULL AND ended.end_time_unix_nano IS NOT NULL
    AND spans.trace_id = ended.trace_id AND spans.span_id = ended.span_id
    AND spans.start_time_unix_nano = ended.start_time_unix_nano
    AND spans.parent_span_id IS NOT DISTINCT FROM ended.parent_span_id
    AND spans.name IS NOT DISTINCT FROM ended.name
"""

SQL_SECONDS = 10.0
SQL_ROWS = 1000
SEARCH_SECONDS = 30.0


class TraceStore(TraceQueries, TraceSearch, TraceReader):
    """The traces of one run in one DuckDB file.

    ``TraceStore(path)`` opens it for writing, which one process at a time can do;
    ``TraceStore(path, read_only=True)`` opens it for reading and for ``sql``.
    """

    def __init__(self, path: Path | str, *, read_only: bool = False) -> None:
        super().__init__(path, read_only=read_only)
        self._sql = SqlWorker(self.path)
        self._stored = set() if read_only else set(self.trace_ids())

    def close(self) -> None:
        """Write pending changes, release the file and end the SQL worker."""
        self._sql.close()
        super().close()

    def ingest(self, traces: Iterable[Trace]) -> None:
        """Store ``traces``, on disk when this returns.

        A trace that is stored already becomes the union of both versions. A span with the same id
        is replaced, unless it is another record (``Origin.reference``) that says something else:
        then both are kept, as are different spans with one id among ``traces``. A record of a span
        that has not ended gives way to one of the same span that has, whichever comes first. The
        scores of the trace are replaced as a whole. Raises ``StorageError`` where the disk is full.
        """
        spans: dict[SqlRow, SqlRow] = {}
        scores: dict[str, tuple[Score, ...]] = {}
        for trace in traces:
            rows = map(span_row, trace.spans)
            spans.update((content_of(row), row) for row in rows)
            scores[trace.trace_id] = (*scores.get(trace.trace_id, ()), *trace.scores)
        score_rows = [score_row(trace_id, s) for trace_id, own in scores.items() for s in own]
        keep_log_private(self.path)
        with disk_errors(self.path):
            self._db.begin()
            if not self._stored.isdisjoint(scores):
                self._delete_replaced(list(spans.values()), list(scores))
            self._insert("spans", SPANS, list(spans.values()))
            self._db.execute(DELETE_OPEN_RECORDS, [list(scores)])
            self._insert("scores", SCORES, score_rows)
            self._db.commit()
        self._stored.update(scores)

    def _delete_replaced(self, rows: Sequence[SqlRow], trace_ids: Sequence[str]) -> None:
        """Delete the stored spans that ``rows`` replace, and the scores of ``trace_ids``."""
        self._db.execute("DELETE FROM scores WHERE trace_id IN (SELECT unnest(?))", [trace_ids])
        self._db.register("incoming", table_of(SPANS, rows))
        self._db.execute(f"DELETE FROM spans USING incoming WHERE {IS_REPLACED}")
        self._db.unregister("incoming")

    def _insert(self, table: str, columns: dict[str, str], rows: Sequence[SqlRow]) -> None:
        self._db.register("incoming", table_of(columns, rows))
        self._db.execute(f"INSERT INTO {table} BY NAME SELECT * FROM incoming")
        self._db.unregister("incoming")

    def sql(
        self,
        query: str,
        *,
        rows: int | None = SQL_ROWS,
        seconds: float = SQL_SECONDS,
        chars: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> list[dict[str, Any]]:
        """The first ``rows`` rows (None: all) of a SELECT over ``spans``, ``traces`` and ``scores``.

        Values are those of JSON: numbers, strings, lists; times and decimals are strings. Strings
        are truncated to ``chars`` characters; only ``columns`` are kept. The query runs in a worker
        process, so that it cannot exhaust the memory of this one.

        Raises ``EngineError`` if the store is not opened read-only, if the query is not one SELECT,
        fails (with DuckDB's message), takes longer than ``seconds``, or needs too much memory.
        """
        if not self.read_only:
            raise EngineError("SQL needs a store opened with read_only=True.")
        return self._sql.rows(query, rows=rows, seconds=seconds, chars=chars, columns=columns)

    def derive(self, *tables: DerivedTable) -> None:
        """Keep what was derived from the traces beside the store, for ``sql`` to read.

        A table of the same name is replaced. Raises ``StorageError`` where the disk is full.
        """
        path = derived_path(self.path)
        arrow = ((table.name, table_of(table.columns, table.rows)) for table in tables)
        with self._sql.stopped(), disk_errors(path):
            write_derived(path, arrow)

    def forget_derived(self) -> None:
        """Delete all derived tables; raises ``StorageError`` where that is not possible."""
        path = derived_path(self.path)
        with self._sql.stopped(), file_errors(path):
            remove_derived(path)

    def _matched_rows(self, query: str, values: Sequence[object]) -> list[SqlRow]:
        """See ``TraceSearch``. A pattern is not trusted either: a read-only store bounds its time."""
        if not self.read_only:
            return super()._matched_rows(query, values)
        found = self._sql.rows(query, values=list(values), rows=None, seconds=SEARCH_SECONDS)
        return [tuple(row.values()) for row in found]


def content_of(row: SqlRow) -> SqlRow:
    """The values of ``CONTENT`` in a row of ``SPANS``."""
    place = list(SPANS).index("reference")
    return (*row[:place], *row[place + 1 :])
