"""Filtering of traces by a ``TraceQuery``, for sources that filter by themselves.

Whether a trace matches depends on all of its spans, which may be far apart. What each says of that is
a fact, in any process; united they are the facts of the trace, whose size does not grow with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from heapq import nlargest
from operator import or_
from typing import NamedTuple

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


def has_metadata(query: TraceQuery, span: Span) -> bool:
    """Whether a span has all attributes that ``query`` asks for."""
    return all(has_value(span.attributes, name, text) for name, text in query.metadata.items())


def is_in_environment(query: TraceQuery, span: Span) -> bool:
    """Whether a span is from one of the environments that ``query`` asks for."""
    return not set(attribute_values(span, ENVIRONMENT_NAMES)).isdisjoint(query.environments)


# The filters that one span of a trace has to pass, by their names in a query.
SPAN_FILTERS: dict[str, Callable[[TraceQuery, Span], bool]] = {
    "project": lambda query, span: query.project in map(span.resource.get, PROJECT_NAMES),
    "session_id": lambda query, span: span.session_id == query.session_id,
    "errors_only": lambda query, span: span.is_error,
    "metadata": has_metadata,
    "environments": is_in_environment,
    "names": lambda query, span: span.parent_span_id is None and span.name in query.names,
    "tags": lambda query, span: set(query.tags) <= set(span_tags(span)),
    "user_id": lambda query, span: span.user_id == query.user_id,
    "version": lambda query, span: query.version in attribute_values(span, (VERSION_NAME,)),
}
# The filters of a query that ``QueryFilter`` applies.
FILTERS = frozenset({*SPAN_FILTERS, "trace_ids", "since", "until", "limit", "sample"})


class TraceFacts(NamedTuple):
    """What some spans say of their trace: their first start, and which filters one of them passes."""

    first_start: int | None
    passed: tuple[bool, ...]

    def united(self, other: TraceFacts) -> TraceFacts:
        """Those of the spans of both."""
        starts = [start for start in (self.first_start, other.first_start) if start is not None]
        return TraceFacts(min(starts, default=None), tuple(map(or_, self.passed, other.passed)))


def united_facts(parts: Iterable[tuple[str, TraceFacts]]) -> dict[str, TraceFacts]:
    """The facts of each trace, of which ``parts`` has some with its id."""
    united: dict[str, TraceFacts] = {}
    for trace_id, facts in parts:
        united[trace_id] = facts.united(united[trace_id]) if trace_id in united else facts
    return united


class QueryFilter:
    """Tells the traces that match a query by their facts. It can be pickled."""

    def __init__(self, query: TraceQuery) -> None:
        self._query = query.model_copy(update={"already_stored": frozenset()})
        self._ids = {otlp.full_trace_id(trace_id) or trace_id for trace_id in query.trace_ids}
        asked = {name for name, value in query if value != TraceQuery.model_fields[name].default}
        self._asked = tuple(name for name in SPAN_FILTERS if name in asked)
        self._since, self._until = unix_nano_of(query.since), unix_nano_of(query.until)

    @property
    def takes_all(self) -> bool:
        """Whether every trace matches."""
        return self._query == TraceQuery(seed=self._query.seed)

    def facts_of(self, span: Span) -> TraceFacts | None:
        """What ``span`` says of its trace; None where that is none of the given ids."""
        if self._ids and span.trace_id not in self._ids:
            return None
        passed = tuple(SPAN_FILTERS[name](self._query, span) for name in self._asked)
        return TraceFacts(span.start_time_unix_nano, passed)

    def facts_in(self, spans: Iterable[Span]) -> dict[str, TraceFacts]:
        """What ``spans`` say of their traces, by trace id."""
        each = ((span.trace_id, self.facts_of(span)) for span in spans)
        return united_facts((trace_id, facts) for trace_id, facts in each if facts)

    def matching(self, facts: Mapping[str, TraceFacts]) -> frozenset[str]:
        """The ids of the traces that match, of those with these facts.

        The newest ``limit`` of them, traces without any start last, or a random ``sample``.
        """
        matching = [trace_id for trace_id, found in facts.items() if self._matches(found)]
        query = self._query
        if query.sample is not None:
            return frozenset(sample_ids(matching, query.sample, query.seed))
        if query.limit is not None:
            newest = nlargest(query.limit, matching, key=lambda i: facts[i].first_start or 0)
            return frozenset(newest)
        return frozenset(matching)

    def missing_ids(self, found: Collection[str]) -> list[str]:
        """The given trace ids that are not in ``found``."""
        return sorted(self._ids.difference(found))

    def _matches(self, facts: TraceFacts) -> bool:
        return all(facts.passed) and self._in_window(facts.first_start)

    def _in_window(self, start: int | None) -> bool:
        if self._since is None and self._until is None:
            return True
        if start is None:
            return False
        return (self._since is None or self._since <= start) and (
            self._until is None or start < self._until
        )


def attribute_values(span: Span, names: tuple[str, ...]) -> list[str]:
    """The values of these attributes of the span and of its resource, as text."""
    found = [holder.get(name) for holder in (span.attributes, span.resource) for name in names]
    return [text for text in map(as_text, found) if text is not None]


def span_tags(span: Span) -> list[str]:
    """The tags of the trace that a span carries, as OpenInference writes them."""
    tags = attribute(span.attributes, TAGS_NAME)
    return [str(tag) for tag in tags] if isinstance(tags, list) else []
