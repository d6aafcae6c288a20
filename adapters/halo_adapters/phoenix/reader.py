"""Reading of whole traces from Phoenix.

Full spans cost the server about a millisecond each. A span query for some columns costs a tenth of
that, and one column can be a whole branch of the attributes ("llm", "input", ...). So the reader
lists the traces, finds out which branches their spans have (``attribute_names``), and queries those
branches for some traces at a time. Full spans are read where a span failed, since the exception is
in its events, which no column holds; and where the branches hold no content, which some
instrumentations record in events too.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from itertools import chain, islice

from halo_adapters.base import Project, TracePage, TraceQuery, is_own_annotation
from halo_adapters.dialects.errors import DialectErrors
from halo_adapters.json_values import JsonObject
from halo_adapters.phoenix.attribute_names import (
    NAME_COLUMNS,
    branches_in,
    branches_with_values,
    examples,
    has_any,
    known_branches,
    masked_name,
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
from halo_adapters.trace_failures import missing_trace, time_failures
from halo_adapters.transport.divide import TooMuch
from halo_adapters.transport.parts import Ids, Rows, Window
from halo_adapters.transport.prefetch import prefetch
from halo_engine.chunks import chunks
from halo_engine.schema import Failure, Score, Span, SpanKind, StatusCode, Trace
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

# Spans without content of one name are read whole until so many had no events either.
ENOUGH_WITHOUT_EVENTS = 5

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
        self._divider = client.divider()
        self._dialect_errors = DialectErrors()
        self._batch_size = FIRST_BATCH
        self._with_events: set[Hashable] = set()
        self._eventless: Counter[Hashable] = Counter()

    def pages(self, query: TraceQuery) -> Iterator[TracePage]:
        """Every matching trace, whole; newest first."""
        wanted = self._trace_ids(query)
        missing = deque(trace_id for trace_id in wanted if trace_id not in query.already_stored)
        unlisted = self._divider.take_failures()
        self._branches = self._find_branches(query, list(missing))
        self._divider.take_failures()  # of traces whose names are lost: they are read all the same
        self._annotated = self._annotated_spans(query)
        failures = (*unlisted, *self._divider.take_failures())
        yield TracePage(total=len(wanted), failures=failures)
        for traces, absent in prefetch(missing, lambda: self._batch_size, self._read, READERS):
            unread = (*self._divider.take_failures(), *absent)
            failures = (*unread, *time_failures(TITLE, traces), *self._dialect_errors.take())
            yield TracePage(traces=tuple(traces), failures=failures, total=len(wanted))

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
        window = Window(query.since, None, "the spans for a filter")
        return {row[0] for row in self._spans_where(condition, window)}

    def _spans_where(self, condition: str, window: Window) -> Iterator[ColumnRow]:
        """The trace id (0) and the span id (-1) of the spans in ``window`` that meet it."""

        def ask(part: Window) -> tuple[list[ColumnRow], None]:
            bounds = window_params(part.since, part.until)
            select = self._client.select
            rows, _ = select(self._project, ["trace_id"], condition, ALL_SPANS, bounds)
            return rows, None

        for rows in self._divider.answers(window, ask):
            yield from rows

    # -- spans -----------------------------------------------------------------------------------

    def _find_branches(self, query: TraceQuery, trace_ids: Sequence[str]) -> list[str]:
        """The top-level attribute names that the spans of these traces have, as far as found."""
        found = self._branches_of_kinds(query)
        chosen = examples(self._selected(trace_ids, NAME_COLUMNS))
        for ids in chunks(chosen, IDS_PER_URL):
            for page in self._client.full_spans(self._project, {"span_id": ids}):
                found |= branches_in(page)
        unseen = sorted(known_branches() - found)
        columns = [f"attributes[{branch!r}]" for branch in unseen]
        rows = self._selected(trace_ids, columns, f" and ({has_any(unseen)})")
        found.update(branches_with_values(unseen, rows))
        return sorted(found - EXCLUDED_BRANCHES)

    def _selected(
        self, trace_ids: Sequence[str], columns: Sequence[str], condition: str = ""
    ) -> Iterator[ColumnRow]:
        """Columns of the spans of these traces that meet a condition.

        Where the server cannot answer for some of them, they are left out: this is to find names.
        """

        def ask(part: Ids) -> tuple[list[ColumnRow], None]:
            of_part = f"trace_id in {list(part.ids)!r}{condition}"
            return self._client.select(self._project, columns, of_part, ALL_SPANS)[0], None

        for ids in chunks(trace_ids, LARGEST_BATCH):
            for rows in self._divider.answers(Ids.of(ids, 1), ask):
                yield from rows

    def _branches_of_kinds(self, query: TraceQuery) -> set[str]:
        """The top-level attribute names in samples of every span kind."""

        def sample(kind: SpanKind) -> set[str]:
            bounds = window_params(query.since, query.until)

            def ask(part: Rows) -> tuple[list[JsonObject], Rows | None]:
                params = {"span_kind": kind.value, "limit": part.count, **bounds}
                rows, following = self._client.full_spans_page(self._project, params, part.cursor)
                done = part.done + len(rows)
                if following is None or done >= SAMPLE_SPANS:
                    return rows, None
                rest = replace(part, count=SAMPLE_SPANS - done, cursor=following, done=done)
                return rows, rest

            name = f"the names of the attributes of {kind.value} spans"
            parts = self._divider.answers(Rows("samples", name, SAMPLE_SPANS), ask)
            return branches_in(chain.from_iterable(parts))

        with ThreadPoolExecutor(SAMPLE_THREADS) as pool:
            return set().union(*pool.map(sample, SpanKind))

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
        spans = self._spans_of_one(part) if part.rows < part.page else self._spans_in_columns(part)
        return (part, self._traces(part, spans)), None

    def _spans_in_columns(self, part: Ids) -> list[Span]:
        """The spans of these traces by one query; ``TooMuch`` where its answer is not whole."""
        columns = [*COLUMNS, *(f"attributes[{branch!r}]" for branch in self._branches)]
        condition = f"trace_id in {list(part.ids)!r}"
        rows, size = self._client.select(self._project, columns, condition, self._max_rows)
        self._adapt(len(part.ids), len(rows), size)
        if len(rows) < self._max_rows:
            place, errors = self._project.name, self._dialect_errors
            return [span_from_columns(row, self._branches, place, errors) for row in rows]
        if len(part.ids) > 1:
            raise TooMuch(f"There are {self._max_rows} spans or more.", platform=TITLE)
        return self._spans_of_one(part)

    def _spans_of_one(self, part: Ids) -> list[Span]:
        """The spans of a single trace, page by page."""
        return self._read_full_spans({"trace_id": part.ids[0], "limit": part.rows})

    def _adapt(self, traces: int, rows: int, size: int) -> None:
        """Set the next batch size so that its answer comes near a target."""
        fill = max(rows / TARGET_ROWS, size / TARGET_BYTES, 0.25)
        self._batch_size = max(1, min(LARGEST_BATCH, int(traces / fill)))

    def _traces(self, part: Ids, spans: list[Span]) -> list[Trace]:
        spans_by_trace: dict[str, list[Span]] = defaultdict(list)
        for span in self._with_whole_spans(spans, min(IDS_PER_URL, part.rows)):
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

    def _with_whole_spans(self, spans: list[Span], at_once: int) -> Iterable[Span]:
        """``spans``, the full ones of those that have more in their events, so many read
        ``at_once``."""
        ids = [span.span_id for span in spans if not span.events and self._may_have_more(span)]
        whole: dict[str, Span] = {}
        for chunk in chunks(ids, at_once):
            whole.update((span.span_id, span) for span in self._read_full_spans({"span_id": chunk}))
        self._eventless.update(span_type(span) for span in whole.values() if not span.events)
        self._with_events.update(span_type(span) for span in whole.values() if span.events)
        return [whole.get(span.span_id, span) for span in spans]

    def _may_have_more(self, span: Span) -> bool:
        """Whether a span failed; or has no content, and those of its type have events."""
        if span.status.code is StatusCode.ERROR:
            return True
        if any((span.input, span.output, span.input_messages, span.output_messages)):
            return False
        kind = span_type(span)
        return kind in self._with_events or self._eventless[kind] < ENOUGH_WITHOUT_EVENTS

    def _read_full_spans(self, params: JsonObject) -> list[Span]:
        pages = self._client.full_spans(self._project, params)
        return [
            span_from_json(row, self._project.name, self._dialect_errors)
            for page in pages
            for row in page
        ]

    # -- scores ----------------------------------------------------------------------------------

    def _annotated_spans(self, query: TraceQuery) -> set[str] | None:
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
        window = Window(query.since, None, "the spans with annotations")
        return {row[SPAN_ID] for row in self._spans_where(has_any, window)}

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


def span_type(span: Span) -> Hashable:
    """Equal for spans of one kind whose names differ in ids and numbers only."""
    return (span.kind, masked_name(span.name))


def literals(value: str) -> list[str]:
    """Python literals that an attribute equal to ``value`` may have: text, number or boolean."""
    spelled = {"true": "True", "false": "False"}.get(value.lower())
    if spelled is None and value.replace(".", "", 1).lstrip("-").isdecimal():
        spelled = value
    return [repr(value)] if spelled is None else [repr(value), spelled]
