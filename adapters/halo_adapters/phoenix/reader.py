"""Whole traces out of Phoenix, fast.

Reading full spans costs the server about a millisecond each. Asking for a few columns costs a tenth
of that, and one column can be a whole branch of the attributes ("llm", "input", ...). So: list the
traces, look at a few full spans to learn which branches this project has, then read those branches
for a handful of traces at a time, and full spans only where a span failed, since the exception is
in its events, which cannot be asked for.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import islice

from halo_adapters.base import ANNOTATION_PREFIX, TracePage, TraceQuery
from halo_adapters.dialects.openinference import span_from_attributes, unix_nano
from halo_adapters.phoenix.client import Json, PhoenixClient, Project, Row
from halo_adapters.transport.prefetch import prefetch
from halo_engine.chunks import chunks
from halo_engine.schema import Failure, Origin, Score, Span, SpanKind, Trace
from halo_engine.statistics.sampling import sample_ids

COLUMNS = ("trace_id", "parent_id", "name", "span_kind", "start_time", "end_time", "status_code")
FIELDS = range(len(COLUMNS))
TRACE_ID, PARENT_ID, NAME, SPAN_KIND, START_TIME, END_TIME, STATUS_CODE = FIELDS
SPAN_ID = -1

SAMPLE_SPANS = 50
SAMPLERS = 4
ALL_SPANS = 100_000_000
MAX_ROWS = 20_000
TARGET_ROWS = 2_000
TARGET_BYTES = 8_000_000
FIRST_BATCH = 20
LARGEST_BATCH = 500
READERS = 2
IDS_PER_URL = 250

# Vectors are of no use to a reader and would be most of what is sent.
LEFT_OUT = frozenset({"embedding"})

TRACES_VERSION = (13, 15)
TRACE_FILTER_VERSION = (20, 3)


class PhoenixReader:
    """Reads the traces of one project, at most ``max_rows`` spans in one answer."""

    def __init__(self, api: PhoenixClient, project: Project, max_rows: int = MAX_ROWS) -> None:
        self._api = api
        self._project = project
        self._max_rows = max_rows
        self._branches: list[str] = []
        self._annotated: set[str] | None = None
        self._batch = FIRST_BATCH

    def pages(self, query: TraceQuery) -> Iterator[TracePage]:
        """Every matching trace, whole; newest first."""
        wanted = self._trace_ids(query)
        self._branches = self._sample_branches(query)
        self._annotated = self._annotated_spans()
        missing = deque(trace_id for trace_id in wanted if trace_id not in query.already_stored)
        found: set[str] = set(query.already_stored)
        yield TracePage(total=len(wanted))
        for traces in prefetch(missing, lambda: self._batch, self._read, READERS):
            found.update(trace.trace_id for trace in traces)
            yield TracePage(traces=tuple(traces), total=len(wanted))
        yield TracePage(failures=tuple(self._not_there(t) for t in wanted if t not in found))

    def _not_there(self, trace_id: str) -> Failure:
        return Failure(
            stage="pull",
            where=trace_id,
            what=f"Phoenix has no spans of this trace in project {self._project.name!r}.",
        )

    # -- which traces ----------------------------------------------------------------------------

    def _trace_ids(self, query: TraceQuery) -> list[str]:
        """The ids of the matching traces, newest first (given ids alone: as given)."""
        if query.has_only_ids:
            return list(dict.fromkeys(query.trace_ids))
        matching = self._matching(query)
        if query.sample is not None:
            return sample_ids(matching, query.sample, query.seed)
        return list(islice(matching, query.limit))

    def _matching(self, query: TraceQuery) -> Iterator[str]:
        allowed = list(self._allowed(query))
        for trace_id in self._listed(query):
            if all(trace_id in ids for ids in allowed):
                yield trace_id

    def _listed(self, query: TraceQuery) -> Iterator[str]:
        self._api.require(TRACES_VERSION, "Listing traces")
        params: Json = {"sort": "start_time", "order": "desc", **bounds(query)}
        if query.session_id:
            params["session_identifier"] = query.session_id
        if query.errors_only:
            self._api.require(TRACE_FILTER_VERSION, "Reading only traces with errors")
            params["filter"] = "error_count > 0"
        for page in self._api.traces(self._project, params):
            yield from (trace["trace_id"] for trace in page)

    def _allowed(self, query: TraceQuery) -> Iterator[set[str]]:
        """For each filter that the list of traces does not know, the traces that meet it."""
        if query.trace_ids:
            yield set(query.trace_ids)
        if query.names:
            yield self._with(f"parent_id is None and name in {list(query.names)!r}")
        user = {} if query.user_id is None else {"user.id": query.user_id}
        for key, value in {**user, **query.metadata}.items():
            attribute = f"attributes[{list(key.split('.'))!r}]"
            yield self._with(" or ".join(f"{attribute} == {text}" for text in literals(value)))

    def _with(self, condition: str) -> set[str]:
        """The traces in which some span meets ``condition``."""
        rows, _ = self._api.select(self._project, ["trace_id"], condition, ALL_SPANS)
        return {row[0] for row in rows}

    # -- their spans -----------------------------------------------------------------------------

    def _sample_branches(self, query: TraceQuery) -> list[str]:
        """The top-level attribute names in this project, seen in some spans of every kind."""

        def sample(kind: SpanKind) -> set[str]:
            params = {"span_kind": kind.value, "limit": SAMPLE_SPANS, **bounds(query)}
            spans = next(self._api.full_spans(self._project, params), [])
            return {key.partition(".")[0] for span in spans for key in span["attributes"]}

        with ThreadPoolExecutor(SAMPLERS) as pool:
            return sorted(set().union(*pool.map(sample, SpanKind)) - LEFT_OUT)

    def _read(self, trace_ids: Sequence[str]) -> list[Trace]:
        """These traces whole: fewer at a time where they are large."""
        columns = [*COLUMNS, *(f"attributes[{branch!r}]" for branch in self._branches)]
        condition = f"trace_id in {list(trace_ids)!r}"
        rows, size = self._api.select(self._project, columns, condition, self._max_rows)
        self._adapt(len(trace_ids), len(rows), size)
        if len(rows) < self._max_rows:
            return self._traces(trace_ids, [self._span(row) for row in rows])
        if len(trace_ids) == 1:
            return self._traces(trace_ids, self._full({"trace_id": trace_ids[0]}))
        half = len(trace_ids) // 2
        return self._read(trace_ids[:half]) + self._read(trace_ids[half:])

    def _adapt(self, traces: int, rows: int, size: int) -> None:
        """Ask next for as many traces as make an answer of the target size."""
        fill = max(rows / TARGET_ROWS, size / TARGET_BYTES, 0.25)
        self._batch = max(1, min(LARGEST_BATCH, int(traces / fill)))

    def _traces(self, trace_ids: Sequence[str], spans: list[Span]) -> list[Trace]:
        families: dict[str, list[Span]] = defaultdict(list)
        for span in self._with_events(spans):
            families[span.trace_id].append(span)
        scores: dict[str, list[Score]] = defaultdict(list)
        for trace_id, score in self._scores(spans, trace_ids):
            if is_foreign(score):
                scores[trace_id].append(score)
        return [
            Trace(trace_id=t, spans=tuple(families[t]), scores=tuple(scores[t]))
            for t in trace_ids
            if t in families
        ]

    def _with_events(self, spans: list[Span]) -> Iterable[Span]:
        """``spans``, those that failed replaced by the full ones."""
        failed = [s.span_id for s in spans if s.status.code == "ERROR" and not s.events]
        full: dict[str, Span] = {}
        for ids in chunks(failed, IDS_PER_URL):
            full.update((span.span_id, span) for span in self._full({"span_id": ids}))
        return [full.get(span.span_id, span) for span in spans]

    def _full(self, params: Json) -> list[Span]:
        pages = self._api.full_spans(self._project, params)
        return [self._full_span(row) for page in pages for row in page]

    def _span(self, row: Row) -> Span:
        values = [row[len(COLUMNS) + i] for i in range(len(self._branches))]
        attributes = {b: v for b, v in zip(self._branches, values, strict=True) if v is not None}
        return span_from_attributes(
            trace_id=row[TRACE_ID],
            span_id=row[SPAN_ID],
            parent_span_id=row[PARENT_ID],
            name=row[NAME],
            kind=row[SPAN_KIND],
            start_time_unix_nano=unix_nano(row[START_TIME]),
            end_time_unix_nano=unix_nano(row[END_TIME]),
            status_code=row[STATUS_CODE],
            attributes=attributes,
            origin=Origin(platform="phoenix", project=self._project.name),
        )

    def _full_span(self, row: Json) -> Span:
        return span_from_attributes(
            trace_id=row["context"]["trace_id"],
            span_id=row["context"]["span_id"],
            parent_span_id=row["parent_id"],
            name=row["name"],
            kind=row["span_kind"],
            start_time_unix_nano=unix_nano(row["start_time"]),
            end_time_unix_nano=unix_nano(row["end_time"]),
            status_code=row["status_code"],
            status_message=row["status_message"] or None,
            attributes=row["attributes"],
            events=row["events"],
            origin=Origin(platform="phoenix", project=self._project.name, reference=row.get("id")),
        )

    # -- what was judged before ------------------------------------------------------------------

    def _annotated_spans(self) -> set[str] | None:
        """The ids of the spans that others than us annotated; None if the server cannot say.

        Annotations are read for as many spans a request as an address can hold, which is slow for
        the many spans that have none.
        """
        names = self._api.annotation_names(self._project)
        if names is None:
            return None
        has_any = " or ".join(
            f"annotations[{name!r}].{part} is not None"
            for name in names
            if not name.startswith(ANNOTATION_PREFIX)
            for part in ("label", "score", "explanation")
        )
        if not has_any:
            return set()
        rows, _ = self._api.select(self._project, ["trace_id"], has_any, ALL_SPANS)
        return {row[SPAN_ID] for row in rows}

    def _scores(
        self, spans: Sequence[Span], trace_ids: Sequence[str]
    ) -> Iterator[tuple[str, Score]]:
        """The trace and the score of every annotation on these spans and traces, but our own."""
        trace_of = {span.span_id: span.trace_id for span in spans}
        asked = [i for i in trace_of if self._annotated is None or i in self._annotated]
        for ids in chunks(asked, IDS_PER_URL):
            for row in self._api.annotations(self._project, "span", ids):
                yield trace_of[row["span_id"]], score_of(row)
        for ids in chunks(trace_ids, IDS_PER_URL):
            for row in self._api.annotations(self._project, "trace", ids):
                yield row["trace_id"], score_of(row)


def is_foreign(score: Score) -> bool:
    """Whether somebody else than us made this judgement."""
    return not score.name.startswith(ANNOTATION_PREFIX)


def score_of(row: Json) -> Score:
    """A Phoenix annotation as a score."""
    result = row.get("result") or {}
    return Score(
        name=row["name"],
        span_id=row.get("span_id"),
        label=result.get("label"),
        value=result.get("score"),
        explanation=result.get("explanation"),
        source=row.get("annotator_kind"),
        identifier=row.get("identifier") or None,
        created_at=row.get("created_at"),
        metadata=row.get("metadata") or {},
    )


def bounds(query: TraceQuery) -> Json:
    """The time window of ``query`` as parameters."""
    given: dict[str, datetime | None] = {"start_time": query.since, "end_time": query.until}
    return {name: moment.isoformat() for name, moment in given.items() if moment}


def literals(value: str) -> list[str]:
    """``value`` as it may stand in an attribute: as text, and as the number or truth it spells."""
    spelled = {"true": "True", "false": "False"}.get(value.lower())
    if spelled is None and value.replace(".", "", 1).lstrip("-").isdecimal():
        spelled = value
    return [repr(value)] if spelled is None else [repr(value), spelled]
