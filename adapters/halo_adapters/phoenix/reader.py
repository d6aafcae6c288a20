"""Reading of whole traces from Phoenix.

A span read whole costs the server about three times as much as a row of a span query, in which one
column can be a whole branch of the attributes ("llm", "input", ...). But a query has to name the
branches, nothing lists their names, and no column holds events. So the reader lists the traces and
reads the first ones whole, which shows what spans of this project have. Of the others it reads one
in some whole, and those spans of the rest of which columns may lack something (``shapes``). Where
that shows a new name, traces that have it and were read without it are read again.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from threading import Lock
from zlib import crc32

from halo_adapters.attribute_filter import spellings
from halo_adapters.base import Project, TracePage, TraceQuery, is_own_annotation
from halo_adapters.dialects.errors import DialectErrors
from halo_adapters.json_values import JsonObject
from halo_adapters.phoenix.attribute_names import (
    branches_with_values,
    column_of,
    has_any,
    known_branches,
)
from halo_adapters.phoenix.client import PAGE, TITLE, PhoenixClient, window_params
from halo_adapters.phoenix.mapping import (
    COLUMNS,
    SPAN_ID,
    ColumnRow,
    score_from_annotation_row,
    span_from_columns,
    span_from_json,
)
from halo_adapters.phoenix.shapes import SpanShapes
from halo_adapters.trace_failures import missing_trace, time_failures
from halo_adapters.transport.divide import Divider, TooMuch
from halo_adapters.transport.parts import Ids, Window
from halo_adapters.transport.prefetch import prefetch
from halo_engine.chunks import chunks
from halo_engine.schema import Failure, Score, Span, Trace
from halo_engine.statistics.sampling import sample_ids

# How many spans are read whole before columns are asked for: all of a small project. After them one
# trace in so many is read whole.
WHOLE_SPANS = 500
ONE_IN = 16
# Traces that one request reads whole: their ids are in its URL.
WHOLE_BATCH = 100

# Limits of a span query: in effect none, and one that an answer must stay below to be complete.
ALL_SPANS = 100_000_000
MAX_ROWS = 20_000

# Traces per query, adapted so that an answer comes near one of the targets.
FIRST_BATCH = 20
LARGEST_BATCH = 500
TARGET_ROWS = 4_000
TARGET_BYTES = 8_000_000
READERS = 2

IDS_PER_URL = 250

TRACES_VERSION = (13, 15)
TRACE_FILTER_VERSION = (20, 3)


class PhoenixReader:
    """Reads the traces of one project, with less than ``max_rows`` spans per query.

    The first ``whole_spans`` of them are read whole.
    """

    def __init__(
        self,
        client: PhoenixClient,
        project: Project,
        max_rows: int = MAX_ROWS,
        whole_spans: int = WHOLE_SPANS,
    ) -> None:
        self._client = client
        self._project = project
        self._max_rows = max_rows
        self._whole_spans = whole_spans
        self._shapes = SpanShapes()
        self._looks_for_known = Lock()
        self._unsought: list[str] | Window | None = None  # where known branches were not sought
        self._annotated: set[str] | None = None
        self._has_annotated_traces = True
        self._divider = client.divider()
        self._dialect_errors = DialectErrors()
        self._batch_size = FIRST_BATCH

    def pages(self, query: TraceQuery) -> Iterator[TracePage]:
        """Every matching trace, whole; newest first."""
        wanted = self._trace_ids(query)
        missing = deque(trace_id for trace_id in wanted if trace_id not in query.already_stored)
        window = Window(query.since, None, "the spans with known attributes")
        self._unsought = window if is_of_all(query) else list(missing)
        self._annotated = self._annotated_spans(query)
        self._has_annotated_traces = self._annotation_names("trace") != []
        total = len(wanted)
        yield TracePage(total=total, failures=self._divider.take_failures())
        for traces, absent in prefetch(missing, lambda: self._batch_size, self._read, READERS):
            unread = (*self._divider.take_failures(), *absent)
            failures = (*unread, *time_failures(TITLE, traces), *self._dialect_errors.take())
            incomplete = self._incomplete(query)
            missing.extend(incomplete)
            total += len(incomplete)
            yield TracePage(traces=tuple(traces), failures=failures, total=total)

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
        """The ids of the matching traces, each once."""
        allowed = list(self._filtered_ids(query))
        seen: set[str] = set()
        for trace_id in self._list_trace_ids(query):
            if trace_id not in seen and all(trace_id in ids for ids in allowed):
                seen.add(trace_id)
                yield trace_id

    def _list_trace_ids(self, query: TraceQuery) -> Iterator[str]:
        """The ids of the traces in the window, newest first; some may come twice."""
        self._client.require(TRACES_VERSION, "Listing traces")
        params: JsonObject = {}
        if query.session_id:
            params["session_identifier"] = query.session_id
        if query.errors_only:
            self._client.require(TRACE_FILTER_VERSION, "Reading only traces with errors")
            params["filter"] = "error_count > 0"

        def ask(part: Window) -> tuple[list[JsonObject], Window | None]:
            bounds = window_params(part.since, part.until)
            cursor = None if part.cursor is None else str(part.cursor)
            rows, following = self._client.traces_page(self._project, {**params, **bounds}, cursor)
            if following is None:
                return rows, None
            last = datetime.fromisoformat(rows[-1]["start_time"]) if rows else part.reached
            return rows, replace(part, cursor=following, reached=last)

        window = Window(query.since, query.until, "the traces")
        for rows in self._divider.answers(window, ask):
            yield from (trace["trace_id"] for trace in rows)

    def _filtered_ids(self, query: TraceQuery) -> Iterator[set[str]]:
        """For each filter that the list of traces lacks, the ids of the traces that pass it."""
        if query.trace_ids:
            yield set(query.trace_ids)
        if query.names:
            roots = f"parent_id is None and name in {list(query.names)!r}"
            yield self._trace_ids_where(roots, query)
        user = {} if query.user_id is None else {"user.id": query.user_id}
        for key, value in {**user, **query.metadata}.items():
            attribute = f"attributes[{list(key.split('.'))!r}]"
            any_literal = " or ".join(f"{attribute} == {text}" for text in literals(value))
            yield self._trace_ids_where(any_literal, query)

    def _trace_ids_where(self, condition: str, query: TraceQuery) -> set[str]:
        """The ids of the traces in which some span, even a later one, meets ``condition``."""
        return self._trace_ids_of(condition, Window(query.since, None, "the spans for a filter"))

    def _trace_ids_of(self, condition: str, window: Window) -> set[str]:
        """The ids of the traces in which some span in ``window`` meets ``condition``."""
        return {row[0] for row in self._spans_where(condition, window)}

    def _spans_where(
        self,
        condition: str,
        window: Window,
        columns: Sequence[str] = ("trace_id",),
        divider: Divider | None = None,
    ) -> Iterator[ColumnRow]:
        """Columns of the spans in ``window`` that meet ``condition``."""

        def ask(part: Window) -> tuple[list[ColumnRow], None]:
            bounds = window_params(part.since, part.until)
            select = self._client.select
            rows, _ = select(self._project, columns, condition, ALL_SPANS, bounds)
            return rows, None

        for rows in (divider or self._divider).answers(window, ask):
            yield from rows

    # -- spans -----------------------------------------------------------------------------------

    def _incomplete(self, query: TraceQuery) -> list[str]:
        """The traces that were read without an attribute that they have: it was not known yet."""
        window = Window(query.since, None, "the spans with a new attribute")
        found: set[str] = set()
        for branch, read_without in self._shapes.late_branches().items():
            found |= read_without & self._trace_ids_of(has_any([branch]), window)
        return sorted(found)

    def _branches_to_ask_for(self) -> tuple[str, ...]:
        """The branches that are known to be there; those of dialects are sought before the first."""
        with self._looks_for_known:
            if self._unsought is not None:
                unseen = sorted(known_branches() - set(self._shapes.branches()))
                columns = [f"attributes[{branch!r}]" for branch in unseen]
                rows = self._selected(self._unsought, columns, has_any(unseen))
                self._shapes.add_branches(branches_with_values(unseen, rows))
                self._unsought = None
        return self._shapes.branches()

    def _selected(
        self, where: Sequence[str] | Window, columns: Sequence[str], condition: str
    ) -> Iterator[ColumnRow]:
        """Columns of the spans that meet a condition, of these traces or in this window.

        Where the server cannot answer for some of them, they are left out: this is to find names.
        """
        divider = self._divider.aside()
        if isinstance(where, Window):
            yield from self._spans_where(condition, where, columns, divider)
            return

        def ask(part: Ids) -> tuple[list[ColumnRow], None]:
            of_part = f"trace_id in {list(part.ids)!r} and ({condition})"
            return self._client.select(self._project, columns, of_part, ALL_SPANS)[0], None

        for ids in chunks(where, LARGEST_BATCH):
            for rows in divider.answers(Ids.of(ids, 1), ask):
                yield from rows

    def _read(self, trace_ids: Sequence[str]) -> tuple[list[Trace], list[Failure]]:
        """Read these traces whole; a ``Failure`` for each that does not exist.

        Those that cannot be read are among the failures of the divider.
        """
        place = f" in project {self._project.name!r}"
        traces: list[Trace] = []
        failures: list[Failure] = []
        for part, read in self._divider.answers(Ids.of(trace_ids, PAGE), self._read_part):
            found = {trace.trace_id for trace in read}
            traces += read
            failures += [missing_trace(TITLE, i, place) for i in part.ids if i not in found]
        return traces, failures

    def _read_part(self, part: Ids) -> tuple[tuple[Ids, list[Trace]], None]:
        """These traces whole."""
        is_first = self._shapes.spans < self._whole_spans
        if is_first or part.rows < part.page:
            spans = self._spans_of(part.ids, part.rows)
            self._adapt(len(part.ids), len(spans), 0)
        else:
            sample = tuple(filter(is_sampled, part.ids))
            others = tuple(i for i in part.ids if not is_sampled(i))
            spans = self._spans_of(sample, part.rows)
            spans += self._spans_in_columns(replace(part, ids=others)) if others else []
        return (part, self._traces(part, spans)), None

    def _spans_of(self, trace_ids: Sequence[str], rows: int) -> list[Span]:
        """All spans of these traces, whole, ``rows`` on a page."""
        batches = chunks(trace_ids, WHOLE_BATCH)
        return [s for ids in batches for s in self._whole({"trace_id": ids, "limit": rows})]

    def _spans_in_columns(self, part: Ids) -> list[Span]:
        """The spans of these traces by one query; ``TooMuch`` where its answer is not whole."""
        branches = self._branches_to_ask_for()
        columns = [*COLUMNS, *map(column_of, branches)]
        condition = f"trace_id in {list(part.ids)!r}"
        rows, size = self._client.select(self._project, columns, condition, self._max_rows)
        self._adapt(len(part.ids), len(rows), size)
        if len(rows) >= self._max_rows:
            if len(part.ids) == 1:
                return self._spans_of(part.ids, part.rows)
            raise TooMuch(f"There are {self._max_rows} spans or more.", platform=TITLE)
        self._shapes.was_read(part.ids, len(branches))
        return self._completed(rows, branches, min(IDS_PER_URL, part.rows))

    def _completed(
        self, rows: Sequence[ColumnRow], branches: Sequence[str], at_once: int
    ) -> list[Span]:
        """The spans of ``rows``; of which columns may lack something, whole, so many read at once.

        What those show can make others of their shape to be read whole too.
        """
        whole: dict[str, Span] = {}
        rest = rows
        while ids := self._shapes.to_read_whole(rest):
            for some in chunks(sorted(ids), at_once):
                read = self._whole({"span_id": some, "limit": at_once})
                whole |= {span.span_id: span for span in read}
            rest = [row for row in rest if row[SPAN_ID] not in ids]
        place, errors = self._project.name, self._dialect_errors
        in_columns = (row for row in rows if row[SPAN_ID] not in whole)
        spans = [span_from_columns(row, branches, place, errors) for row in in_columns]
        return [*whole.values(), *spans]

    def _whole(self, params: JsonObject) -> list[Span]:
        """The spans that ``params`` select, with all their fields; what they show is learned."""
        rows = [row for page in self._client.full_spans(self._project, params) for row in page]
        self._shapes.learn(rows)
        place, errors = self._project.name, self._dialect_errors
        return [span_from_json(row, place, errors) for row in rows]

    def _adapt(self, traces: int, rows: int, size: int) -> None:
        """Set the next batch size so that its answer comes near a target."""
        fill = max(rows / TARGET_ROWS, size / TARGET_BYTES, 0.25)
        self._batch_size = max(1, min(LARGEST_BATCH, int(traces / fill)))

    def _traces(self, part: Ids, spans: list[Span]) -> list[Trace]:
        spans_by_trace: dict[str, list[Span]] = defaultdict(list)
        for span in spans:
            spans_by_trace[span.trace_id].append(span)
        scores: dict[str, list[Score]] = defaultdict(list)
        for trace_id, score in self._scores(spans, part.ids):
            if not is_own_annotation(score.name):
                scores[trace_id].append(score)
        return [
            Trace(trace_id=t, spans=tuple(spans_by_trace[t]), scores=tuple(scores[t]))
            for t in part.ids
            if t in spans_by_trace
        ]

    # -- scores ----------------------------------------------------------------------------------

    def _annotated_spans(self, query: TraceQuery) -> set[str] | None:
        """The ids of spans that something else annotated; None where the server cannot list names.

        Annotations are read for as many spans per request as a URL can hold, which is too slow to
        do for the many spans that have none.
        """
        names = self._annotation_names("span")
        if not names:
            return None if names is None else set()
        is_annotated = " or ".join(
            f"annotations[{name!r}].{part} is not None"
            for name in names
            for part in ("label", "score", "explanation")
        )
        window = Window(query.since, None, "the spans with annotations")
        return {row[SPAN_ID] for row in self._spans_where(is_annotated, window)}

    def _annotation_names(self, kind: str) -> list[str] | None:
        """The names of what others put on the spans or traces (``kind``), where they are listed."""
        names = self._client.annotation_names(self._project, kind)
        return None if names is None else [n for n in names if not is_own_annotation(n)]

    def _scores(
        self, spans: Sequence[Span], trace_ids: Sequence[str]
    ) -> Iterator[tuple[str, Score]]:
        """The trace id and the score of every annotation on these spans and traces."""
        trace_ids_by_span = {span.span_id: span.trace_id for span in spans}
        span_ids = [i for i in trace_ids_by_span if self._annotated is None or i in self._annotated]
        for ids in chunks(span_ids, IDS_PER_URL):
            for row in self._client.annotations(self._project, "span", ids=ids):
                yield trace_ids_by_span[row["span_id"]], score_from_annotation_row(row)
        for ids in chunks(trace_ids, IDS_PER_URL) if self._has_annotated_traces else ():
            for row in self._client.annotations(self._project, "trace", ids=ids):
                yield row["trace_id"], score_from_annotation_row(row)


def is_of_all(query: TraceQuery) -> bool:
    """Whether all traces since a time are wanted."""
    return query == TraceQuery(project=query.project, since=query.since, seed=query.seed)


def literals(value: str) -> list[str]:
    """Python literals of what a person writes as ``value``: texts, a number or a boolean."""
    spelled = {"true": "True", "false": "False"}.get(value.lower())
    if spelled is None and value.replace(".", "", 1).lstrip("-").isdecimal():
        spelled = value
    return [*map(repr, spellings(value)), *([] if spelled is None else [spelled])]


def is_sampled(trace_id: str) -> bool:
    """Whether a trace is one of those that are read whole: one in ``ONE_IN``."""
    return crc32(trace_id.encode()) % ONE_IN == 0
