"""The trace store: whole traces in, overview, lists, searches, outlines and texts out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import duckdb

from halo_engine.errors import EngineError
from halo_engine.fields import field_text
from halo_engine.schema import Score, Span, Trace, datetime_of, in_order, unix_nano_of
from halo_engine.store.database import first_line, open_to_read, open_to_write
from halo_engine.store.rows import (
    SCORES,
    SPANS,
    Row,
    score_of,
    score_row,
    span_of,
    span_row,
    table_of,
)
from halo_engine.store.sql import SqlProcess
from halo_engine.store.views import (
    SNIPPET_CHARS,
    Count,
    Hit,
    OutlineRow,
    Overview,
    TraceFilter,
    TraceOrder,
    TraceSummary,
)

# A trace whose texts are longer is read in parts (``spans``, ``outline``), never as one value.
MAX_TRACE_BYTES = 64_000_000
BATCH_BYTES = 16_000_000
BATCH_TRACES = 500
STREAMED_ROWS = 200

SEARCHED = ("input", "output", "status_message", "input_messages", "output_messages", "events")
SQL_SECONDS = 10.0
SQL_ROWS = 1000

ORDERS: dict[TraceOrder, str] = {
    "start": "start_time_unix_nano NULLS LAST",
    "duration": "end_time_unix_nano - start_time_unix_nano DESC NULLS LAST",
    "spans": "spans DESC",
    "errors": "errors DESC",
    "tokens": "tokens DESC NULLS LAST",
    "cost": "cost DESC NULLS LAST",
}


class SpanPosition(NamedTuple):
    """Where a span stands in its trace."""

    span_id: str
    parent_span_id: str | None
    start_time_unix_nano: int | None


class TraceStore:
    """The traces of one run.

    ``TraceStore(path)`` writes (one process at a time); ``TraceStore(path, read_only=True)`` reads,
    and is the only one that answers ``sql``.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.read_only = read_only
        self._db = open_to_read(path) if read_only else open_to_write(path)
        self._sql = SqlProcess(path)
        self._held = set() if read_only else set(self.trace_ids())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write what is pending and let the file go."""
        self._sql.close()
        self._db.close()

    # -- writing ---------------------------------------------------------------------------------

    def ingest(self, traces: Iterable[Trace]) -> int:
        """Store ``traces`` on disk at once; returns how many spans came.

        A trace that is there already becomes the union of both: a span that comes again replaces
        its former copy, and existing scores on the trace are replaced as a whole.
        """
        spans: dict[tuple[str, str], Span] = {}
        scores: dict[str, tuple[Score, ...]] = {}
        for trace in traces:
            spans.update({(span.trace_id, span.span_id): span for span in trace.spans})
            scores[trace.trace_id] = (*scores.get(trace.trace_id, ()), *trace.scores)
        again = not self._held.isdisjoint(scores)
        self._db.begin()
        self._replace("spans", SPANS, ["trace_id", "span_id"], map(span_row, spans.values()), again)
        rows = [score_row(trace_id, s) for trace_id, those in scores.items() for s in those]
        self._replace("scores", SCORES, ["trace_id"], rows, again)
        self._db.commit()
        self._held.update(scores)
        return len(spans)

    def _replace(
        self,
        table: str,
        columns: dict[str, str],
        key: list[str],
        rows: Iterable[Row],
        again: bool,
    ) -> None:
        """Insert ``rows``; if some of their traces came ``again``, instead of what has their key."""
        self._db.register("incoming", table_of(columns, list(rows)))
        if again:
            same = " AND ".join(f"{table}.{column} = incoming.{column}" for column in key)
            self._db.execute(f"DELETE FROM {table} USING incoming WHERE {same}")
        self._db.execute(f"INSERT INTO {table} SELECT * FROM incoming")
        self._db.unregister("incoming")

    # -- looking around --------------------------------------------------------------------------

    def overview(self) -> Overview:
        """Counts, times and the commonest names of everything in the store."""
        row = self._one(
            "SELECT count(DISTINCT trace_id), count(*), count(DISTINCT session_id), "
            "count(*) FILTER (status_code = 'ERROR'), min(start_time_unix_nano), "
            "max(start_time_unix_nano) FROM spans"
        )
        return Overview(
            traces=row[0],
            spans=row[1],
            sessions=row[2],
            errors=row[3],
            first=datetime_of(row[4]),
            last=datetime_of(row[5]),
            kinds=self._counts("kind"),
            names=self._counts("name"),
            tools=self._counts("tool_name"),
            models=self._counts("model_name"),
        )

    def _counts(self, column: str, limit: int = 50) -> tuple[Count, ...]:
        rows = self._all(
            f"SELECT {column}, count(*) AS n FROM spans WHERE {column} IS NOT NULL "
            f"GROUP BY 1 ORDER BY n DESC, 1 LIMIT {limit}"
        )
        return tuple(Count(value=value, spans=spans) for value, spans in rows)

    def document_score_quantile(self, quantile: float, *, at_least: int) -> float | None:
        """The ``quantile`` (0 to 1) of all retrieved documents' scores; None under ``at_least``."""
        count, value = self._one(
            "SELECT count(score), quantile_cont(score, ?) FROM "
            "(SELECT unnest(CAST(documents->'$[*].score' AS DOUBLE[])) AS score "
            "FROM spans WHERE documents IS NOT NULL)",
            [quantile],
        )
        return None if count < at_least else float(value)

    def count(self, where: TraceFilter | None = None) -> int:
        """How many traces match ``where``."""
        condition, values = condition_of(where)
        number: int = self._one(f"SELECT count(*) FROM traces WHERE {condition}", values)[0]
        return number

    def find(
        self,
        where: TraceFilter | None = None,
        *,
        order: TraceOrder = "start",
        limit: int = 50,
        offset: int = 0,
    ) -> list[TraceSummary]:
        """Summaries of the traces that match ``where``, in ``order``."""
        condition, values = condition_of(where)
        return self._summaries(
            f"WHERE {condition} ORDER BY {ORDERS[order]}, trace_id LIMIT ? OFFSET ?",
            [*values, limit, offset],
        )

    def sample(
        self, size: int, *, seed: int, where: TraceFilter | None = None, spread: bool = False
    ) -> list[TraceSummary]:
        """``size`` of the matching traces at random; the same ``seed`` draws the same ones.

        ``spread`` draws one of each shape (the column of ``traces``) before a second one of any, so
        that rare kinds of runs are seen. Shares among all traces cannot be told from that.
        """
        condition, values = condition_of(where)
        lot = "md5(? || trace_id), trace_id"
        order = f"row_number() OVER (PARTITION BY shape ORDER BY {lot}), {lot}" if spread else lot
        seeds = [str(seed)] * (2 if spread else 1)
        return self._summaries(
            f"WHERE {condition} ORDER BY {order} LIMIT ?", [*values, *seeds, size]
        )

    def _summaries(self, clauses: str, values: Sequence[object]) -> list[TraceSummary]:
        names = list(TraceSummary.model_fields)
        rows = self._all(f"SELECT {', '.join(names)} FROM traces {clauses}", values)
        return [TraceSummary(**dict(zip(names, row, strict=True))) for row in rows]

    def search(
        self,
        pattern: str,
        *,
        regex: bool = False,
        ignore_case: bool = True,
        fields: Sequence[str] = SEARCHED,
        where: TraceFilter | None = None,
        limit: int = 50,
    ) -> list[Hit]:
        """Where ``pattern`` stands in the texts of all traces, one hit per span and field.

        A regular expression is RE2's: linear in time, without look-around and back-references.
        Raises ``EngineError`` for a pattern that RE2 does not take, or an unknown field.
        """
        body = pattern if regex else re2_quote(pattern)
        expression = f"(?is){body}" if ignore_case else f"(?s){body}"
        query, values = self._matching(expression, fields, where)
        rows = self._all(f"{query} ORDER BY trace_id, span_id, field LIMIT ?", [*values, limit])
        return [Hit(**hit_of(row)) for row in rows]

    def first_matches(self, pattern: str, *, fields: Sequence[str] | None = None) -> list[Hit]:
        """Where the regular expression ``pattern`` first matches in each trace.

        It is taken as it is written, upper and lower case being different. Raises ``EngineError``
        as ``search`` does.
        """
        query, values = self._matching(pattern, fields or SEARCHED, None)
        first = "row_number() OVER (PARTITION BY trace_id ORDER BY start, span_id, field) = 1"
        rows = self._all(f"FROM ({query}) QUALIFY {first} ORDER BY trace_id", values)
        return [Hit(**hit_of(row)) for row in rows]

    def _matching(
        self, expression: str, fields: Sequence[str], where: TraceFilter | None
    ) -> tuple[str, list[object]]:
        """A query for the places at which ``expression`` matches, and its values."""
        if unknown := set(fields) - set(SEARCHED):
            raise EngineError(f"No field {sorted(unknown)[0]!r} to search: {', '.join(SEARCHED)}.")
        condition, values = condition_of(where)
        parts = [self._search_field(field, condition) for field in fields]
        return " UNION ALL ".join(parts), [
            x for _ in fields for x in (expression, expression, *values)
        ]

    @staticmethod
    def _search_field(field: str, condition: str) -> str:
        around = f"greatest(1, position - {SNIPPET_CHARS // 2}), {SNIPPET_CHARS} + length(match)"
        return (
            f"(SELECT trace_id, span_id, '{field}' AS field, position - 1, "
            f"match, substr(text, {around}), start FROM "
            f"(SELECT *, strpos(text, match) AS position FROM "
            f"(SELECT trace_id, span_id, start_time_unix_nano AS start, {field} AS text, "
            f"regexp_extract({field}, ?) AS match "
            f"FROM spans WHERE regexp_matches({field}, ?) AND trace_id IN "
            f"(SELECT trace_id FROM traces WHERE {condition}))))"
        )

    def sql(
        self,
        query: str,
        *,
        rows: int = SQL_ROWS,
        seconds: float = SQL_SECONDS,
        chars: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> list[dict[str, Any]]:
        """The first ``rows`` rows of a query over ``spans``, ``traces`` and ``scores``.

        Values are as JSON has them: numbers, texts, lists; moments and decimals are texts. Texts
        are cut at ``chars`` characters; of the columns only ``columns`` are kept. The query runs in
        a process of its own, which it can harm, but not this one. Only on a store opened read-only.
        Raises ``EngineError`` with DuckDB's own words for a query that fails, or that is not one
        SELECT, takes longer than ``seconds`` or more memory than a query should.
        """
        if not self.read_only:
            raise EngineError("SQL needs a store opened with read_only=True.")
        return self._sql.rows(query, rows=rows, seconds=seconds, chars=chars, columns=columns)

    # -- reading ---------------------------------------------------------------------------------

    def outline(self, trace_id: str, *, limit: int = 500, offset: int = 0) -> list[OutlineRow]:
        """The spans of a trace without their texts, in order of start."""
        names = list(OutlineRow.model_fields)
        lengths = {"input_chars": "input", "output_chars": "output"}
        columns = [f"coalesce(length({lengths[n]}), 0)" if n in lengths else n for n in names]
        rows = self._all(
            f"SELECT {', '.join(columns)} FROM spans WHERE trace_id = ? "
            "ORDER BY start_time_unix_nano, span_id LIMIT ? OFFSET ?",
            [trace_id, limit, offset],
        )
        return [OutlineRow(**dict(zip(names, row, strict=True))) for row in rows]

    def span_ids(self, trace_ids: Sequence[str]) -> dict[str, list[str]]:
        """Trace id -> the ids of its spans in the order in which ``trace`` gives them."""
        rows = self._all(
            "SELECT trace_id, span_id, parent_span_id, start_time_unix_nano FROM spans "
            "WHERE trace_id IN (SELECT unnest(?)) ORDER BY rowid",
            [list(trace_ids)],
        )
        places: dict[str, list[SpanPosition]] = {}
        for trace_id, *place in rows:
            places.setdefault(trace_id, []).append(SpanPosition(*place))
        return {t: [place.span_id for place in in_order(those)] for t, those in places.items()}

    def trace(self, trace_id: str) -> Trace | None:
        """A whole trace, or None. Raises ``EngineError`` for one that is too large for memory."""
        rows, size = list[Row](), 0
        for row in self._stream("SELECT rowid, * FROM spans WHERE trace_id = ?", [trace_id]):
            rows.append(row)
            size += row[-1]
            if size > MAX_TRACE_BYTES:
                raise EngineError(
                    f"Trace {trace_id} holds more than {MAX_TRACE_BYTES / 1e6:.0f} MB of text: "
                    "read it in parts."
                )
        return trace_of(trace_id, rows, self._scores([trace_id])) if rows else None

    def spans(self, trace_id: str, *, batch: int = 200) -> Iterator[Span]:
        """The spans of a trace in order of start, however large it is, ``batch`` at a time."""
        order = [row.span_id for row in self.outline(trace_id, limit=2**31)]
        for start in range(0, len(order), batch):
            ids = order[start : start + batch]
            rows = self._all(
                "SELECT * FROM spans WHERE trace_id = ? AND span_id IN (SELECT unnest(?))",
                [trace_id, ids],
            )
            found = {span.span_id: span for span in map(span_of, rows)}
            yield from (found[span_id] for span_id in ids)

    def span(self, trace_id: str, span_id: str) -> Span | None:
        """One span, or None."""
        rows = self._all(
            "SELECT * FROM spans WHERE trace_id = ? AND span_id = ?", [trace_id, span_id]
        )
        return span_of(rows[0]) if rows else None

    def text(
        self, trace_id: str, span_id: str, field: str, *, start: int = 0, length: int = 4000
    ) -> str | None:
        """``length`` characters of one field (see ``fields``) of one span, or None."""
        span = self.span(trace_id, span_id)
        text = field_text(span, field) if span else None
        return None if text is None else text[start : start + length]

    def traces(self, where: TraceFilter | None = None) -> Iterator[Trace]:
        """Every matching trace whole, by start, leaving out those in ``oversized``."""
        condition, values = condition_of(where)
        sizes = self._all(
            f"SELECT trace_id, size FROM traces WHERE {condition} AND size <= {MAX_TRACE_BYTES} "
            f"ORDER BY {ORDERS['start']}, trace_id",
            values,
        )
        for batch in batches(sizes):
            yield from self._whole(batch)

    def roots(self) -> dict[str, str]:
        """Trace id -> its root span, or its earliest where the root was not recorded."""
        rows = self._all(
            "SELECT trace_id, arg_min(span_id, (parent_span_id IS NOT NULL, "
            "coalesce(start_time_unix_nano, 0), span_id)) FROM spans GROUP BY trace_id"
        )
        return dict(rows)

    def trace_ids(self) -> frozenset[str]:
        """The ids of all traces."""
        return frozenset(row[0] for row in self._all("SELECT DISTINCT trace_id FROM spans"))

    def scores(self, name: str | None = None, *, limit: int = 100) -> list[tuple[str, Score]]:
        """Trace id and score of the judgements called ``name`` (None: all), by trace and name."""
        rows = self._all(
            "SELECT * FROM scores WHERE ? IS NULL OR name = ? ORDER BY trace_id, name LIMIT ?",
            [name, name, limit],
        )
        return [(row[0], score_of(row)) for row in rows]

    def in_order(self) -> list[tuple[str, int]]:
        """Trace id and size in bytes of every trace, by start, without those in ``oversized``."""
        return self._all(
            f"SELECT trace_id, size FROM traces WHERE size <= {MAX_TRACE_BYTES} "
            f"ORDER BY {ORDERS['start']}, trace_id"
        )

    def oversized(self) -> list[TraceSummary]:
        """The traces that are too large to be held in memory as one value."""
        return self._summaries(f"WHERE size > {MAX_TRACE_BYTES} ORDER BY trace_id", [])

    def _whole(self, trace_ids: Sequence[str]) -> Iterator[Trace]:
        query = "SELECT rowid, * FROM spans WHERE trace_id IN (SELECT unnest(?))"
        spans: dict[str, list[Row]] = {}
        for row in self._all(query, [trace_ids]):
            spans.setdefault(row[1], []).append(row)
        scores = self._scores(trace_ids)
        for trace_id in trace_ids:
            yield trace_of(trace_id, spans[trace_id], scores)

    def _scores(self, trace_ids: Sequence[str]) -> dict[str, list[Score]]:
        query = "SELECT * FROM scores WHERE trace_id IN ? ORDER BY ALL"
        scores: dict[str, list[Score]] = {}
        for row in self._all(query, [trace_ids]):
            scores.setdefault(row[0], []).append(score_of(row))
        return scores

    # -- the connection --------------------------------------------------------------------------

    def _all(self, query: str, values: Sequence[object] = ()) -> list[Row]:
        try:
            return self._db.execute(query, list(values)).fetchall()
        except duckdb.Error as error:
            raise EngineError(f"The trace store refused a query: {first_line(error)}") from error

    def _stream(self, query: str, values: Sequence[object]) -> Iterator[Row]:
        """The rows as DuckDB finds them, so that a reader can stop before all are in memory."""
        try:
            result = self._db.execute(query, list(values))
            while rows := result.fetchmany(STREAMED_ROWS):
                yield from rows
        except duckdb.Error as error:
            raise EngineError(f"The trace store refused a query: {first_line(error)}") from error

    def _one(self, query: str, values: Sequence[object] = ()) -> Row:
        return self._all(query, values)[0]


def trace_of(trace_id: str, rows: list[Row], scores: Mapping[str, Sequence[Score]]) -> Trace:
    """A trace from its ``rows``: a row id, by which spans without a time are ordered, and a span."""
    rows.sort(key=itemgetter(0))
    spans = [span_of(row[1:]) for row in rows]
    return Trace(
        trace_id=trace_id,
        spans=tuple(in_order(spans)),
        scores=tuple(scores.get(trace_id, ())),
    )


def condition_of(where: TraceFilter | None) -> tuple[str, list[object]]:
    """``where`` as an SQL condition over ``traces``, and its values."""
    where = where or TraceFilter()
    span_has = "trace_id IN (SELECT trace_id FROM {} = ?)"
    conditions: dict[str, object] = {
        "trace_id IN (SELECT unnest(?))": None if where.ids is None else list(where.ids),
        "(errors > 0) = ?": where.has_error,
        "name = ?": where.name,
        "session_id = ?": where.session_id,
        span_has.format("spans WHERE tool_name"): where.tool,
        span_has.format("scores WHERE name"): where.score,
        "start_time_unix_nano >= ?": unix_nano_of(where.since),
        "start_time_unix_nano < ?": unix_nano_of(where.until),
        "spans >= ?": where.min_spans,
    }
    given = {sql: value for sql, value in conditions.items() if value is not None}
    return " AND ".join(given) or "true", list(given.values())


def batches(sizes: Sequence[Row]) -> Iterator[list[str]]:
    """Trace ids in groups that together stay within ``BATCH_BYTES`` and ``BATCH_TRACES``."""
    batch: list[str] = []
    held = 0
    for trace_id, size in sizes:
        if batch and (held + size > BATCH_BYTES or len(batch) == BATCH_TRACES):
            yield batch
            batch, held = [], 0
        batch.append(trace_id)
        held += size
    if batch:
        yield batch


def hit_of(row: Row) -> dict[str, Any]:
    """A row of a search by name, without what it was only ordered by."""
    names = ("trace_id", "span_id", "field", "offset", "match", "snippet")
    return dict(zip(names, row, strict=False))


def re2_quote(text: str) -> str:
    """``text`` as an RE2 expression that matches just it."""
    return "".join(c if c.isalnum() or ord(c) > 127 else f"\\x{{{ord(c):x}}}" for c in text)
