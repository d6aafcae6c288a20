"""Reading of whole traces through the legacy endpoints (all that a self-hosted v3 has).

The list of traces has the ids of the observations of each. Where that takes fewer requests, the
observations of the window are read a hundred per page until all traces are complete. A trace that
is incomplete then (it extends beyond the window, or more observations arrived) is read by itself.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from halo_adapters.attributes import attribute
from halo_adapters.base import TracePage, TraceQuery
from halo_adapters.dialects.errors import DialectErrors
from halo_adapters.json_values import JsonObject
from halo_adapters.langfuse.client import TITLE, LangfuseClient
from halo_adapters.langfuse.mapping import (
    ScoreTarget,
    observation_attributes,
    score_target,
    span_from_observation,
)
from halo_adapters.langfuse.reader import (
    READERS,
    in_window,
    is_excluded,
    iso,
    scored_trace,
)
from halo_adapters.langfuse.scores import LegacyScoreReader, SpansByTrace
from halo_adapters.trace_failures import missing_trace, time_failures, trace_failure
from halo_adapters.transport.prefetch import prefetch
from halo_engine.fields import as_text
from halo_engine.schema import Failure, Trace
from halo_engine.statistics.sampling import sample_ids

# Servers without support for ``fields`` send all fields.
LISTED_FIELDS = "core,observations"


class LegacyReader:
    """Reads the traces of one project through ``traces`` and ``observations``."""

    def __init__(self, client: LangfuseClient) -> None:
        self._client = client

    def pages(self, query: TraceQuery) -> Iterator[TracePage]:
        """Every matching trace, whole; newest first where a limit chooses."""
        listed = self._select(query)
        empty = [trace_id for trace_id, row in listed.items() if row and not row["observations"]]
        missing = {t: row for t, row in listed.items() if t not in {*query.already_stored, *empty}}
        total = len(listed) - len(empty)
        yield TracePage(total=total, failures=no_observations(empty))
        errors = DialectErrors()
        scores = LegacyScoreReader(self._client, query.since)
        pull = LegacyPull(self._client, missing, scores, errors)
        for traces, failures in pull.read_all(query):
            kept = tuple(trace for trace in traces if in_window(trace, query))
            total -= len(traces) - len(kept)
            failures += (*time_failures(TITLE, kept), *errors.take())
            yield TracePage(traces=kept, failures=tuple(failures), total=total)

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
        query = with_end(query)
        for page in self._client.legacy_pages("traces", trace_list_params(query)):
            for row in page:
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
        for key, value in query.metadata.items():
            rows = self._observations(query, {})
            yield {row["traceId"] for row in rows if has_attribute(row, key, value)}

    def _observations(self, query: TraceQuery, params: JsonObject) -> Iterator[JsonObject]:
        """Every observation since the start of the window."""
        since = {"fromStartTime": iso(query.since)} if query.since else {}
        for page in self._client.legacy_pages("observations", {**params, **since}):
            yield from page


class LegacyPull:
    """One pull; ``missing`` are the rows of the traces that are not read yet, by trace id."""

    def __init__(
        self,
        client: LangfuseClient,
        missing: dict[str, JsonObject],
        scores: LegacyScoreReader,
        errors: DialectErrors,
    ) -> None:
        self._client = client
        self._missing = missing
        self._scores = scores
        self._errors = errors
        self._rows: dict[str, dict[str, JsonObject]] = defaultdict(dict)

    def read_all(self, query: TraceQuery) -> Iterator[tuple[list[Trace], list[Failure]]]:
        """Every trace, with a ``Failure`` for each that does not exist."""
        window = observation_window_params(with_end(query))
        pages = self._client.legacy_page("observations", window, 1)["meta"]["totalPages"]
        if pages < len(self._missing):
            yield from self._scan(window, pages)
        one_by_one = deque(self._missing)
        yield from prefetch(one_by_one, lambda: 1, lambda one: self._read_trace(*one), READERS)

    def _scan(self, window: JsonObject, pages: int) -> Iterator[tuple[list[Trace], list[Failure]]]:
        """Read the observations of the window; the traces that are complete with them."""
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
        rows: list[JsonObject] = self._client.legacy_page("observations", window, number)["data"]
        return rows

    def _is_complete(self, trace_id: str) -> bool:
        listed = self._missing.get(trace_id, {}).get("observations")
        return listed is not None and self._rows[trace_id].keys() >= set(listed)

    def _read_trace(self, trace_id: str) -> tuple[list[Trace], list[Failure]]:
        found = self._client.legacy_trace(trace_id)
        if found is None or not found["observations"]:
            return [], [missing_trace(TITLE, trace_id)]
        self._missing[trace_id] = found
        return self._traces({trace_id: found["observations"]}), []

    def _traces(self, rows: Mapping[str, Iterable[JsonObject]]) -> list[Trace]:
        spans_by_trace: SpansByTrace = {
            trace_id: [
                span_from_observation(
                    row, row.get("projectId"), self._missing[trace_id], self._errors
                )
                for row in trace_rows
            ]
            for trace_id, trace_rows in rows.items()
        }
        scores = self._scores.by_trace(spans_by_trace)
        for trace_id in spans_by_trace:
            del self._missing[trace_id]
        return [scored_trace(t, spans, scores) for t, spans in spans_by_trace.items()]


def with_end(query: TraceQuery) -> TraceQuery:
    """``query`` with an end: the numbered pages would shift when new traces arrive."""
    return query.model_copy(update={"until": query.until or datetime.now(UTC)})


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
        "fromTimestamp": iso(query.since) if query.since else None,
        "toTimestamp": iso(query.until) if query.until else None,
    }
    always = {"fields": LISTED_FIELDS, "orderBy": "timestamp.desc"}
    return {**always, **{name: value for name, value in single.items() if value is not None}}


def observation_window_params(query: TraceQuery) -> JsonObject:
    """The window of ``query`` as parameters of ``observations``."""
    bounds = {"fromStartTime": query.since, "toStartTime": query.until}
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


def has_attribute(row: JsonObject, key: str, value: str) -> bool:
    """Whether an observation has this attribute or entry of the metadata."""
    attributes, _ = observation_attributes(row)
    return as_text(attribute(attributes, key)) == value


def no_observations(trace_ids: Sequence[str]) -> tuple[Failure, ...]:
    """One failure for all listed traces without observations."""
    if not trace_ids:
        return ()
    what = f"{len(trace_ids)} traces have no observations: there is nothing to analyse in them."
    return (trace_failure(trace_ids[0], what),)
