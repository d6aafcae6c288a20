"""Whole traces out of the observations that Langfuse Cloud and self-hosted v4 are made of.

There is no trace to read there, only observations, each with the id of its trace. So: list the
observations in the window with few fields, which says what traces there are, and then read those
traces whole, some at a time, wherever in time their observations lie. A trace is read whole or not
at all, limit and sample choose before anything large is sent, and what was pulled before an
interruption is left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import orjson

from halo_adapters.base import TracePage, TraceQuery
from halo_adapters.langfuse.client import PAGE, Json, LangfuseClient
from halo_adapters.langfuse.mapping import span_of
from halo_adapters.langfuse.scores import Judged, ScoreReader
from halo_adapters.transport.prefetch import prefetch
from halo_engine.chunks import chunks
from halo_engine.errors import Rejected
from halo_engine.schema import EPOCH, Failure, Span, Trace, unix_nano_of
from halo_engine.statistics.sampling import sample_ids

LISTED_FIELDS = "core,basic"
ALL_FIELDS = "core,basic,time,io,metadata,model,usage,prompt,metrics,trace_context"

READERS = 3
SLICES = 4
# How many traces are asked for at once: so many that they fill about one page, within what an
# address may hold (servers and proxies take 8 kB).
FIRST_BATCH = 20
LARGEST_BATCH = 120
TARGET_ROWS = 900
TARGET_BYTES = 8_000_000

TOO_MUCH = 422
SHORTEST = timedelta(seconds=1)
MILLISECOND = timedelta(milliseconds=1)

# Langfuse's own evaluators trace themselves, and so does this package, in environments of these
# names: to analyse them would be to analyse the analysis.
EXCLUDED_ENVIRONMENTS = ("langfuse", "halo-integrations")

Window = tuple[datetime | None, datetime | None]

# Parameters that an observation must meet: plain ones, or one ``filter``.
Condition = Json
EVERYTHING: Condition = {}
ROOTS: Condition = {"isRootObservation": "true"}


class ObservationsReader:
    """Reads the traces of one project through ``v2/observations``."""

    def __init__(self, api: LangfuseClient, judgements: ScoreReader) -> None:
        self._api = api
        self._judgements = judgements
        self._batch = FIRST_BATCH

    def pages(self, query: TraceQuery) -> Iterator[TracePage]:
        """Every matching trace, whole; newest first where a limit chooses."""
        wanted = list(self._trace_ids(query))
        missing = deque(trace_id for trace_id in wanted if trace_id not in query.already_stored)
        total = len(wanted)
        yield TracePage(total=total)
        for traces, failures in prefetch(missing, lambda: self._batch, self._read, READERS):
            kept = [trace for trace in traces if in_window(trace, query)]
            total -= len(traces) - len(kept)
            yield TracePage(traces=tuple(kept), failures=tuple(failures), total=total)

    # -- which traces ----------------------------------------------------------------------------

    def _trace_ids(self, query: TraceQuery) -> Iterable[str]:
        """The ids of the traces to read; some may turn out to begin before the window."""
        if query.has_only_ids:
            return dict.fromkeys(query.trace_ids)
        matching = self._matching(query)
        if query.sample is not None:
            return sample_ids(matching, query.sample, query.seed)
        return matching

    def _matching(self, query: TraceQuery) -> Iterator[str]:
        """The ids of the matching traces, each once, as many as the limit says."""
        allowed = [self._with(any_of_these, query) for any_of_these in conditions_of(query)]
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

        A limit wants the newest and a sample only a few: their roots say enough, and the rest is
        listed only where there are too few of them, for traces whose root was never recorded.
        """
        window = (query.since, query.until)
        everything = self._listed(window, slices=SLICES)
        if query.limit is None and query.sample is None:
            return everything
        return chain(self._listed(window, ROOTS), everything)

    def _with(self, conditions: Sequence[Condition], query: TraceQuery) -> set[str]:
        """The traces in which some observation, also one after the window, meets a condition."""
        window = (query.since, None)
        return {trace_id for one in conditions for trace_id in self._listed(window, one)}

    def _listed(
        self, window: Window, condition: Condition = EVERYTHING, slices: int = 1
    ) -> Iterator[str]:
        """The trace of every observation in ``window`` that meets ``condition``, newest first.

        With ``slices`` the window is cut into so many, which are read side by side.
        """
        parts = cut(window, slices)
        if len(parts) == 1:
            return self._scan(parts[0], condition)
        with ThreadPoolExecutor(len(parts)) as pool:
            found = pool.map(lambda part: dict.fromkeys(self._scan(part, condition)), parts)
            return chain.from_iterable(list(found))

    def _scan(self, window: Window, condition: Condition) -> Iterator[str]:
        """One stream through ``window``; narrower ones where the server cannot answer it."""
        try:
            for row in self._rows(window, condition):
                if not is_excluded(row.get("environment")):
                    yield row["traceId"]
        except Rejected as error:
            halves = halved(window)
            if error.status != TOO_MUCH or halves is None:
                raise
            for half in halves:
                yield from self._scan(half, condition)

    def _rows(self, window: Window, condition: Condition) -> Iterator[Json]:
        """The observations of ``window``; goes on from the last one where a cursor expires."""
        since, until = window
        cursor: str | None = None
        last: str | None = None
        while True:
            try:
                rows, following, _ = self._api.observations(
                    listing(window_params((since, until), condition), cursor)
                )
            except Rejected as error:
                until = resumed_at(error, cursor, last, until)
                cursor = None
                continue
            yield from rows
            if following is None:
                return
            cursor, last = following, rows[-1]["startTime"] if rows else last

    # -- their observations ----------------------------------------------------------------------

    def _read(self, trace_ids: Sequence[str]) -> tuple[list[Trace], list[Failure]]:
        """These traces whole, and those that could not be had."""
        rows, failures = self._observations(trace_ids, PAGE)
        families: dict[str, list[Span]] = {trace_id: [] for trace_id in trace_ids}
        for row in rows:
            families[row["traceId"]].append(span_of(row, row.get("projectId")))
        judged = self._judgements.of(families)
        failed = {failure.where for failure in failures}
        absent = [t for t in trace_ids if not families[t] and t not in failed]
        failures += [not_there(trace_id) for trace_id in absent]
        return [trace_of(t, families[t], judged) for t in trace_ids if families[t]], failures

    def _observations(
        self, trace_ids: Sequence[str], limit: int
    ) -> tuple[list[Json], list[Failure]]:
        """Every observation of these traces: fewer at a time where they are too large."""
        try:
            return self._all_pages(trace_ids, limit), []
        except Rejected as error:
            if error.status != TOO_MUCH:
                raise
            if len(trace_ids) == 1 and limit == 1:
                return [], [Failure(stage="pull", where=trace_ids[0], what=str(error))]
        if len(trace_ids) == 1:
            return self._observations(trace_ids, max(1, limit // 10))
        half = len(trace_ids) // 2
        first, second = (
            self._observations(part, limit) for part in (trace_ids[:half], trace_ids[half:])
        )
        return first[0] + second[0], first[1] + second[1]

    def _all_pages(self, trace_ids: Sequence[str], limit: int) -> list[Json]:
        params: Json = {"fields": ALL_FIELDS, "limit": limit}
        params["filter"] = orjson.dumps([any_of("traceId", trace_ids)]).decode()
        found: dict[tuple[str, str], Json] = {}
        while True:
            rows, cursor, size = self._api.observations(params)
            found.update(((row["traceId"], row["id"]), row) for row in rows)
            self._adapt(len(trace_ids), len(found), size)
            if not cursor:
                return list(found.values())
            params["cursor"] = cursor

    def _adapt(self, traces: int, rows: int, size: int) -> None:
        """Ask next for as many traces as make an answer of the target size."""
        fill = max(rows / TARGET_ROWS, size / TARGET_BYTES, 0.2)
        self._batch = max(1, min(LARGEST_BATCH, int(traces / fill)))

    # -- before writing --------------------------------------------------------------------------

    def targets(self, trace_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        """For each of these traces the observations there are, with the start of each."""
        found: dict[str, dict[str, str]] = {}
        for ids in chunks(list(dict.fromkeys(trace_ids)), LARGEST_BATCH):
            params: Json = {"fields": "core", "limit": PAGE}
            params["filter"] = orjson.dumps([any_of("traceId", ids)]).decode()
            cursor: str | None = ""
            while cursor is not None:
                rows, cursor, _ = self._api.observations(params)
                params["cursor"] = cursor
                for row in rows:
                    found.setdefault(row["traceId"], {})[row["id"]] = row["startTime"]
        return found


def any_of(column: str, values: Sequence[str]) -> Json:
    """A filter: ``column`` is one of ``values``."""
    return {
        "type": "stringOptions",
        "column": column,
        "operator": "any of",
        "value": list(values),
    }


def conditions_of(query: TraceQuery) -> Iterator[list[Condition]]:
    """For each filter of ``query`` the conditions of which an observation must meet one."""
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
        every = {"type": "arrayOptions", "operator": "all of"}
        yield [{"filter": {**every, "column": "traceTags", "value": list(query.tags)}}]
    for key, value in query.metadata.items():
        yield [{"filter": metadata_is(name, value)} for name in (key, f"attributes.{key}")]


def metadata_is(key: str, value: str) -> Json:
    """A filter: the metadata has this entry. What came over OpenTelemetry is under attributes."""
    entry = {"type": "stringObject", "column": "metadata", "operator": "="}
    return {**entry, "key": key, "value": value}


def window_params(window: Window, condition: Condition) -> Json:
    """``window`` and ``condition`` as parameters: a ``filter`` goes before all other ones."""
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


def listing(params: Json, cursor: str | None) -> Json:
    """Parameters of one page of a listing."""
    asked = {"fields": LISTED_FIELDS, "limit": PAGE, **params}
    return {**asked, "cursor": cursor} if cursor else asked


def iso(moment: datetime) -> str:
    """``moment`` as Langfuse takes it: milliseconds, UTC."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def cut(window: Window, slices: int) -> list[Window]:
    """``window`` in so many equal parts, newest first; whole where it has no beginning."""
    since, until = window
    if since is None or slices == 1:
        return [window]
    end = until or datetime.now(UTC)
    step = (end - since) / slices
    borders = [since, *(floor(since + step * n) for n in range(1, slices)), until]
    return list(zip(borders[-2::-1], borders[:0:-1], strict=True))


def halved(window: Window) -> list[Window] | None:
    """Both halves of ``window``, newest first; None where it cannot be narrower."""
    since, until = window[0] or EPOCH, window[1] or datetime.now(UTC) + timedelta(days=1)
    if until - since < SHORTEST:
        return None
    middle = floor(since + (until - since) / 2)
    return [(middle, window[1]), (window[0], middle)]


def floor(moment: datetime) -> datetime:
    """``moment`` cut to milliseconds, as Langfuse compares."""
    return moment - timedelta(microseconds=moment.microsecond % 1000)


def resumed_at(
    error: Rejected, cursor: str | None, last: str | None, until: datetime | None
) -> datetime:
    """Where a listing goes on when the server no longer takes its cursor.

    Just after the last observation that was seen: those of its millisecond come again. Raises
    ``error`` where it is about something else, or where that leads no further.
    """
    if error.status != 400 or cursor is None or last is None:
        raise error
    resumed = datetime.fromisoformat(last) + MILLISECOND
    if until is not None and resumed >= until:
        raise error
    return resumed


def is_excluded(environment: Any) -> bool:
    """Whether this is an environment of analyses, not of agents."""
    return isinstance(environment, str) and environment.startswith(EXCLUDED_ENVIRONMENTS)


def in_window(trace: Trace, query: TraceQuery) -> bool:
    """Whether the trace begins in the window: one that began before it belongs to the former."""
    starts = [s.start_time_unix_nano for s in trace.spans if s.start_time_unix_nano is not None]
    if not starts:
        return True
    since, until = unix_nano_of(query.since), unix_nano_of(query.until)
    first = min(starts)
    # Langfuse keeps milliseconds: what began within that of ``since`` did not begin before it.
    return (since is None or first > since - 1_000_000) and (until is None or first < until)


def not_there(trace_id: str) -> Failure:
    """A trace that was asked for and has nothing."""
    return Failure(stage="pull", where=trace_id, what="Langfuse has no observations of this trace.")


def trace_of(trace_id: str, spans: Sequence[Span], judged: Judged) -> Trace:
    """A trace with what was judged of it."""
    return Trace(trace_id=trace_id, spans=tuple(spans), scores=tuple(judged.get(trace_id, ())))
