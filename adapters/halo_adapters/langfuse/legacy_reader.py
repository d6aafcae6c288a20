"""Reading of whole traces through the legacy endpoints (all that a self-hosted v3 has).

The list of traces has the ids of the observations of each. Where that takes fewer requests, the
observations of the window are read a hundred per page until all traces are complete. A trace that
is incomplete then (it extends beyond the window, or more observations arrived) is read by itself.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from halo_adapters.attribute_filter import has_value
from halo_adapters.base import TraceQuery
from halo_adapters.json_values import JsonObject
from halo_adapters.langfuse.batches import AnsweredTrace, LangfuseBatch
from halo_adapters.langfuse.client import TITLE, LangfuseClient
from halo_adapters.langfuse.mapping import (
    ScoreTarget,
    is_excluded,
    score_target,
)
from halo_adapters.langfuse.raw_observations import raw_observation
from halo_adapters.langfuse.reader import READERS, iso
from halo_adapters.langfuse.scores import LegacyScoreReader
from halo_adapters.observations import (
    attributes_in_metadata,
    observation_attributes,
)
from halo_adapters.trace_failures import missing_trace, trace_failure
from halo_adapters.transport.divide import Divider, not_again_if
from halo_adapters.transport.parts import Ids, Window
from halo_adapters.transport.prefetch import prefetch
from halo_engine.errors import AdapterError
from halo_engine.schema import Failure
from halo_engine.statistics.sampling import sample_ids


class TimeNames(NamedTuple):
    """How a list calls the bounds of a window, and the field of a row by which it is sorted."""

    since: str
    until: str
    sorted_by: str | None


TIMESTAMPS = TimeNames("fromTimestamp", "toTimestamp", "timestamp")
START_TIMES = TimeNames("fromStartTime", "toStartTime", None)

# Servers without support for ``fields`` send all fields.
LISTED_FIELDS = "core,observations"
FIELDS_WITH_METADATA = "core,io"
NEWEST_FIRST = "timestamp.desc"


class LegacyReader:
    """Reads the traces of one project through ``traces`` and ``observations``."""

    def __init__(self, client: LangfuseClient) -> None:
        self._client = client
        self._divider = client.divider()

    def batches(self, query: TraceQuery) -> Iterator[LangfuseBatch]:
        """Every matching trace, whole; newest first where a limit chooses."""
        listed = self._select(query)
        empty = [trace_id for trace_id, row in listed.items() if row and not row["observations"]]
        missing = {t: row for t, row in listed.items() if t not in {*query.already_stored, *empty}}
        total = len(listed) - len(empty)
        failures = (*no_observations(empty), *self._divider.take_failures())
        yield LangfuseBatch(failures=failures, total=total)
        scores = LegacyScoreReader(self._client, query.since, self._divider)
        pull = LegacyPull(self._client, self._divider, missing, scores)
        for traces, absent in pull.read_all(query):
            kept = [trace for trace in traces if trace.is_in_window(query)]
            total -= len(traces) - len(kept)
            yield LangfuseBatch(kept, (*absent, *self._divider.take_failures()), total)

    def targets(self, trace_ids: Sequence[str]) -> dict[str, ScoreTarget]:
        """Those of these traces that exist, as targets of scores."""
        ids = deque(dict.fromkeys(trace_ids))
        found = prefetch(ids, lambda: 1, lambda one: self._client.legacy_trace(*one), READERS)
        return {
            trace["id"]: score_target(trace["observations"])
            for trace in found
            if trace and trace["observations"]
        }

    # -- ids of matching traces ------------------------------------------------------------------

    def _select(self, query: TraceQuery) -> dict[str, JsonObject]:
        """The rows of the traces to read by trace id; empty where only ids are given."""
        if query.has_only_ids:
            return {trace_id: {} for trace_id in query.trace_ids}
        matching = self._matching(query)
        if query.sample is None:
            return dict(matching)
        found = dict(matching)
        return {t: found[t] for t in sample_ids(found, query.sample, query.seed)}

    def _matching(self, query: TraceQuery) -> Iterator[tuple[str, JsonObject]]:
        allowed = list(self._filtered_ids(query))
        seen: set[str] = set()
        window = Window(query.since, end_of(query), "the traces")
        for row in self._listed("traces", window, TIMESTAMPS, trace_list_params(query)):
            if len(seen) == query.limit:
                return
            if passes_filters(row, query) and all(row["id"] in ids for ids in allowed):
                seen.add(row["id"])
                yield row["id"], row

    def _filtered_ids(self, query: TraceQuery) -> Iterator[set[str]]:
        """For each filter that the list of traces lacks, the ids of the traces that pass it."""
        if query.trace_ids:
            yield set(query.trace_ids)
        if query.errors_only:
            failed = self._observations(query, {"level": "ERROR"})
            yield {row["traceId"] for row in failed if row["level"] == "ERROR"}
        if query.metadata:
            yield from self._ids_by_metadata(query).values()

    def _ids_by_metadata(self, query: TraceQuery) -> dict[str, set[str]]:
        """For each key of the filter by metadata, the traces that have it, or a step of theirs."""
        found: dict[str, set[str]] = {key: set() for key in query.metadata}

        def note(trace_id: str, attributes: JsonObject) -> None:
            for key, value in query.metadata.items():
                if has_value(attributes, key, value):
                    found[key].add(trace_id)

        for row in self._observations(query, {}):
            note(row["traceId"], observation_attributes(row)[0])
        window = Window(query.since, end_of(query), "the traces for a filter")
        params = {"fields": FIELDS_WITH_METADATA, "orderBy": NEWEST_FIRST}
        for row in self._listed("traces", window, TIMESTAMPS, params):
            note(row["id"], attributes_in_metadata(row.get("metadata"))[0])
        return found

    def _observations(self, query: TraceQuery, params: JsonObject) -> Iterator[JsonObject]:
        """Every observation since the start of the window."""
        window = Window(query.since, None, "the observations for a filter")
        return self._listed("observations", window, START_TIMES, params)

    def _listed(
        self, path: str, window: Window, times: TimeNames, params: JsonObject
    ) -> Iterator[JsonObject]:
        """The rows of a list in ``window``, newest first; some may come twice."""

        def ask(part: Window) -> tuple[list[JsonObject], Window | None]:
            return listed_page(self._client, path, part, times, params)

        for rows in self._divider.answers(window, ask):
            yield from rows


class LegacyPull:
    """One pull; ``missing`` are the rows of the traces that are not read yet, by trace id."""

    def __init__(
        self,
        client: LangfuseClient,
        divider: Divider,
        missing: dict[str, JsonObject],
        scores: LegacyScoreReader,
    ) -> None:
        self._client = client
        self._divider = divider
        self._missing = missing
        self._scores = scores
        self._rows: dict[str, dict[str, JsonObject]] = defaultdict(dict)

    def read_all(self, query: TraceQuery) -> Iterator[tuple[list[AnsweredTrace], list[Failure]]]:
        """Every trace, with a ``Failure`` for each that does not exist."""
        with suppress(ScanIsTooMuch):
            yield from self._scan(start_params(query.since, end_of(query), START_TIMES))
        one_by_one = deque(self._missing)
        yield from prefetch(one_by_one, lambda: 1, self._read_traces, READERS)

    def _scan(self, window: JsonObject) -> Iterator[tuple[list[AnsweredTrace], list[Failure]]]:
        """The traces that are complete with the observations of the window, if that is faster.

        Raises ``ScanIsTooMuch`` where the server cannot answer for the window; single traces are
        the smaller questions.
        """
        pages = self._page(window, 1)["meta"]["totalPages"]
        if pages >= len(self._missing):
            return
        numbers = deque(range(1, pages + 1))
        for rows in prefetch(
            numbers, lambda: 1, lambda one: self._read_page(window, *one), READERS
        ):
            for row in rows:
                if row["traceId"] in self._missing:
                    self._rows[row["traceId"]][row["id"]] = row
            touched = {row["traceId"] for row in rows}
            complete = [trace_id for trace_id in touched if self._is_complete(trace_id)]
            yield self._traces({t: list(self._rows.pop(t).values()) for t in complete}), []

    def _read_page(self, window: JsonObject, number: int) -> list[JsonObject]:
        rows: list[JsonObject] = self._page(window, number)["data"]
        return rows

    def _page(self, window: JsonObject, number: int) -> JsonObject:
        try:
            with not_again_if(self._divider.is_too_much):
                return self._client.legacy_page("observations", window, number)
        except AdapterError as error:
            if self._divider.is_too_much(error):
                raise ScanIsTooMuch from error
            raise

    def _is_complete(self, trace_id: str) -> bool:
        listed = self._missing.get(trace_id, {}).get("observations")
        return listed is not None and self._rows[trace_id].keys() >= set(listed)

    def _read_traces(self, trace_ids: Sequence[str]) -> tuple[list[AnsweredTrace], list[Failure]]:
        """These traces, and a ``Failure`` for each that does not exist."""
        traces: list[AnsweredTrace] = []
        failures: list[Failure] = []
        for trace_id in trace_ids:
            for found in self._divider.answers(Ids((trace_id,), 1, 1), self._trace):
                if found is None or not found["observations"]:
                    failures.append(missing_trace(TITLE, trace_id))
                    continue
                self._missing[trace_id] = found
                traces += self._traces({trace_id: found["observations"]})
        return traces, failures

    def _trace(self, part: Ids) -> tuple[JsonObject | None, None]:
        return self._client.legacy_trace(*part.ids), None

    def _traces(self, rows: Mapping[str, Sequence[JsonObject]]) -> list[AnsweredTrace]:
        read = [
            AnsweredTrace(i, list(map(raw_observation, found)), trace=self._missing.pop(i))
            for i, found in rows.items()
        ]
        scores = self._scores.by_trace({trace.trace_id: trace.observation_ids for trace in read})
        return [trace._replace(scores=scores.get(trace.trace_id, ())) for trace in read]


class ScanIsTooMuch(Exception):
    """The server cannot answer for all observations of the window."""


def listed_page(
    client: LangfuseClient, path: str, window: Window, times: TimeNames, params: JsonObject
) -> tuple[list[JsonObject], Window | None]:
    """A page of a list in ``window``, whose cursor is the number of the page; and what is left."""
    number = int(window.cursor or 1)
    bounds = start_params(window.since, window.until, times)
    page = client.legacy_page(path, {**params, **bounds}, number)
    rows: list[JsonObject] = page["data"]
    if not rows or number >= page["meta"]["totalPages"]:
        return rows, None
    last = datetime.fromisoformat(rows[-1][times.sorted_by]) if times.sorted_by else None
    return rows, replace(window, cursor=number + 1, reached=last)


def end_of(query: TraceQuery) -> datetime:
    """The end of the window; now where it has none: new traces would shift numbered pages."""
    return query.until or datetime.now(UTC)


def trace_list_params(query: TraceQuery) -> JsonObject:
    """The filters of ``query`` that the list of traces supports, as parameters."""
    single = {
        "name": query.names[0] if len(query.names) == 1 else None,
        "userId": query.user_id,
        "sessionId": query.session_id,
        "release": query.release,
        "version": query.version,
        "environment": list(query.environments) or None,
        "tags": list(query.tags) or None,
    }
    always = {"fields": LISTED_FIELDS, "orderBy": NEWEST_FIRST}
    return {**always, **{name: value for name, value in single.items() if value is not None}}


def start_params(since: datetime | None, until: datetime | None, times: TimeNames) -> JsonObject:
    """A time window as parameters of a list."""
    bounds = {times.since: since, times.until: until}
    return {name: iso(moment) for name, moment in bounds.items() if moment}


def passes_filters(row: JsonObject, query: TraceQuery) -> bool:
    """Whether a row of the list of traces passes the filters of ``query`` on its fields."""
    exact = {
        "userId": query.user_id,
        "sessionId": query.session_id,
        "release": query.release,
        "version": query.version,
    }
    return (
        not is_excluded(row["environment"])
        and (not query.environments or row["environment"] in query.environments)
        and (not query.names or row["name"] in query.names)
        and set(query.tags) <= set(row["tags"] or ())
        and all(value is None or row[name] == value for name, value in exact.items())
    )


def no_observations(trace_ids: Sequence[str]) -> tuple[Failure, ...]:
    """One failure for all listed traces without observations."""
    if not trace_ids:
        return ()
    what = f"{len(trace_ids)} traces have no observations: there is nothing to analyse in them."
    return (trace_failure(trace_ids[0], what),)
