"""Reading of whole traces through ``v2/observations`` (Langfuse Cloud and self-hosted v4).

There are only observations, each with the id of its trace. So the reader lists the observations of
the window with few fields, for the trace ids, and then reads those traces whole, some at a time,
whenever their observations started. Limit and sample are applied before anything large is sent.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import orjson

from halo_adapters.attribute_filter import spellings
from halo_adapters.base import TracePage, TraceQuery
from halo_adapters.dialects.errors import DialectErrors
from halo_adapters.json_values import JsonObject
from halo_adapters.langfuse.client import PAGE, TITLE, LangfuseClient
from halo_adapters.langfuse.mapping import ScoreTarget, observation_origin, score_target
from halo_adapters.langfuse.scores import ScoreReader, ScoresByTrace
from halo_adapters.observations import span_from_observation
from halo_adapters.trace_failures import missing_trace, time_failures
from halo_adapters.transport.parts import Ids, Window
from halo_adapters.transport.prefetch import prefetch
from halo_engine.chunks import chunks
from halo_engine.errors import Rejected
from halo_engine.schema import Failure, Span, Trace, unix_nano_of
from halo_engine.statistics.sampling import sample_ids

LISTED_FIELDS = "core,basic"
ALL_FIELDS = "core,basic,time,io,metadata,model,usage,prompt,metrics,trace_context"

READERS = 3
# Parts of a window that are listed concurrently.
WINDOW_PARTS = 4

# Traces per request, adapted so that an answer comes near one of the targets. A URL with the ids of
# LARGEST_BATCH traces stays below the 8 kB that servers and proxies accept.
FIRST_BATCH = 20
LARGEST_BATCH = 120
TARGET_ROWS = 900
TARGET_BYTES = 8_000_000

# The status for a cursor that the server no longer accepts.
EXPIRED = 400

# Prefixes of the environments in which Langfuse's evaluators and this package trace themselves.
EXCLUDED_ENVIRONMENTS = ("langfuse", "halo-integrations")

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
        self._dialect_errors = DialectErrors()
        self._batch_size = FIRST_BATCH

    def pages(self, query: TraceQuery) -> Iterator[TracePage]:
        """Every matching trace, whole; newest first where a limit chooses."""
        wanted = list(self._trace_ids(query))
        missing = deque(trace_id for trace_id in wanted if trace_id not in query.already_stored)
        total = len(wanted)
        yield TracePage(total=total, failures=self._divider.take_failures())
        for traces, failures in prefetch(missing, lambda: self._batch_size, self._read, READERS):
            kept = [trace for trace in traces if in_window(trace, query)]
            total -= len(traces) - len(kept)
            failures += (*self._divider.take_failures(), *time_failures(TITLE, kept))
            failures += self._dialect_errors.take()
            yield TracePage(traces=tuple(kept), failures=tuple(failures), total=total)

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
            if len(seen) == query.limit:
                return
            if trace_id not in seen and all(trace_id in ids for ids in allowed):
                seen.add(trace_id)
                yield trace_id

    def _candidates(self, query: TraceQuery) -> Iterator[str]:
        """Ids of traces in the window, some more than once.

        For a limit or a sample the root observations are listed first; the others follow for traces
        whose root was never recorded.
        """
        window = Window(query.since, query.until, "the observations")
        everything = self._list_in_parallel(window)
        if query.limit is None and query.sample is None:
            return everything
        return chain(self._list_trace_ids(window, ROOTS), everything)

    def _trace_ids_where(self, conditions: Sequence[Condition], query: TraceQuery) -> set[str]:
        """The traces in which some observation, even a later one, meets one of ``conditions``."""
        window = Window(query.since, None, "the observations for a filter")
        return {trace_id for one in conditions for trace_id in self._list_trace_ids(window, one)}

    def _list_in_parallel(self, window: Window) -> Iterator[str]:
        """The trace ids in ``window``, whose parts are listed concurrently; newest first."""
        parts = window.equal_parts(WINDOW_PARTS)
        if len(parts) == 1:
            yield from self._list_trace_ids(window)
            return
        with ThreadPoolExecutor(len(parts)) as pool:
            found = list(pool.map(lambda one: dict.fromkeys(self._list_trace_ids(one)), parts))
        yield from chain.from_iterable(found)

    def _list_trace_ids(self, window: Window, condition: Condition = EVERYTHING) -> Iterator[str]:
        """The trace id of every observation in ``window`` meeting ``condition``, newest first."""

        def ask(part: Window) -> tuple[list[JsonObject], Window | None]:
            return self._listed_page(part, condition)

        for rows in self._divider.answers(window, ask):
            for row in rows:
                if not is_excluded(row.get("environment")):
                    yield row["traceId"]

    def _listed_page(
        self, window: Window, condition: Condition
    ) -> tuple[list[JsonObject], Window | None]:
        """A page of the observations of ``window``, and what is left of it.

        Where the server no longer accepts the cursor, all that is left is listed anew.
        """
        params = observation_params((window.since, window.until), condition)
        try:
            rows, cursor, _ = self._client.observations(listing_params(params, window.cursor))
        except Rejected as error:
            if error.status != EXPIRED or window.cursor is None or not window.has_advanced:
                raise
            return [], window.left
        if cursor is None:
            return rows, None
        last = datetime.fromisoformat(rows[-1]["startTime"]) if rows else window.reached
        return rows, replace(window, cursor=cursor, reached=last)

    # -- observations ----------------------------------------------------------------------------

    def _read(self, trace_ids: Sequence[str]) -> tuple[list[Trace], list[Failure]]:
        """Read these traces whole; a ``Failure`` for each that does not exist.

        Those that cannot be read are among the failures of the divider.
        """
        traces: list[Trace] = []
        failures: list[Failure] = []
        for read, absent in self._divider.answers(Ids.of(trace_ids, PAGE), self._read_part):
            traces += read
            failures += [missing_trace(TITLE, trace_id) for trace_id in absent]
        return traces, failures

    def _read_part(self, part: Ids) -> tuple[tuple[list[Trace], list[str]], None]:
        """These traces whole, and the ids of those that do not exist."""
        spans: dict[str, list[Span]] = {trace_id: [] for trace_id in part.ids}
        for row in self._all_pages(part.ids, part.rows):
            origin = observation_origin(row.get("projectId"))
            span = span_from_observation(row, origin, errors=self._dialect_errors)
            spans[row["traceId"]].append(span)
        scores = self._scores.by_trace(spans)
        traces = [scored_trace(t, found, scores) for t, found in spans.items() if found]
        return (traces, [trace_id for trace_id, found in spans.items() if not found]), None

    def _all_pages(self, trace_ids: Sequence[str], limit: int) -> list[JsonObject]:
        found: dict[tuple[str, str], JsonObject] = {}
        for rows, size in self._client.observation_pages(
            params_of_traces(trace_ids, ALL_FIELDS, limit)
        ):
            found.update(((row["traceId"], row["id"]), row) for row in rows)
            self._adapt(len(trace_ids), len(found), size)
        return list(found.values())

    def _adapt(self, traces: int, rows: int, size: int) -> None:
        """Set the next batch size so that its answer comes near a target."""
        fill = max(rows / TARGET_ROWS, size / TARGET_BYTES, 0.2)
        self._batch_size = max(1, min(LARGEST_BATCH, int(traces / fill)))

    # -- targets of annotations ------------------------------------------------------------------

    def targets(self, trace_ids: Sequence[str]) -> dict[str, ScoreTarget]:
        """Those of these traces that exist, as targets of scores."""
        found: dict[str, list[JsonObject]] = defaultdict(list)
        for ids in chunks(list(dict.fromkeys(trace_ids)), LARGEST_BATCH):
            for rows, _ in self._client.observation_pages(
                params_of_traces(ids, "core,basic", PAGE)
            ):
                for row in rows:
                    found[row["traceId"]].append(row)
        return {trace_id: score_target(rows) for trace_id, rows in found.items()}


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


def listing_params(params: JsonObject, cursor: str | int | None) -> JsonObject:
    """Parameters of one page of a listing of observations."""
    page = {"fields": LISTED_FIELDS, "limit": PAGE, **params}
    return {**page, "cursor": cursor} if cursor else page


def iso(moment: datetime) -> str:
    """``moment`` as Langfuse expects it: ISO 8601, milliseconds, UTC."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_excluded(environment: Any) -> bool:
    """Whether evaluators or this package trace themselves in this environment."""
    return isinstance(environment, str) and environment.startswith(EXCLUDED_ENVIRONMENTS)


def in_window(trace: Trace, query: TraceQuery) -> bool:
    """Whether the trace begins in the window of ``query``."""
    starts = [s.start_time_unix_nano for s in trace.spans if s.start_time_unix_nano is not None]
    if not starts:
        return True
    since, until = unix_nano_of(query.since), unix_nano_of(query.until)
    first = min(starts)
    # Langfuse stores milliseconds: a start in the same millisecond as ``since`` is not before it.
    return (since is None or first > since - 1_000_000) and (until is None or first < until)


def scored_trace(trace_id: str, spans: Sequence[Span], scores: ScoresByTrace) -> Trace:
    """A trace with its scores."""
    return Trace(trace_id=trace_id, spans=tuple(spans), scores=tuple(scores.get(trace_id, ())))
