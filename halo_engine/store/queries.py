"""Queries over all traces of a store: overview, counts, filtered lists, random samples."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from halo_engine.findings import MaskedKind, UnreadSpans
from halo_engine.schema import SpanKind, datetime_of, unix_nano_of
from halo_engine.statistics.outliers import Measure, RunMeasures
from halo_engine.statistics.sampling import sample_across_groups, sample_ids
from halo_engine.store.columns import COUNTED
from halo_engine.store.connection import StoreConnection
from halo_engine.store.views import (
    AgentCounts,
    Count,
    Overview,
    TraceFilter,
    TraceLabels,
    TraceOrder,
    TraceSummary,
)
from halo_engine.unread import unread_groups

# A trace whose texts are longer is read in parts (``spans``, ``outline``), never as one value.
MAX_TRACE_CHARS = 64_000_000
OVERVIEW_VALUES = 50

# Materialized, since the files of all parts would otherwise be read twice.
TOTALS = """
WITH facts AS MATERIALIZED (
    SELECT spans, errors, start_time_unix_nano, last_start_unix_nano, session_ids FROM trace_facts
)
SELECT count(*), coalesce(sum(spans), 0), coalesce(sum(errors), 0),
    min(start_time_unix_nano), max(last_start_unix_nano),
    (SELECT count(DISTINCT id) FROM (SELECT unnest(session_ids) AS id FROM facts))
FROM facts
"""

# Retrievals by agents: evaluators and all below them are not part of a run.
AGENT_RETRIEVALS = """
WITH RECURSIVE evaluation AS (
    SELECT trace_id, span_id FROM spans WHERE kind = 'EVALUATOR'
    UNION
    SELECT s.trace_id, s.span_id FROM spans s
    JOIN evaluation e ON s.trace_id = e.trace_id AND s.parent_span_id = e.span_id
)
SELECT coalesce(name, ''), CAST(documents->'$[*].score' AS DOUBLE[]) AS scores
FROM spans ANTI JOIN evaluation USING (trace_id, span_id)
WHERE kind = 'RETRIEVER' AND documents IS NOT NULL AND len(scores) > 0
    AND list_count(scores) = json_array_length(documents)
ORDER BY trace_id, span_id
"""

# Of the traces in which an agent ran.
OF_RUNS = "FROM trace_facts WHERE agent_spans > 0 ORDER BY trace_id"

# The columns of ``run_sizes``.
RUN_SIZES = ("seconds", "cost in USD", "tokens", "model calls", "tool calls")

ORDERS: dict[TraceOrder, str] = {
    "start": "start_time_unix_nano NULLS LAST",
    "duration": "end_time_unix_nano - start_time_unix_nano DESC NULLS LAST",
    "spans": "spans DESC",
    "errors": "errors DESC",
    "tokens": "tokens DESC NULLS LAST",
    "cost": "cost DESC NULLS LAST",
}


# Fields of a span that can hold text.
TEXT_FIELDS = (
    *("name", "status_message", "input", "output", "input_messages", "output_messages", "tools"),
    *("documents", "tool_name", "session_id", "user_id", "events", "attributes", "resource"),
)
MASKED = rf"""
WITH texts AS (
    SELECT trace_id, span_id, unnest({list(TEXT_FIELDS)}) AS field,
        unnest([{", ".join(TEXT_FIELDS)}]) AS text
    FROM spans
    WHERE {" OR ".join(f"contains({field}, '[redacted:')" for field in TEXT_FIELDS)}
    UNION ALL
    SELECT trace_id, span_id, 'score ' || name, explanation FROM scores
), masked AS (
    SELECT trace_id, span_id, field,
        unnest(regexp_extract_all(text, '\[redacted:([a-z0-9-]+#[a-z2-7]{{8}})\]', 1)) AS id
    FROM texts
    WHERE contains(text, '[redacted:')
)
SELECT
    split_part(id, '#', 1) AS kind,
    count(DISTINCT id) AS secrets,
    count(DISTINCT (trace_id, span_id, field)) AS texts,
    count(DISTINCT trace_id) AS traces
FROM masked
GROUP BY kind
ORDER BY secrets DESC, kind
"""


# Spans with neither a kind nor any content, by the names of their attributes.
UNREAD = """
SELECT json_keys(coalesce(attributes, '{}')::JSON) AS names, mode(name), count(*)
FROM spans
WHERE coalesce(kind, 'UNKNOWN') = 'UNKNOWN'
    AND coalesce(input, output, input_messages, output_messages, tools, documents) IS NULL
    AND coalesce(tool_name, agent_name, model_name, finish_reason) IS NULL
    AND coalesce(prompt_tokens, completion_tokens, total_tokens) IS NULL
GROUP BY names
"""


class TraceQueries(StoreConnection):
    """Queries that return counts and one-line summaries of traces, never their texts."""

    def overview(self) -> Overview:
        """Totals, the range of start times, and the most frequent names."""
        row = self._row(TOTALS)
        counts = self._counts()
        return Overview(
            traces=row[0],
            spans=row[1],
            errors=row[2],
            first=datetime_of(row[3]),
            last=datetime_of(row[4]),
            sessions=row[5],
            kinds=counts["kind"],
            names=counts["name"],
            tools=counts["tool_name"],
            models=counts["model_name"],
        )

    def masked_secrets(self) -> tuple[MaskedKind, ...]:
        """What was masked when the traces were read, by kind, the commonest first."""
        names = MaskedKind.model_fields
        return tuple(MaskedKind(**dict(zip(names, row, strict=True))) for row in self._rows(MASKED))

    def unread_spans(self) -> tuple[UnreadSpans, ...]:
        """The spans of which nothing was understood, the commonest first."""
        of_kinds = self._spans_of_kinds()
        known = sum(of_kinds.values()) - of_kinds.get(SpanKind.UNKNOWN, 0)
        (spans,) = self._row("SELECT coalesce(sum(spans), 0) FROM trace_facts")
        return unread_groups(self._rows(UNREAD)) if known < spans else ()

    def _spans_of_kinds(self) -> dict[str, int]:
        """How many spans there are of each kind: of what there are none no span is looked at."""
        query = "SELECT value, sum(spans) FROM counts WHERE field = 'kind' GROUP BY value"
        return {kind: int(spans) for kind, spans in self._rows(query)}

    def _counts(self) -> dict[str, tuple[Count, ...]]:
        """The most frequent values of each column ``COUNTED``, with their number of spans."""
        rows = self._rows(
            "SELECT field, value, sum(spans) AS n FROM counts GROUP BY field, value HAVING n > 0 "
            "QUALIFY row_number() OVER (PARTITION BY field ORDER BY n DESC, value) "
            f"<= {OVERVIEW_VALUES} ORDER BY n DESC, value"
        )
        return {
            column: tuple(
                Count(value=value, spans=n) for field, value, n in rows if field == column
            )
            for column in COUNTED
        }

    def agent_counts(self, trace_ids: Collection[str] | None = None) -> AgentCounts:
        """The numbers of spans that agents recorded in ``trace_ids`` (None: in all traces)."""
        condition, values = within_traces(trace_ids)
        row = self._row(
            "SELECT coalesce(sum(agent_tool_calls), 0), coalesce(sum(agent_failed), 0), "
            f"coalesce(sum(agent_not_failed), 0) FROM trace_facts WHERE {condition}",
            values,
        )
        return AgentCounts(tools=row[0], failed=row[1], not_failed=row[2])

    def retrieval_scores(self) -> Iterator[tuple[str, list[float]]]:
        """The retriever's name and the scores in their order, for each retrieval with scores only."""
        if self._spans_of_kinds().get(SpanKind.RETRIEVER):
            yield from self._iterate(AGENT_RETRIEVALS, [])

    def traces_of_tools(self, trace_ids: Collection[str] | None = None) -> dict[str, int]:
        """Tool -> the number of traces, of all or of ``trace_ids``, in which it ran."""
        condition, values = within_traces(trace_ids)
        return dict(
            self._rows(
                "SELECT tool, count(*) FROM (SELECT unnest(agent_tools) AS tool FROM trace_facts "
                f"WHERE {condition}) GROUP BY tool",
                values,
            )
        )

    def traces_with_tools(self, tools: Collection[str]) -> list[str]:
        """The ids of the traces in which one of ``tools`` ran."""
        return [
            trace_id
            for (trace_id,) in self._rows(
                "SELECT trace_id FROM trace_facts "
                "WHERE list_has_any(tool_names, ?::VARCHAR[]) ORDER BY trace_id",
                [list(tools)],
            )
        ]

    def tools_of_spans(self, spans: Collection[tuple[str, str]]) -> list[str]:
        """The tools that ran in ``spans``, pairs of trace id and span id."""
        trace_ids, span_ids = zip(*spans, strict=True) if spans else ((), ())
        return [
            tool
            for (tool,) in self._rows(
                "SELECT DISTINCT tool_name FROM spans WHERE tool_name IS NOT NULL AND "
                "(trace_id, span_id) IN (SELECT (unnest(?), unnest(?))) ORDER BY tool_name",
                [list(trace_ids), list(span_ids)],
            )
        ]

    def traces_of_shape(self, trace_ids: Collection[str]) -> list[str]:
        """The ids of the traces that run the same tools in the same order as one of these."""
        return [
            trace_id
            for (trace_id,) in self._rows(
                "WITH shapes AS MATERIALIZED (SELECT trace_id, shape FROM trace_facts) "
                "SELECT trace_id FROM shapes WHERE shape IN (SELECT shape FROM shapes "
                "WHERE trace_id IN (SELECT unnest(?))) ORDER BY trace_id",
                [list(trace_ids)],
            )
        ]

    def window_of(self, trace_ids: Collection[str]) -> tuple[datetime | None, datetime | None]:
        """When the first and the last of ``trace_ids`` began; None where that is not recorded."""
        first, last = self._row(
            "SELECT min(start_time_unix_nano), max(start_time_unix_nano) FROM trace_facts "
            "WHERE trace_id IN (SELECT unnest(?))",
            [list(trace_ids)],
        )
        return datetime_of(first), datetime_of(last)

    def run_sizes(self) -> Iterator[tuple[str, dict[str, float]]]:
        """Trace id -> what is recorded of a run: seconds, USD, tokens, model calls and tool calls."""
        rows = self._iterate(
            "SELECT trace_id, (end_time_unix_nano - start_time_unix_nano) / 1e9, cost, tokens, "
            f"agent_model_calls, agent_tool_calls {OF_RUNS}",
            [],
        )
        for trace_id, *values in rows:
            sizes = dict(zip(RUN_SIZES, values, strict=True))
            yield trace_id, {name: float(v) for name, v in sizes.items() if v is not None}

    def run_shapes(self) -> Iterator[tuple[str, str, list[str]]]:
        """Trace id, shape, and the different tools that ran, of each trace."""
        yield from self._iterate(f"SELECT trace_id, shape, agent_tools {OF_RUNS}", [])

    def run_measures(self) -> Iterator[RunMeasures]:
        """The recorded measures of each trace."""
        rows = self._iterate(
            "SELECT trace_id, coalesce(name, ''), array_to_string(models, ', '), cost, tokens, "
            f"agent_model_calls {OF_RUNS}",
            [],
        )
        for trace_id, name, models, *values in rows:
            measured = dict(zip(Measure, values, strict=True))
            recorded = {key: float(value) for key, value in measured.items() if value}
            yield RunMeasures(trace_id, (name, models), recorded)

    def trace_labels(self) -> Iterator[TraceLabels]:
        """When each trace was, what it cost, and its agent, models, release and environment."""
        names = list(TraceLabels.__struct_fields__)
        query = f"SELECT {', '.join(names)} FROM trace_facts ORDER BY trace_id"
        for row in self._iterate(query, []):
            values = dict(zip(names, row, strict=True))
            yield TraceLabels(**{**values, "models": tuple(values["models"])})

    def count(self, where: TraceFilter | None = None) -> int:
        """The number of traces that match ``where``."""
        condition, values = condition_of(where)
        number: int = self._row(f"SELECT count(*) FROM trace_facts WHERE {condition}", values)[0]
        return number

    def find(
        self,
        where: TraceFilter | None = None,
        *,
        order: TraceOrder = "start",
        limit: int = 50,
        offset: int = 0,
    ) -> list[TraceSummary]:
        """Summaries of the traces that match ``where``: start ascending, other orders descending."""
        condition, values = condition_of(where)
        return self._summaries(
            f"WHERE {condition} ORDER BY {ORDERS[order]}, trace_id LIMIT ? OFFSET ?",
            [*values, limit, offset],
        )

    def sample(
        self, size: int, *, seed: int, where: TraceFilter | None = None, spread: bool = False
    ) -> list[TraceSummary]:
        """A random sample of ``size`` matching traces, the same for the same ``seed``.

        ``spread`` draws one trace of each shape (the column of ``traces``) before a second one of
        any, so that rare kinds of runs are included. Shares of all traces cannot be estimated from
        such a sample.
        """
        condition, values = condition_of(where)
        column = "shape" if spread else "NULL"
        rows = self._rows(f"SELECT trace_id, {column} FROM trace_facts WHERE {condition}", values)
        draw = sample_across_groups if spread else sample_ids
        ids = draw(dict(rows), size, seed)
        found = self._summaries("WHERE trace_id IN (SELECT unnest(?))", [ids])
        by_id = {summary.trace_id: summary for summary in found}
        return [by_id[trace_id] for trace_id in ids]

    def oversized(self) -> list[TraceSummary]:
        """The traces over ``MAX_TRACE_CHARS``, which cannot be read as one value."""
        return self._summaries(f"WHERE size > {MAX_TRACE_CHARS} ORDER BY trace_id", [])

    def _summaries(self, clauses: str, values: Sequence[object]) -> list[TraceSummary]:
        """Summaries of the traces that the SQL ``clauses`` after FROM select."""
        names = list(TraceSummary.model_fields)
        rows = self._rows(f"SELECT {', '.join(names)} FROM trace_facts {clauses}", values)
        return [TraceSummary(**dict(zip(names, row, strict=True))) for row in rows]


def within_traces(trace_ids: Collection[str] | None) -> tuple[str, list[object]]:
    """The condition that a row is of one of ``trace_ids`` (None: of any), and its values."""
    if trace_ids is None:
        return "true", []
    return "trace_id IN (SELECT unnest(?))", [list(trace_ids)]


def condition_of(where: TraceFilter | None) -> tuple[str, list[object]]:
    """``where`` as an SQL condition over ``trace_facts``, and the values of its parameters."""
    where = where or TraceFilter()
    conditions: dict[str, object] = {
        "trace_id IN (SELECT unnest(?))": None if where.ids is None else list(where.ids),
        "(errors > 0) = ?": where.has_error,
        "name = ?": where.name,
        "session_id = ?": where.session_id,
        "list_contains(tool_names, ?)": where.tool,
        "trace_id IN (SELECT trace_id FROM scores WHERE name = ?)": where.score,
        "start_time_unix_nano >= ?": unix_nano_of(where.since),
        "start_time_unix_nano < ?": unix_nano_of(where.until),
        "spans >= ?": where.min_spans,
    }
    given = {sql: value for sql, value in conditions.items() if value is not None}
    return " AND ".join(given) or "true", list(given.values())
