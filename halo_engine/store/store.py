"""The trace store: writes traces, and answers queries, searches and SQL over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from halo_engine.errors import EngineError
from halo_engine.schema import Score, Span, Trace
from halo_engine.store.queries import TraceQueries
from halo_engine.store.reading import TraceReader
from halo_engine.store.rows import SCORES, SPANS, SqlRow, score_row, span_row, table_of
from halo_engine.store.search import TraceSearch
from halo_engine.store.sql import SqlWorker

SQL_SECONDS = 10.0
SQL_ROWS = 1000


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

    def ingest(self, traces: Iterable[Trace]) -> int:
        """Store ``traces``, on disk when this returns; returns the number of spans written.

        A trace that is stored already becomes the union of both versions: a span with the same id
        is replaced, and the scores of the trace are replaced as a whole.
        """
        spans: dict[tuple[str, str], Span] = {}
        scores: dict[str, tuple[Score, ...]] = {}
        for trace in traces:
            spans.update({(span.trace_id, span.span_id): span for span in trace.spans})
            scores[trace.trace_id] = (*scores.get(trace.trace_id, ()), *trace.scores)
        replace = not self._stored.isdisjoint(scores)
        score_rows = [score_row(trace_id, s) for trace_id, own in scores.items() for s in own]
        self._db.begin()
        self._write(
            "spans", SPANS, ["trace_id", "span_id"], map(span_row, spans.values()), replace=replace
        )
        self._write("scores", SCORES, ["trace_id"], score_rows, replace=replace)
        self._db.commit()
        self._stored.update(scores)
        return len(spans)

    def _write(
        self,
        table: str,
        columns: dict[str, str],
        key: list[str],
        rows: Iterable[SqlRow],
        *,
        replace: bool,
    ) -> None:
        """Insert ``rows``; with ``replace``, stored rows with the same ``key`` are deleted first."""
        self._db.register("incoming", table_of(columns, list(rows)))
        if replace:
            same = " AND ".join(f"{table}.{column} = incoming.{column}" for column in key)
            self._db.execute(f"DELETE FROM {table} USING incoming WHERE {same}")
        self._db.execute(f"INSERT INTO {table} BY NAME SELECT * FROM incoming")
        self._db.unregister("incoming")

    def sql(
        self,
        query: str,
        *,
        rows: int = SQL_ROWS,
        seconds: float = SQL_SECONDS,
        chars: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> list[dict[str, Any]]:
        """The first ``rows`` rows of a SELECT over ``spans``, ``traces`` and ``scores``.

        Values are those of JSON: numbers, strings, lists; times and decimals are strings. Strings
        are truncated to ``chars`` characters; only ``columns`` are kept. The query runs in a worker
        process, so that it cannot exhaust the memory of this one.

        Raises ``EngineError`` if the store is not opened read-only, if the query is not one SELECT,
        fails (with DuckDB's message), takes longer than ``seconds``, or needs too much memory.
        """
        if not self.read_only:
            raise EngineError("SQL needs a store opened with read_only=True.")
        return self._sql.rows(query, rows=rows, seconds=seconds, chars=chars, columns=columns)
