"""Reading of traces, spans, texts and scores from a store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from typing import NamedTuple

from halo_engine.chunks import chunks
from halo_engine.errors import EngineError
from halo_engine.fields import field_text
from halo_engine.schema import Score, Span, SpanLike, Trace, sort_spans, unix_nano_of
from halo_engine.store.columns import SCORE_COLUMNS, SPAN_COLUMNS
from halo_engine.store.connection import StoreConnection
from halo_engine.store.database import START_ORDER
from halo_engine.store.queries import MAX_TRACE_CHARS, ORDERS, condition_of
from halo_engine.store.rows import SqlRow, score_of, span_of
from halo_engine.store.views import OutlineRow, TraceFilter

# Whole traces are read in batches of at most so many characters and traces.
BATCH_CHARS = 16_000_000
BATCH_TRACES = 500

# Spans are exported and stored with a delay: for so long after the last one, more may come.
SETTLING = timedelta(minutes=5)
# For so long after its last activity, a trace without a root that ended is taken to go on.
STILL_OPEN = timedelta(hours=24)


class SpanPosition(NamedTuple):
    """The fields that determine the position of a span in its trace (``schema.SpanLike``)."""

    span_id: str
    parent_span_id: str | None
    start_time_unix_nano: int | None
    end_time_unix_nano: int | None


class TraceReader(StoreConnection):
    """Reads traces whole, or span by span where they are large."""

    def outline(self, trace_id: str, *, limit: int = 500, offset: int = 0) -> list[OutlineRow]:
        """The spans of a trace without their texts, by start time."""
        names = list(OutlineRow.model_fields)
        lengths = {"input_chars": "input", "output_chars": "output"}
        columns = [f"coalesce(length({lengths[n]}), 0)" if n in lengths else n for n in names]
        rows = self._rows(
            f"SELECT {', '.join(columns)} FROM spans WHERE trace_id = ? "
            "ORDER BY start_time_unix_nano, span_id LIMIT ? OFFSET ?",
            [trace_id, limit, offset],
        )
        return [OutlineRow(**dict(zip(names, row, strict=True))) for row in rows]

    def span_ids(self, trace_ids: Sequence[str]) -> dict[str, list[str]]:
        """Trace id -> the ids of its spans, in the order of ``Trace.spans``."""
        rows = self._rows(
            "SELECT trace_id, span_id, parent_span_id, start_time_unix_nano, end_time_unix_nano "
            "FROM spans WHERE trace_id IN (SELECT unnest(?)) ORDER BY rowid",
            [list(trace_ids)],
        )
        positions: dict[str, list[SpanPosition]] = {}
        for trace_id, *position in rows:
            positions.setdefault(trace_id, []).append(SpanPosition(*position))
        return {t: [span.span_id for span in sort_spans(spans)] for t, spans in positions.items()}

    def trace(self, trace_id: str) -> Trace | None:
        """A whole trace, or None; raises ``EngineError`` for one over ``MAX_TRACE_CHARS``."""
        (size,) = self._row("SELECT sum(size) FROM spans WHERE trace_id = ?", [trace_id])
        if size is None:
            return None
        if size > MAX_TRACE_CHARS:
            raise EngineError(
                f"Trace {trace_id} holds more than {MAX_TRACE_CHARS / 1e6:.0f} MB of text: "
                "read it in parts."
            )
        return next(self._whole([trace_id]))

    def spans(self, trace_id: str, *, batch: int = 200) -> Iterator[Span]:
        """The spans of a trace of any size by start time, read ``batch`` at a time."""
        rows = self._rows(
            "SELECT rowid FROM spans WHERE trace_id = ? "
            "ORDER BY start_time_unix_nano, span_id, rowid",
            [trace_id],
        )
        for part in chunks([row[0] for row in rows], batch):
            found = {
                row[0]: span_of(row[1:])
                for row in self._rows(
                    f"SELECT rowid, {SPAN_COLUMNS} FROM spans WHERE rowid IN (SELECT unnest(?))",
                    [part],
                )
            }
            yield from (found[row_id] for row_id in part)

    def span(self, trace_id: str, span_id: str) -> Span | None:
        """One span, or None."""
        rows = self._rows(
            f"SELECT {SPAN_COLUMNS} FROM spans WHERE trace_id = ? AND span_id = ?",
            [trace_id, span_id],
        )
        return span_of(rows[0]) if rows else None

    def text(
        self, trace_id: str, span_id: str, field: str, *, start: int = 0, length: int = 4000
    ) -> str | None:
        """``length`` characters of a field (see ``fields``) of a span from ``start``, or None."""
        span = self.span(trace_id, span_id)
        text = field_text(span, field) if span else None
        return None if text is None else text[start : start + length]

    def traces(self, where: TraceFilter | None = None) -> Iterator[Trace]:
        """The matching traces, whole, by start time; those in ``oversized`` are left out."""
        condition, values = condition_of(where)
        for batch in batches(self._sizes(condition, values)):
            yield from self._whole(batch)

    def roots(self) -> dict[str, str]:
        """Trace id -> the id of its root (``Trace.root``), or of its first span if it has none."""
        rows = self._rows(
            f"SELECT trace_id, arg_min(span_id, (parent_span_id IS NOT NULL, {START_ORDER})) "
            "FROM spans GROUP BY trace_id"
        )
        return dict(rows)

    def root_spans(self, trace_ids: Iterable[str]) -> dict[str, Span]:
        """Trace id -> the span that ``roots`` names, of the traces ``trace_ids``."""
        roots = self.roots()
        wanted = [(trace_id, roots[trace_id]) for trace_id in trace_ids if trace_id in roots]
        found: dict[str, Span] = {}
        for part in chunks(wanted, BATCH_TRACES):
            rows = self._rows(
                f"SELECT {SPAN_COLUMNS} FROM spans WHERE trace_id IN (SELECT unnest(?)) "
                "AND span_id IN (SELECT unnest(?))",
                [[trace_id for trace_id, _ in part], [span_id for _, span_id in part]],
            )
            for row in rows:
                span = span_of(row)
                if roots[row[0]] == span.span_id:
                    found.setdefault(row[0], span)
        return found

    def unsettled(self, read_at: datetime) -> frozenset[str]:
        """The ids of the traces of which more may come, had they been read at ``read_at``.

        A trace is open while it has no root span or its root has not ended, until ``STILL_OPEN``
        after its last activity. One that is complete settles within ``SETTLING``.
        """
        rows = self._rows(
            "SELECT trace_id FROM spans GROUP BY trace_id "
            "HAVING max(coalesce(end_time_unix_nano, start_time_unix_nano)) > CASE "
            "WHEN count_if(parent_span_id IS NULL AND end_time_unix_nano IS NOT NULL) = 0 "
            "THEN ? ELSE ? END",
            [unix_nano_of(read_at - STILL_OPEN), unix_nano_of(read_at - SETTLING)],
        )
        return frozenset(row[0] for row in rows)

    def trace_ids(self) -> frozenset[str]:
        """The ids of all traces."""
        return frozenset(row[0] for row in self._rows("SELECT DISTINCT trace_id FROM spans"))

    def trace_sizes(self) -> list[tuple[str, int]]:
        """Id and size of each trace, by start time; those in ``oversized`` are left out."""
        return self._sizes("true", [])

    def scores(self, name: str | None = None, *, limit: int = 100) -> list[tuple[str, Score]]:
        """Trace id and score, by trace and name, for the scores called ``name`` (None: all)."""
        rows = self._rows(
            f"SELECT {SCORE_COLUMNS} FROM scores WHERE ? IS NULL OR name = ? "
            "ORDER BY trace_id, name LIMIT ?",
            [name, name, limit],
        )
        return [(row[0], score_of(row)) for row in rows]

    def _sizes(self, condition: str, values: Sequence[object]) -> list[tuple[str, int]]:
        return self._rows(
            f"SELECT trace_id, size FROM traces WHERE {condition} AND size <= {MAX_TRACE_CHARS} "
            f"ORDER BY {ORDERS['start']}, trace_id",
            values,
        )

    def _whole(self, trace_ids: Sequence[str]) -> Iterator[Trace]:
        """The named traces with their spans and scores, all in memory at once."""
        query = f"SELECT rowid, {SPAN_COLUMNS} FROM spans WHERE trace_id IN (SELECT unnest(?))"
        spans: dict[str, list[SqlRow]] = {}
        for row in self._rows(query, [trace_ids]):
            spans.setdefault(row[1], []).append(row)
        scores = self._scores(trace_ids)
        for trace_id in trace_ids:
            yield trace_of(trace_id, spans[trace_id], scores)

    def _scores(self, trace_ids: Sequence[str]) -> dict[str, list[Score]]:
        query = f"SELECT {SCORE_COLUMNS} FROM scores WHERE trace_id IN ? ORDER BY ALL"
        scores: dict[str, list[Score]] = {}
        for row in self._rows(query, [trace_ids]):
            scores.setdefault(row[0], []).append(score_of(row))
        return scores


def is_unsettled(spans: Sequence[SpanLike], read_at: datetime) -> bool:
    """Whether more of the trace of ``spans`` may come, as ``TraceReader.unsettled`` says."""
    times = (
        s.start_time_unix_nano if s.end_time_unix_nano is None else s.end_time_unix_nano
        for s in spans
    )
    last = max((time for time in times if time is not None), default=None)
    has_ended = any(s.parent_span_id is None and s.end_time_unix_nano is not None for s in spans)
    settled = unix_nano_of(read_at - (SETTLING if has_ended else STILL_OPEN))
    return last is not None and settled is not None and last > settled


def trace_of(trace_id: str, rows: list[SqlRow], scores: Mapping[str, Sequence[Score]]) -> Trace:
    """The trace of ``rows``: each a row id, which orders spans without a time, and a span row."""
    rows.sort(key=itemgetter(0))
    spans = [span_of(row[1:]) for row in rows]
    return Trace(
        trace_id=trace_id,
        spans=tuple(sort_spans(spans)),
        scores=tuple(scores.get(trace_id, ())),
    )


def batches(sizes: Sequence[tuple[str, int]]) -> Iterator[list[str]]:
    """Trace ids in batches of at most ``BATCH_CHARS`` and ``BATCH_TRACES``, at least one each."""
    batch: list[str] = []
    batch_chars = 0
    for trace_id, size in sizes:
        if batch and (batch_chars + size > BATCH_CHARS or len(batch) == BATCH_TRACES):
            yield batch
            batch, batch_chars = [], 0
        batch.append(trace_id)
        batch_chars += size
    if batch:
        yield batch
