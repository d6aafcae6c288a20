"""Filtering of spans by a ``TraceQuery``, for sources that filter by themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from heapq import nlargest

from halo_adapters import otlp
from halo_adapters.attribute_filter import has_value
from halo_adapters.attributes import attribute
from halo_adapters.base import TraceQuery
from halo_engine.fields import as_text
from halo_engine.schema import Span, unix_nano_of
from halo_engine.statistics.sampling import sample_ids

PROJECT_NAMES = ("openinference.project.name", "service.name")
ENVIRONMENT_NAMES = ("deployment.environment.name", "deployment.environment")
VERSION_NAME = "service.version"
TAGS_NAME = "tag.tags"

# The filters of a query that ``QueryFilter`` applies.
FILTERS = frozenset(
    {
        *("project", "since", "until", "trace_ids", "session_id", "errors_only", "metadata"),
        *("environments", "names", "tags", "user_id", "version", "limit", "sample"),
    }
)


@dataclass(slots=True)
class TraceFacts:
    """Which filters of the query some span of a trace passes, among the spans read so far."""

    first_start: int | None = None
    failed: bool = False
    in_project: bool = False
    in_session: bool = False
    of_user: bool = False
    has_name: bool = False
    in_environment: bool = False
    of_version: bool = False
    has_tags: bool = False
    has_metadata: bool = False


class QueryFilter:
    """Selects the spans of the traces that match a query.

    Trace ids can be applied span by span. Every other filter needs the whole trace: then
    ``needs_two_passes`` is true, and all spans must go through ``collect`` before any goes through
    ``select``. What is kept of a trace meanwhile does not grow with it.
    """

    def __init__(self, query: TraceQuery) -> None:
        self._query = query
        self._ids = {otlp.full_trace_id(trace_id) or trace_id for trace_id in query.trace_ids}
        self._since, self._until = unix_nano_of(query.since), unix_nano_of(query.until)
        self._facts: dict[str, TraceFacts] = {}
        self._seen_ids: set[str] = set()

    @property
    def takes_all(self) -> bool:
        """Whether every trace matches."""
        return not self.needs_two_passes and not self._ids

    @property
    def needs_two_passes(self) -> bool:
        """Whether the query has a filter that needs whole traces."""
        by_span = TraceQuery(
            trace_ids=self._query.trace_ids,
            already_stored=self._query.already_stored,
            seed=self._query.seed,
        )
        return self._query != by_span

    def collect(self, spans: Iterable[Span]) -> list[Span]:
        """First pass: record which filters ``spans`` pass; returns none of them."""
        for span in filter(self._has_given_id, spans):
            self._update(self._facts.setdefault(span.trace_id, TraceFacts()), span)
        return []

    def select(self, spans: Iterable[Span]) -> list[Span]:
        """Those of ``spans`` whose trace matches the query."""
        if self.needs_two_passes:
            return [span for span in spans if span.trace_id in self._selected_ids]
        return [span for span in spans if self._has_given_id(span)]

    def missing_ids(self) -> list[str]:
        """The given trace ids that no span had, after all spans went through."""
        return sorted(self._ids - self._seen_ids)

    @property
    def total(self) -> int | None:
        """The number of matching traces after a first pass, else None."""
        return len(self._selected_ids) if self._facts else None

    def _update(self, facts: TraceFacts, span: Span) -> None:
        query, start = self._query, span.start_time_unix_nano
        if start is not None and (facts.first_start is None or start < facts.first_start):
            facts.first_start = start
        facts.failed |= span.is_error
        facts.in_session |= span.session_id == query.session_id
        facts.in_project |= query.project in map(span.resource.get, PROJECT_NAMES)
        facts.of_user |= span.user_id == query.user_id
        facts.has_name |= span.parent_span_id is None and span.name in query.names
        facts.in_environment |= not set(attribute_values(span, ENVIRONMENT_NAMES)).isdisjoint(
            query.environments
        )
        facts.of_version |= query.version in attribute_values(span, (VERSION_NAME,))
        facts.has_tags |= bool(query.tags) and set(query.tags) <= set(span_tags(span))
        facts.has_metadata |= bool(query.metadata) and self._has_metadata(span)

    def _has_metadata(self, span: Span) -> bool:
        wanted = self._query.metadata.items()
        return all(has_value(span.attributes, name, text) for name, text in wanted)

    @cached_property
    def _selected_ids(self) -> frozenset[str]:
        """The ids of the matching traces; computed once, after the first pass.

        The newest ``limit`` of them, traces without any start last, or a random ``sample``.
        """
        matching = [trace_id for trace_id, facts in self._facts.items() if self._matches(facts)]
        query = self._query
        if query.sample is not None:
            return frozenset(sample_ids(matching, query.sample, query.seed))
        if query.limit is not None:
            return frozenset(nlargest(query.limit, matching, key=self._start_of))
        return frozenset(matching)

    def _start_of(self, trace_id: str) -> int:
        return self._facts[trace_id].first_start or 0

    def _matches(self, facts: TraceFacts) -> bool:
        query = self._query
        return (
            self._in_window(facts.first_start)
            and (facts.failed or not query.errors_only)
            and (facts.in_session or query.session_id is None)
            and (facts.of_user or query.user_id is None)
            and (facts.has_name or not query.names)
            and (facts.in_environment or not query.environments)
            and (facts.of_version or query.version is None)
            and (facts.has_tags or not query.tags)
            and (facts.in_project or query.project is None)
            and (facts.has_metadata or not query.metadata)
        )

    def _in_window(self, start: int | None) -> bool:
        if self._since is None and self._until is None:
            return True
        if start is None:
            return False
        return (self._since is None or self._since <= start) and (
            self._until is None or start < self._until
        )

    def _has_given_id(self, span: Span) -> bool:
        if not self._ids:
            return True
        if span.trace_id in self._ids:
            self._seen_ids.add(span.trace_id)
            return True
        return False


def attribute_values(span: Span, names: tuple[str, ...]) -> list[str]:
    """The values of these attributes of the span and of its resource, as text."""
    found = [holder.get(name) for holder in (span.attributes, span.resource) for name in names]
    return [text for text in map(as_text, found) if text is not None]


def span_tags(span: Span) -> list[str]:
    """The tags of the trace that a span carries, as OpenInference writes them."""
    tags = attribute(span.attributes, TAGS_NAME)
    return [str(tag) for tag in tags] if isinstance(tags, list) else []
