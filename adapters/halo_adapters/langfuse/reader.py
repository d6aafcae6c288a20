"""Reading of whole traces through ``v2/observations`` (Langfuse Cloud and self-hosted v4).

There are only observations, each with the id of its trace. Where all traces of a window are wanted,
its observations are read on full pages, several slices of it at a time (``whole_window``). Else the
reader lists the observations of the window with few fields, for the trace ids, and then reads those
traces whole, some at a time, whenever their observations started. Limit and sample are applied before
anything large is sent.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain, islice

import orjson

from halo_adapters.attribute_filter import spellings
from halo_adapters.base import TraceQuery
from halo_adapters.json_values import JsonObject
from halo_adapters.langfuse.batches import AnsweredTrace, LangfuseBatch
from halo_adapters.langfuse.client import PAGE, TITLE, LangfuseClient
from halo_adapters.langfuse.mapping import (
    ScoreTarget,
    is_excluded,
    score_target,
)
from halo_adapters.langfuse.raw_observations import RawObservation
from halo_adapters.langfuse.scores import ScoreReader
from halo_adapters.langfuse.whole_window import (
    KIND,
    Assembly,
    Root,
    Segment,
    Slice,
    unread_of,
    with_slack,
)
from halo_adapters.trace_failures import missing_trace
from halo_adapters.transport.divide import not_again_if
from halo_adapters.transport.parts import Ids, Window
from halo_adapters.transport.prefetch import BatchSize, Turns, in_threads, prefetch, read_ahead
from halo_engine.chunks import chunks
from halo_engine.errors import AdapterError, Rejected
from halo_engine.schema import Failure
from halo_engine.statistics.sampling import sample_ids

LISTED_FIELDS = "core,basic"
ALL_FIELDS = "core,basic,time,io,metadata,model,usage,prompt,metrics,trace_context"

# Requests that are under way at a time.
READERS = 4

# Traces that are read at a time. A URL with the ids of LARGEST_BATCH traces stays below the 8 kB
# that servers and proxies accept.
FIRST_BATCH = 20
LARGEST_BATCH = 120
TARGET_ROWS = 900
TARGET_BYTES = 8_000_000
# Traces of a slice of a window, which has two pages, the second one not quite full.
LARGEST_SLICE = 2_000
SLICE_ROWS = 1_900
SLICE_BYTES = 4_000_000
# After the first one, so many slices together are worth handing on.
SLICES_OF_BATCH = 2

# The status for a cursor that the server no longer accepts.
EXPIRED = 400

# Request parameters that select observations: plain ones, or one ``filter``.
Condition = JsonObject
EVERYTHING: Condition = {}
ROOTS: Condition = {"isRootObservation": "true"}


class ObservationsReader:
    """Reads the traces of one project through ``v2/observations``."""

    def __init__(self, client: LangfuseClient, scores: ScoreReader) -> None:
        self._client = client
        self._scores = scores
        self._divider = client.divider()
        self._turns = Turns(READERS)
        self._batch = BatchSize(FIRST_BATCH, LARGEST_BATCH, TARGET_ROWS, TARGET_BYTES)
        self._slice = BatchSize(FIRST_BATCH, LARGEST_SLICE, SLICE_ROWS, SLICE_BYTES)

    def batches(self, query: TraceQuery) -> Iterator[LangfuseBatch]:
        """Every matching trace, whole; newest first where a limit chooses."""
        return self._whole_window(query) if wants_whole_window(query) else self._chosen(query)

    def _chosen(self, query: TraceQuery) -> Iterator[LangfuseBatch]:
        """The traces that match, after their ids have been listed."""
        wanted = list(self._trace_ids(query))
        missing = [trace_id for trace_id in wanted if trace_id not in query.already_stored]
        yield self._batch_of((), (), len(wanted))
        yield from self._by_id(missing, query, len(wanted))

    def _by_id(
        self, trace_ids: Iterable[str], query: TraceQuery, total: int | None
    ) -> Iterator[LangfuseBatch]:
        """These traces, unless they begin outside the window."""
        ids, size = deque(trace_ids), lambda: self._batch.size
        for traces, failures in prefetch(ids, size, self._read, READERS):
            kept = [trace for trace in traces if trace.is_in_window(query)]
            total = None if total is None else total - len(traces) + len(kept)
            yield self._batch_of(kept, failures, total)

    def _batch_of(
        self, traces: Sequence[AnsweredTrace], failures: Sequence[Failure], total: int | None
    ) -> LangfuseBatch:
        """A batch of these traces, with what has failed until now."""
        return LangfuseBatch(traces, (*failures, *self._divider.take_failures()), total)

    # -- a whole window --------------------------------------------------------------------------

    def _whole_window(self, query: TraceQuery) -> Iterator[LangfuseBatch]:
        """All traces of the window, from its full pages.

        Where the server cannot give some of these, however small, the traces that are left are read
        by their ids, so that it is known of each whether it is whole. So are all of a window in
        which no trace has a root.
        """
        few_scores = self._scores.few_since(query.since)
        assembly = Assembly(query.since, few_scores or ())
        with closing(self._roots(query, assembly)) as roots, ThreadPoolExecutor(1) as thread:
            page = thread.submit(self._newest_page, query)
            first = next(roots, None)
            newest, unread = page.result()
            if first is None:
                yield from self._chosen(query)
                return
            if newest:
                assembly.add(Slice(unread.left.until if unread else None, [newest]))
            segments = assembly.segments(chain([first], roots))

            def read(some: Sequence[Segment]) -> Slice:
                return self._read_slice(some, unread, with_scores=few_scores is None)

            yield self._batch_of((), (), assembly.total)
            finished, enough = list[AnsweredTrace](), 1
            for part in read_ahead(lambda: list(islice(segments, self._slice.size)), read, READERS):
                if part.pages is None:
                    yield self._batch_of(finished, (), assembly.total)
                    yield from self._by_id(assembly.unfinished(), query, assembly.total)
                    rest = query.model_copy(
                        update={"already_stored": frozenset(assembly.trace_ids)}
                    )
                    yield from self._chosen(rest)
                    return
                assembly.add(part)
                finished += self._assembled(assembly)
                if len(finished) >= enough:
                    yield self._batch_of(finished, (), assembly.total)
                    finished, enough = [], SLICES_OF_BATCH * self._slice.size
        yield self._batch_of(finished, (), assembly.total)
        yield from self._by_id(assembly.others, query, assembly.total)

    def _roots(self, query: TraceQuery, assembly: Assembly) -> Generator[Root]:
        """The root observations of the window, newest first, as soon as ``assembly`` knows them."""
        window = Window(query.since, None, "the root observations")

        def listed(part: Window) -> Iterator[Root]:
            return (assembly.listed(root_of(row)) for row in self._list(part, ROOTS))

        return in_threads(list(map(listed, window.equal_parts(READERS))))

    def _newest_page(self, query: TraceQuery) -> tuple[list[RawObservation], Window | None]:
        """The newest page of the window, which tells how long slices may be; and what is left."""
        window = Window(with_slack(query.since), None, KIND)
        try:
            with not_again_if(self._divider.is_too_much):
                rows, rest, size = self._observations_page(window, EVERYTHING, ALL_FIELDS)
        except AdapterError as error:
            if self._divider.is_too_much(error):
                return [], window
            raise
        roots = sum(not one.parent_observation_id for one in rows)
        self._slice.adapt(max(1, roots), len(rows), size)
        return rows, rest

    def _read_slice(
        self, segments: Sequence[Segment], unread: Window | None, *, with_scores: bool
    ) -> Slice:
        """What is unread of consecutive segments, and the scores of the traces that begin there."""
        window, divider = unread_of(segments, unread), self._divider.aside()
        size = 0

        def ask(part: Window) -> tuple[list[RawObservation], Window | None]:
            nonlocal size
            rows, rest, bytes_read = self._observations_page(part, EVERYTHING, ALL_FIELDS)
            size += bytes_read
            return rows, rest

        pages = list(divider.answers(window, ask)) if window else []
        if window and window.until == segments[0].until:  # all of it was unread
            self._slice.adapt(len(segments), sum(map(len, pages)), size)
        is_whole = not divider.take_failures()
        trace_ids = list(dict.fromkeys(segment.trace_id for segment in segments))
        scores = list(self._scores.of_traces(trace_ids)) if with_scores else []
        return Slice(segments[-1].since, pages if is_whole else None, scores)

    def _assembled(self, assembly: Assembly) -> list[AnsweredTrace]:
        """The traces that are whole by now."""
        finished = list(assembly.finished())
        traces = [AnsweredTrace(found[0].trace_id, found) for found, _ in finished]
        return self._with_scores(traces, chain.from_iterable(scores for _, scores in finished))

    def _with_scores(
        self, traces: Sequence[AnsweredTrace], rows: Iterable[JsonObject] | None = None
    ) -> list[AnsweredTrace]:
        """``traces`` with their scores, which ``rows`` are where they were read before."""
        scores = self._scores.by_trace({t.trace_id: t.observation_ids for t in traces}, rows)
        return [trace._replace(scores=scores.get(trace.trace_id, ())) for trace in traces]

    # -- ids of matching traces ------------------------------------------------------------------

    def _trace_ids(self, query: TraceQuery) -> Iterable[str]:
        """The ids of the traces to read; some may begin before the window."""
        if query.has_only_ids:
            return dict.fromkeys(query.trace_ids)
        matching = self._matching(query)
        if query.sample is not None:
            return sample_ids(matching, query.sample, query.seed)
        return matching

    def _matching(self, query: TraceQuery) -> Iterator[str]:
        """The ids of the matching traces, each once, up to the limit."""
        allowed = [self._trace_ids_where(conditions, query) for conditions in conditions_of(query)]
        if query.trace_ids:
            allowed.append(set(query.trace_ids))
        seen: set[str] = set()
        for trace_id in self._candidates(query):
            if trace_id not in seen and all(trace_id in ids for ids in allowed):
                seen.add(trace_id)
                yield trace_id
            if len(seen) == query.limit:
                return

    def _candidates(self, query: TraceQuery) -> Iterator[str]:
        """Ids of traces in the window, some more than once.

        For a limit or a sample the root observations are listed first; the others follow for traces
        whose root was never recorded.
        """
        window = Window(query.since, query.until, "the observations")
        everything = in_threads(
            [ids_of_traces(self._list(part)) for part in window.equal_parts(READERS)]
        )
        if query.limit is None and query.sample is None:
            return everything
        return chain(ids_of_traces(self._list(window, ROOTS)), everything)

    def _trace_ids_where(self, conditions: Sequence[Condition], query: TraceQuery) -> set[str]:
        """The traces in which some observation, even a later one, meets one of ``conditions``."""
        window = Window(query.since, None, "the observations for a filter")
        return {i for one in conditions for i in ids_of_traces(self._list(window, one))}

    def _list(self, window: Window, condition: Condition = EVERYTHING) -> Iterator[RawObservation]:
        """Every observation in ``window`` meeting ``condition``, with few fields, newest first."""

        def ask(part: Window) -> tuple[list[RawObservation], Window | None]:
            rows, rest, _ = self._observations_page(part, condition, LISTED_FIELDS)
            return rows, rest

        for rows in self._divider.answers(window, ask):
            yield from (one for one in rows if not is_excluded(one.environment))

    def _observations_page(
        self, window: Window, condition: Condition, fields: str
    ) -> tuple[list[RawObservation], Window | None, int]:
        """A page of the observations of ``window``, what is left of it, and the bytes of the page.

        Where the server no longer accepts the cursor, all that is left is listed anew.
        """
        params = observation_params((window.since, window.until), condition)
        try:
            with self._turns:
                rows, cursor, size = self._client.observations(
                    page_params(params, fields, window.cursor)
                )
        except Rejected as error:
            if error.status != EXPIRED or window.cursor is None or not window.has_advanced:
                raise
            return [], window.left, 0
        if cursor is None:
            return rows, None, size
        last = datetime.fromisoformat(rows[-1].start_time) if rows else window.reached
        return rows, replace(window, cursor=cursor, reached=last), size

    # -- observations ----------------------------------------------------------------------------

    def _read(self, trace_ids: Sequence[str]) -> tuple[list[AnsweredTrace], list[Failure]]:
        """Read these traces whole; a ``Failure`` for each that does not exist.

        Those that cannot be read are among the failures of the divider.
        """
        traces: list[AnsweredTrace] = []
        failures: list[Failure] = []
        for read, absent in self._divider.answers(Ids.of(trace_ids, PAGE), self._read_part):
            traces += read
            failures += [missing_trace(TITLE, trace_id) for trace_id in absent]
        return traces, failures

    def _read_part(self, part: Ids) -> tuple[tuple[list[AnsweredTrace], list[str]], None]:
        """These traces whole, and the ids of those that do not exist."""
        found: dict[str, list[RawObservation]] = {trace_id: [] for trace_id in part.ids}
        for one in self._all_pages(part.ids, part.rows):
            found[one.trace_id].append(one)
        traces = self._with_scores([AnsweredTrace(i, rows) for i, rows in found.items() if rows])
        return (traces, [trace_id for trace_id, rows in found.items() if not rows]), None

    def _all_pages(self, trace_ids: Sequence[str], limit: int) -> list[RawObservation]:
        found: dict[tuple[str, str], RawObservation] = {}
        for rows, size in self._client.observation_pages(
            params_of_traces(trace_ids, ALL_FIELDS, limit)
        ):
            found.update(((one.trace_id, one.id), one) for one in rows)
            self._batch.adapt(len(trace_ids), len(found), size)
        return list(found.values())

    # -- targets of annotations ------------------------------------------------------------------

    def targets(self, trace_ids: Sequence[str]) -> dict[str, ScoreTarget]:
        """Those of these traces that exist, as targets of scores."""
        found: dict[str, list[JsonObject]] = defaultdict(list)
        for ids in chunks(list(dict.fromkeys(trace_ids)), LARGEST_BATCH):
            for rows, _ in self._client.observation_pages(
                params_of_traces(ids, "core,basic", PAGE)
            ):
                for one in rows:
                    found[one.trace_id].append(one.row())
        return {trace_id: score_target(rows) for trace_id, rows in found.items()}


def wants_whole_window(query: TraceQuery) -> bool:
    """Whether all traces since a time are wanted, and none of them is stored.

    Of a window that ends earlier, and of an interrupted pull, the list is shorter than what would be
    read for nothing.
    """
    return query == TraceQuery(project=query.project, since=query.since, seed=query.seed)


def root_of(one: RawObservation) -> Root:
    """A root observation, as the one of its trace."""
    return Root(one.trace_id, datetime.fromisoformat(one.start_time))


def ids_of_traces(found: Iterable[RawObservation]) -> Iterator[str]:
    """The trace id of each observation."""
    return (one.trace_id for one in found)


def params_of_traces(trace_ids: Sequence[str], fields: str, limit: int) -> JsonObject:
    """Parameters for the observations of these traces, ``limit`` on a page."""
    condition = orjson.dumps([any_of("traceId", trace_ids)]).decode()
    return {"fields": fields, "limit": limit, "filter": condition}


def any_of(column: str, values: Sequence[str]) -> JsonObject:
    """A filter: ``column`` is one of ``values``."""
    return {
        "type": "stringOptions",
        "column": column,
        "operator": "any of",
        "value": list(values),
    }


def conditions_of(query: TraceQuery) -> Iterator[list[Condition]]:
    """For each filter of ``query``, the conditions of which an observation must meet one."""
    plain = {
        "environment": list(query.environments) or None,
        "sessionId": query.session_id,
        "userId": query.user_id,
        "version": query.version,
        "level": "ERROR" if query.errors_only else None,
    }
    yield from ([{name: value}] for name, value in plain.items() if value is not None)
    if query.names:
        yield [{"filter": any_of("traceName", query.names)}]
    if query.release is not None:
        yield [{"filter": any_of("release", [query.release])}]
    if query.tags:
        all_of = {"type": "arrayOptions", "operator": "all of"}
        yield [{"filter": {**all_of, "column": "traceTags", "value": list(query.tags)}}]
    for key, value in query.metadata.items():
        names = (key, f"attributes.{key}")
        yield [{"filter": metadata_is(n, text)} for n in names for text in spellings(value)]


def metadata_is(key: str, value: str) -> JsonObject:
    """A filter: the metadata has this entry, as the server stores it.

    OpenTelemetry attributes are below ``attributes``. What an SDK sends as JSON is stored as JSON,
    though the server returns what it holds.
    """
    entry = {"type": "stringObject", "column": "metadata", "operator": "="}
    return {**entry, "key": key, "value": value}


def observation_params(
    window: tuple[datetime | None, datetime | None], condition: Condition
) -> JsonObject:
    """``window`` and ``condition`` as parameters: the server ignores others next to ``filter``."""
    since, until = window
    if "filter" not in condition:
        bounds = {"fromStartTime": since, "toStartTime": until}
        return {**condition, **{name: iso(at) for name, at in bounds.items() if at}}
    times = [
        {"type": "datetime", "column": "startTime", "operator": sign, "value": iso(at)}
        for sign, at in ((">=", since), ("<", until))
        if at
    ]
    return {"filter": orjson.dumps([*times, condition["filter"]]).decode()}


def page_params(params: JsonObject, fields: str, cursor: str | int | None) -> JsonObject:
    """Parameters of one page of observations."""
    page = {"fields": fields, "limit": PAGE, **params}
    return {**page, "cursor": cursor} if cursor else page


def iso(moment: datetime) -> str:
    """``moment`` as Langfuse expects it: ISO 8601, milliseconds, UTC."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
