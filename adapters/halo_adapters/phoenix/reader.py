"""Reading of whole traces from Phoenix.

Full spans cost the server about a millisecond each. A span query for some columns costs a tenth of
that, and one column can be a whole branch of the attributes ("llm", "input", ...). So the reader
lists the traces, samples full spans for the branches that the project has, and queries those
branches for some traces at a time. Full spans are read only where a span failed: the exception is
in its events, which no column holds.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import islice

from halo_adapters.base import Project, TracePage, TraceQuery, is_own_annotation
from halo_adapters.dialects.errors import DialectErrors
from halo_adapters.json_values import JsonObject
from halo_adapters.phoenix.client import TITLE, PhoenixClient
from halo_adapters.phoenix.mapping import (
    COLUMNS,
    SPAN_ID,
    score_from_annotation_row,
    span_from_columns,
    span_from_json,
)
from halo_adapters.trace_failures import missing_trace, time_failures
from halo_adapters.transport.prefetch import prefetch
from halo_engine.chunks import chunks
from halo_engine.schema import Score, Span, SpanKind, Trace
from halo_engine.statistics.sampling import sample_ids

# Full spans of each kind that are read for the names of the attribute branches, and by how many
# threads.
SAMPLE_SPANS = 50
SAMPLE_THREADS = 4

# Limits of a span query: in effect none, and one that an answer must stay below to be complete.
ALL_SPANS = 100_000_000
MAX_ROWS = 20_000

# Traces per query, adapted so that an answer comes near one of the targets.
FIRST_BATCH = 20
LARGEST_BATCH = 500
TARGET_ROWS = 2_000
TARGET_BYTES = 8_000_000
READERS = 2

IDS_PER_URL = 250

# Embedding vectors are not analysed and would be most of the answer.
EXCLUDED_BRANCHES = frozenset({"embedding"})

TRACES_VERSION = (13, 15)
TRACE_FILTER_VERSION = (20, 3)


class PhoenixReader:
    """Reads the traces of one project, with less than ``max_rows`` spans per query."""

    def __init__(self, client: PhoenixClient, project: Project, max_rows: int = MAX_ROWS) -> None:
        self._client = client
        self._project = project
        self._max_rows = max_rows
        self._branches: list[str] = []
        self._annotated: set[str] | None = None
        self._dialect_errors = DialectErrors()
        self._batch_size = FIRST_BATCH

    def pages(self, query: TraceQuery) -> Iterator[TracePage]:
        """Every matching trace, whole; newest first."""
        wanted = self._trace_ids(query)
        self._branches = self._sample_branches(query)
        self._annotated = self._annotated_spans()
        missing = deque(trace_id for trace_id in wanted if trace_id not in query.already_stored)
        found: set[str] = set(query.already_stored)
        yield TracePage(total=len(wanted))
        for traces in prefetch(missing, lambda: self._batch_size, self._read, READERS):
            found.update(trace.trace_id for trace in traces)
            failures = (*time_failures(TITLE, traces), *self._dialect_errors.take())
            yield TracePage(traces=tuple(traces), failures=failures, total=len(wanted))
        place = f" in project {self._project.name!r}"
        lost = (
            missing_trace(TITLE, trace_id, place) for trace_id in wanted if trace_id not in found
        )
        yield TracePage(failures=tuple(lost))

    # -- ids of matching traces ------------------------------------------------------------------

    def _trace_ids(self, query: TraceQuery) -> list[str]:
        """The ids of the matching traces, newest first (given ids alone: as given)."""
        if query.has_only_ids:
            return list(dict.fromkeys(query.trace_ids))
        matching = self._matching(query)
        if query.sample is not None:
            return sample_ids(matching, query.sample, query.seed)
        return list(islice(matching, query.limit))

    def _matching(self, query: TraceQuery) -> Iterator[str]:
        allowed = list(self._filtered_ids(query))
        for trace_id in self._list_trace_ids(query):
            if all(trace_id in ids for ids in allowed):
                yield trace_id

    def _list_trace_ids(self, query: TraceQuery) -> Iterator[str]:
        self._client.require(TRACES_VERSION, "Listing traces")
        params: JsonObject = {"sort": "start_time", "order": "desc", **start_time_params(query)}
        if query.session_id:
            params["session_identifier"] = query.session_id
        if query.errors_only:
            self._client.require(TRACE_FILTER_VERSION, "Reading only traces with errors")
            params["filter"] = "error_count > 0"
        for page in self._client.traces(self._project, params):
            yield from (trace["trace_id"] for trace in page)

    def _filtered_ids(self, query: TraceQuery) -> Iterator[set[str]]:
        """For each filter that the list of traces lacks, the ids of the traces that pass it."""
        if query.trace_ids:
            yield set(query.trace_ids)
        if query.names:
            yield self._trace_ids_where(f"parent_id is None and name in {list(query.names)!r}")
        user = {} if query.user_id is None else {"user.id": query.user_id}
        for key, value in {**user, **query.metadata}.items():
            attribute = f"attributes[{list(key.split('.'))!r}]"
            any_literal = " or ".join(f"{attribute} == {text}" for text in literals(value))
            yield self._trace_ids_where(any_literal)

    def _trace_ids_where(self, condition: str) -> set[str]:
        """The ids of the traces in which some span meets ``condition``."""
        rows, _ = self._client.select(self._project, ["trace_id"], condition, ALL_SPANS)
        return {row[0] for row in rows}

    # -- spans -----------------------------------------------------------------------------------

    def _sample_branches(self, query: TraceQuery) -> list[str]:
        """The top-level attribute names in samples of every span kind."""

        def sample(kind: SpanKind) -> set[str]:
            params = {"span_kind": kind.value, "limit": SAMPLE_SPANS, **start_time_params(query)}
            spans = next(self._client.full_spans(self._project, params), [])
            return {key.partition(".")[0] for span in spans for key in span["attributes"]}

        with ThreadPoolExecutor(SAMPLE_THREADS) as pool:
            return sorted(set().union(*pool.map(sample, SpanKind)) - EXCLUDED_BRANCHES)

    def _read(self, trace_ids: Sequence[str]) -> list[Trace]:
        """Read these traces whole, in halves where an answer would be too large."""
        columns = [*COLUMNS, *(f"attributes[{branch!r}]" for branch in self._branches)]
        condition = f"trace_id in {list(trace_ids)!r}"
        rows, size = self._client.select(self._project, columns, condition, self._max_rows)
        self._adapt(len(trace_ids), len(rows), size)
        if len(rows) < self._max_rows:
            spans = [
                span_from_columns(row, self._branches, self._project.name, self._dialect_errors)
                for row in rows
            ]
            return self._traces(trace_ids, spans)
        if len(trace_ids) == 1:
            return self._traces(trace_ids, self._read_full_spans({"trace_id": trace_ids[0]}))
        half = len(trace_ids) // 2
        return self._read(trace_ids[:half]) + self._read(trace_ids[half:])

    def _adapt(self, traces: int, rows: int, size: int) -> None:
        """Set the next batch size so that its answer comes near a target."""
        fill = max(rows / TARGET_ROWS, size / TARGET_BYTES, 0.25)
        self._batch_size = max(1, min(LARGEST_BATCH, int(traces / fill)))

    def _traces(self, trace_ids: Sequence[str], spans: list[Span]) -> list[Trace]:
        spans_by_trace: dict[str, list[Span]] = defaultdict(list)
        for span in self._with_events(spans):
            spans_by_trace[span.trace_id].append(span)
        scores: dict[str, list[Score]] = defaultdict(list)
        for trace_id, score in self._scores(spans, trace_ids):
            if not is_own_annotation(score.name):
                scores[trace_id].append(score)
        return [
            Trace(trace_id=t, spans=tuple(spans_by_trace[t]), scores=tuple(scores[t]))
            for t in trace_ids
            if t in spans_by_trace
        ]

    def _with_events(self, spans: list[Span]) -> Iterable[Span]:
        """``spans``, with the failed ones replaced by full spans."""
        failed = [s.span_id for s in spans if s.status.code == "ERROR" and not s.events]
        full: dict[str, Span] = {}
        for ids in chunks(failed, IDS_PER_URL):
            full.update((span.span_id, span) for span in self._read_full_spans({"span_id": ids}))
        return [full.get(span.span_id, span) for span in spans]

    def _read_full_spans(self, params: JsonObject) -> list[Span]:
        pages = self._client.full_spans(self._project, params)
        return [
            span_from_json(row, self._project.name, self._dialect_errors)
            for page in pages
            for row in page
        ]

    # -- scores ----------------------------------------------------------------------------------

    def _annotated_spans(self) -> set[str] | None:
        """The ids of spans that something else annotated; None where the server cannot list names.

        Annotations are read for as many spans per request as a URL can hold, which is too slow to
        do for the many spans that have none.
        """
        names = self._client.annotation_names(self._project)
        if names is None:
            return None
        has_any = " or ".join(
            f"annotations[{name!r}].{part} is not None"
            for name in names
            if not is_own_annotation(name)
            for part in ("label", "score", "explanation")
        )
        if not has_any:
            return set()
        rows, _ = self._client.select(self._project, ["trace_id"], has_any, ALL_SPANS)
        return {row[SPAN_ID] for row in rows}

    def _scores(
        self, spans: Sequence[Span], trace_ids: Sequence[str]
    ) -> Iterator[tuple[str, Score]]:
        """The trace id and the score of every annotation on these spans and traces."""
        trace_ids_by_span = {span.span_id: span.trace_id for span in spans}
        span_ids = [i for i in trace_ids_by_span if self._annotated is None or i in self._annotated]
        for ids in chunks(span_ids, IDS_PER_URL):
            for row in self._client.annotations(self._project, "span", ids=ids):
                yield trace_ids_by_span[row["span_id"]], score_from_annotation_row(row)
        for ids in chunks(trace_ids, IDS_PER_URL):
            for row in self._client.annotations(self._project, "trace", ids=ids):
                yield row["trace_id"], score_from_annotation_row(row)


def start_time_params(query: TraceQuery) -> JsonObject:
    """The time window of ``query`` as parameters of the REST API."""
    given: dict[str, datetime | None] = {"start_time": query.since, "end_time": query.until}
    return {name: moment.isoformat() for name, moment in given.items() if moment}


def literals(value: str) -> list[str]:
    """Python literals that an attribute equal to ``value`` may have: text, number or boolean."""
    spelled = {"true": "True", "false": "False"}.get(value.lower())
    if spelled is None and value.replace(".", "", 1).lstrip("-").isdecimal():
        spelled = value
    return [repr(value)] if spelled is None else [repr(value), spelled]
