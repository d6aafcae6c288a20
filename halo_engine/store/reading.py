"""Reading of traces, spans, texts and scores from a store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path

import pyarrow as pa

from halo_engine.chunks import chunks, sized_chunks
from halo_engine.errors import EngineError
from halo_engine.fields import field_text
from halo_engine.schema import Score, Span, SpanLike, Trace, unix_nano_of
from halo_engine.store.columns import SCORE_COLUMNS, SPANS
from halo_engine.store.connection import StoreConnection
from halo_engine.store.facts import by_start, last_activity
from halo_engine.store.manifest import SPANS_FILE
from halo_engine.store.parts import PartReader, Position, part_errors, positions_in, values_in
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


# The files of so many parts are held open.
OPEN_PARTS = 64

# The fields of ``OutlineRow`` with their columns.
OUTLINE = {name: name.removesuffix("_chars") for name in OutlineRow.model_fields}
SPAN_ID = list(SPANS).index("span_id")


class TraceReader(StoreConnection):
    """Reads traces whole, or span by span where they are large."""

    def __init__(self, path: Path | str, *, read_only: bool = False) -> None:
        super().__init__(path, read_only=read_only)
        self._readers: dict[str, PartReader] = {}

    def close(self) -> None:
        """Release the files."""
        self._forget_parts()
        super().close()

    def outline(self, trace_id: str, *, limit: int = 500, offset: int = 0) -> list[OutlineRow]:
        """The spans of a trace without their texts, by start time."""
        pieces = self._pieces(trace_id, list(OUTLINE.values()))
        rows = [outline_row(row) for table in pieces for row in values_in(table)]
        rows.sort(key=by_start)
        return rows[offset : offset + limit]

    def span_ids(self, trace_ids: Sequence[str]) -> dict[str, list[str]]:
        """Trace id -> the ids of its spans, in the order of ``Trace.spans``."""
        found = self._rows_of(trace_ids, ["span_id"])
        return {trace_id: [span_id for (span_id,) in rows] for trace_id, rows in found}

    def trace(self, trace_id: str) -> Trace | None:
        """A whole trace, or None; raises ``EngineError`` for one over ``MAX_TRACE_CHARS``."""
        position = self._positions.get(trace_id)
        if position is None:
            return None
        if position.size > MAX_TRACE_CHARS:
            raise EngineError(
                f"Trace {trace_id} holds more than {MAX_TRACE_CHARS / 1e6:.0f} MB of text: "
                "read it in parts."
            )
        return next(self._whole([trace_id]))

    def spans(self, trace_id: str, *, batch: int = 200) -> Iterator[Span]:
        """The spans of a trace of any size in the order of ``Trace.spans``, ``batch`` at a time."""
        for table in self._pieces(trace_id):
            for start in range(0, table.num_rows, batch):
                yield from map(span_of, values_in(table.slice(start, batch)))

    def span(self, trace_id: str, span_id: str) -> Span | None:
        """One span, or None."""
        position = self._positions.get(trace_id)
        if position is None:
            return None
        ids = [row[0] for table in self._pieces(trace_id, ["span_id"]) for row in values_in(table)]
        if span_id not in ids:
            return None
        row = self._read(position.part, position.first_row + ids.index(span_id), 1)
        return span_of(next(values_in(row)))

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
        return dict(self._rows("SELECT trace_id, root_span_id FROM trace_facts"))

    def root_spans(self, trace_ids: Iterable[str]) -> dict[str, Span]:
        """Trace id -> the span that ``roots`` names, of the traces ``trace_ids``."""
        roots = self.roots()
        found: dict[str, Span] = {}
        for part in chunks([trace_id for trace_id in trace_ids if trace_id in roots], BATCH_TRACES):
            for trace_id, rows in self._rows_of(part):
                root = next(row for row in rows if row[SPAN_ID] == roots[trace_id])
                found[trace_id] = span_of(root)
        return found

    def unsettled(self, read_at: datetime) -> frozenset[str]:
        """The ids of the traces of which more may come, had they been read at ``read_at``.

        A trace is open while it has no root span or its root has not ended, until ``STILL_OPEN``
        after its last activity. One that is complete settles within ``SETTLING``.
        """
        rows = self._rows(
            "SELECT trace_id FROM trace_facts "
            "WHERE last_activity_unix_nano > if(root_has_ended, ?, ?)",
            [unix_nano_of(read_at - SETTLING), unix_nano_of(read_at - STILL_OPEN)],
        )
        return frozenset(row[0] for row in rows)

    def trace_ids(self) -> frozenset[str]:
        """The ids of all traces."""
        return frozenset(self._positions)

    def span_count(self) -> int:
        """The number of spans of all traces."""
        return sum(position.rows for position in self._positions.values())

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
            f"SELECT trace_id, size FROM trace_facts WHERE {condition} AND size <= {MAX_TRACE_CHARS} "
            f"ORDER BY {ORDERS['start']}, trace_id",
            values,
        )

    def _whole(self, trace_ids: Sequence[str]) -> Iterator[Trace]:
        """The named traces with their spans and scores, all in memory at once."""
        rows = dict(self._rows_of(trace_ids))
        scores = self._scores(trace_ids)
        for trace_id in trace_ids:
            spans = tuple(map(span_of, rows[trace_id]))
            yield Trace(trace_id=trace_id, spans=spans, scores=tuple(scores.get(trace_id, ())))

    def _scores(self, trace_ids: Sequence[str]) -> dict[str, list[Score]]:
        query = f"SELECT {SCORE_COLUMNS} FROM scores WHERE trace_id IN ? ORDER BY ALL"
        scores: dict[str, list[Score]] = {}
        scored = [trace_id for trace_id in trace_ids if self._positions[trace_id].scores]
        for row in self._rows(query, [scored]) if scored else ():
            scores.setdefault(row[0], []).append(score_of(row))
        return scores

    # -- the files of the parts -------------------------------------------------------------------

    @cached_property
    def _positions(self) -> dict[str, Position]:
        """Where each trace is."""
        hidden = self._manifest.superseded
        found = (
            positions_in(self.path / p, hidden.get(p, frozenset())) for p in self._manifest.parts
        )
        with self._lock, part_errors(self.path):
            return dict(chain.from_iterable(found))

    def _forget_parts(self) -> None:
        """Close the files that are open."""
        self._readers.clear()

    def _rows_of(
        self, trace_ids: Iterable[str], columns: Sequence[str] | None = None
    ) -> Iterator[tuple[str, list[SqlRow]]]:
        """Those of ``trace_ids`` that are stored, as they are stored, with their rows."""
        known = {trace_id: self._positions.get(trace_id) for trace_id in trace_ids}
        for run in adjacent({name: place for name, place in known.items() if place}):
            part, first, *_ = run[0][1]
            number = sum(position.rows for _, position in run)
            rows = values_in(self._read(part, first, number, columns))
            for trace_id, position in run:
                yield trace_id, list(islice(rows, position.rows))

    def _pieces(self, trace_id: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows of a trace, of any size, a row group at a time."""
        position = self._positions.get(trace_id)
        if position is not None:
            with self._lock, part_errors(self.path):
                pieces = list(self._reader(position.part).pieces(position.first_row, position.rows))
            for first, number in pieces:
                yield self._read(position.part, first, number, columns)

    def _read(
        self, part: str, first: int, number: int, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """``number`` rows from ``first`` of a part."""
        with self._lock, part_errors(self.path):
            return self._reader(part).rows(first, number, columns or list(SPANS))

    def _reader(self, part: str) -> PartReader:
        """The reader of a part, its file being open."""
        if part not in self._readers:
            if len(self._readers) == OPEN_PARTS:
                self._readers.pop(next(iter(self._readers)))
            self._readers[part] = PartReader(self.path / part / SPANS_FILE)
        return self._readers[part]


def adjacent(positions: Mapping[str, Position]) -> Iterator[list[tuple[str, Position]]]:
    """Traces with their positions, those that are stored one after the other together."""
    run: list[tuple[str, Position]] = []
    for trace_id, position in sorted(positions.items(), key=itemgetter(1)):
        if run and not follows(run[-1][1], position):
            yield run
            run = []
        run.append((trace_id, position))
    if run:
        yield run


def follows(before: Position, after: Position) -> bool:
    """Whether ``after`` begins where ``before`` ends."""
    return (before.part, before.first_row + before.rows) == (after.part, after.first_row)


def outline_row(row: SqlRow) -> OutlineRow:
    """A row of an outline, of the columns ``OUTLINE``."""
    values = dict(zip(OUTLINE, row, strict=True))
    lengths = {name: len(values[name] or "") for name in ("input_chars", "output_chars")}
    return OutlineRow(**{**values, **lengths})


def is_unsettled(spans: Sequence[SpanLike], read_at: datetime) -> bool:
    """Whether more of the trace of ``spans`` may come, as ``TraceReader.unsettled`` says."""
    last = last_activity(spans)
    has_ended = any(s.parent_span_id is None and s.end_time_unix_nano is not None for s in spans)
    settled = unix_nano_of(read_at - (SETTLING if has_ended else STILL_OPEN))
    return last is not None and settled is not None and last > settled


def batches(sizes: Iterable[tuple[str, int]]) -> Iterator[list[str]]:
    """Trace ids in batches of at most ``BATCH_CHARS`` and ``BATCH_TRACES``, at least one each."""
    return sized_chunks(sizes, BATCH_CHARS, BATCH_TRACES)
