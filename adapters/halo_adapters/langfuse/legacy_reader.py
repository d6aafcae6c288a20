"""Whole traces out of the legacy endpoints: all that a self-hosted v3 has.

The list of traces says which observations each of them has. Where that takes fewer requests, the
observations of the window are read a hundred a page until every trace is complete. A trace that is
not complete then, since it reaches beyond the window or more came meanwhile, is read by itself.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from halo_adapters.base import TracePage, TraceQuery
from halo_adapters.dialects.attributes import attribute
from halo_adapters.langfuse.client import Json, LangfuseClient
from halo_adapters.langfuse.mapping import span_of
from halo_adapters.langfuse.reader import (
    READERS,
    in_window,
    is_excluded,
    iso,
    not_there,
    trace_of,
)
from halo_adapters.langfuse.scores import Families, LegacyScoreReader
from halo_adapters.transport.prefetch import prefetch
from halo_engine.fields import as_text
from halo_engine.schema import Failure, Trace
from halo_engine.statistics.sampling import sample_ids

# Servers that do not know ``fields`` send everything, which serves as well.
LISTED_FIELDS = "core,observations"


class LegacyReader:
    """Reads the traces of one project through ``traces`` and ``observations``."""

    def __init__(self, api: LangfuseClient) -> None:
        self._api = api

    def pages(self, query: TraceQuery) -> Iterator[TracePage]:
        """Every matching trace, whole; newest first where a limit chooses."""
        listed = self._chosen(query)
        empty = [trace_id for trace_id, row in listed.items() if row and not row["observations"]]
        missing = {t: row for t, row in listed.items() if t not in {*query.already_stored, *empty}}
        total = len(listed) - len(empty)
        yield TracePage(total=total, failures=no_observations(empty))
        reading = LegacyPull(self._api, missing, LegacyScoreReader(self._api, query.since))
        for traces, failures in reading.all(query):
            kept = tuple(trace for trace in traces if in_window(trace, query))
            total -= len(traces) - len(kept)
            yield TracePage(traces=kept, failures=tuple(failures), total=total)

    def targets(self, trace_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        """For each of these traces the observations there are, with the start of each."""
        ids = deque(dict.fromkeys(trace_ids))
        found = prefetch(ids, lambda: 1, lambda one: self._api.legacy_trace(*one), READERS)
        return {
            trace["id"]: {row["id"]: row["startTime"] for row in trace["observations"]}
            for trace in found
            if trace
        }

    # -- which traces ----------------------------------------------------------------------------

    def _chosen(self, query: TraceQuery) -> dict[str, Json]:
        """The traces to read as the list tells them; ids alone need no list."""
        if query.has_only_ids:
            return {trace_id: {} for trace_id in query.trace_ids}
        matching = self._matching(query)
        if query.sample is None:
            return dict(matching)
        found = dict(matching)
        return {t: found[t] for t in sample_ids(found, query.sample, query.seed)}

    def _matching(self, query: TraceQuery) -> Iterator[tuple[str, Json]]:
        allowed = list(self._allowed(query))
        seen: set[str] = set()
        query = ended(query)
        for page in self._api.numbered("traces", list_params(query)):
            for row in page:
                if len(seen) == query.limit:
                    return
                if matches(row, query) and all(row["id"] in ids for ids in allowed):
                    seen.add(row["id"])
                    yield row["id"], row

    def _allowed(self, query: TraceQuery) -> Iterator[set[str]]:
        """For each filter that only observations can tell, the traces that meet it."""
        if query.trace_ids:
            yield set(query.trace_ids)
        if query.errors_only:
            failed = self._observations(query, {"level": "ERROR"})
            yield {row["traceId"] for row in failed if row["level"] == "ERROR"}
        for key, value in query.metadata.items():
            rows = self._observations(query, {})
            yield {row["traceId"] for row in rows if has_attribute(row, key, value)}

    def _observations(self, query: TraceQuery, params: Json) -> Iterator[Json]:
        """Every observation since the window began."""
        since = {"fromStartTime": iso(query.since)} if query.since else {}
        for page in self._api.numbered("observations", {**params, **since}):
            yield from page


class LegacyPull:
    """The reading of some traces; ``missing`` are those not given yet, as the list tells them."""

    def __init__(
        self, api: LangfuseClient, missing: dict[str, Json], judgements: LegacyScoreReader
    ) -> None:
        self._api = api
        self._missing = missing
        self._judgements = judgements
        self._rows: dict[str, dict[str, Json]] = defaultdict(dict)

    def all(self, query: TraceQuery) -> Iterator[tuple[list[Trace], list[Failure]]]:
        """Every trace, and those that could not be had."""
        window = window_params(ended(query))
        pages = self._api.page("observations", window, 1)["meta"]["totalPages"]
        if pages < len(self._missing):
            yield from self._scan(window, pages)
        one_by_one = deque(self._missing)
        yield from prefetch(one_by_one, lambda: 1, lambda one: self._one(*one), READERS)

    def _scan(self, window: Json, pages: int) -> Iterator[tuple[list[Trace], list[Failure]]]:
        """The traces that are complete within the window."""
        numbers = deque(range(1, pages + 1))
        for rows in prefetch(numbers, lambda: 1, lambda one: self._page(window, *one), READERS):
            for row in rows:
                if row["traceId"] in self._missing:
                    self._rows[row["traceId"]][row["id"]] = row
            touched = {row["traceId"] for row in rows}
            complete = [trace_id for trace_id in touched if self._is_complete(trace_id)]
            yield self._traces({t: list(self._rows.pop(t).values()) for t in complete}), []

    def _page(self, window: Json, number: int) -> list[Json]:
        rows: list[Json] = self._api.page("observations", window, number)["data"]
        return rows

    def _is_complete(self, trace_id: str) -> bool:
        listed = self._missing.get(trace_id, {}).get("observations")
        return listed is not None and self._rows[trace_id].keys() >= set(listed)

    def _one(self, trace_id: str) -> tuple[list[Trace], list[Failure]]:
        found = self._api.legacy_trace(trace_id)
        if found is None or not found["observations"]:
            return [], [not_there(trace_id)]
        self._missing[trace_id] = found
        return self._traces({trace_id: found["observations"]}), []

    def _traces(self, rows: Mapping[str, Iterable[Json]]) -> list[Trace]:
        families: Families = {
            trace_id: [span_of(row, row.get("projectId"), self._missing[trace_id]) for row in those]
            for trace_id, those in rows.items()
        }
        judged = self._judgements.of(families)
        for trace_id in families:
            del self._missing[trace_id]
        return [trace_of(trace_id, spans, judged) for trace_id, spans in families.items()]


def ended(query: TraceQuery) -> TraceQuery:
    """``query`` with an end: pages are numbered, and would shift when new traces come."""
    return query.model_copy(update={"until": query.until or datetime.now(UTC)})


def list_params(query: TraceQuery) -> Json:
    """What the server can leave out of the list of traces."""
    single = {
        "name": query.names[0] if len(query.names) == 1 else None,
        "userId": query.user_id,
        "sessionId": query.session_id,
        "release": query.release,
        "version": query.version,
        "environment": list(query.environments) or None,
        "tags": list(query.tags) or None,
        "fromTimestamp": iso(query.since) if query.since else None,
        "toTimestamp": iso(query.until) if query.until else None,
    }
    always = {"fields": LISTED_FIELDS, "orderBy": "timestamp.desc"}
    return {**always, **{name: value for name, value in single.items() if value is not None}}


def window_params(query: TraceQuery) -> Json:
    """The window of ``query`` for observations."""
    bounds = {"fromStartTime": query.since, "toStartTime": query.until}
    return {name: iso(moment) for name, moment in bounds.items() if moment}


def matches(row: Json, query: TraceQuery) -> bool:
    """Whether a listed trace is wanted, by what the list tells."""
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


def has_attribute(row: Json, key: str, value: str) -> bool:
    """Whether an observation has this attribute or metadata."""
    found: Any = attribute(span_of(row, None).attributes, key)
    return as_text(found) == value


def no_observations(trace_ids: Sequence[str]) -> tuple[Failure, ...]:
    """Traces that are a record without observations, in one entry."""
    if not trace_ids:
        return ()
    what = f"{len(trace_ids)} traces have no observations: there is nothing to analyse in them."
    return (Failure(stage="pull", where=trace_ids[0], what=what),)
