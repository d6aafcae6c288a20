"""Which traces a query wants, for a source that reads spans in the order they come."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from halo_adapters.attributes import attribute
from halo_adapters.base import TraceQuery
from halo_adapters.otlp import id_of
from halo_engine.fields import as_text
from halo_engine.schema import Span, unix_nano_of

PROJECT_NAMES = ("openinference.project.name", "service.name")


@dataclass(slots=True)
class Facts:
    """What is known of one trace, from the spans of it that were seen."""

    first_start: int | None = None
    failed: bool = False
    in_project: bool = False
    in_session: bool = False
    has_metadata: bool = False


class Selection:
    """The traces that match a query.

    Ids and the limit can be decided span by span. Every other filter needs the whole trace:
    then ``looks_ahead`` is true, and all spans must go through ``learn`` before any through
    ``keep``.
    """

    def __init__(self, query: TraceQuery) -> None:
        self._query = query
        self._ids = {id_of(trace_id) or trace_id for trace_id in query.trace_ids}
        self._since, self._until = unix_nano_of(query.since), unix_nano_of(query.until)
        self._facts: dict[str, Facts] = {}
        self._admitted: set[str] = set()

    @property
    def looks_ahead(self) -> bool:
        """Whether the spans must be seen twice."""
        query = self._query
        whole = (query.project, query.since, query.until, query.session_id, query.errors_only)
        return bool(query.metadata) or any(whole)

    def learn(self, spans: Iterable[Span]) -> list[Span]:
        """Take note of ``spans``; keeps none of them."""
        for span in spans:
            if not self._ids or span.trace_id in self._ids:
                self._note(self._facts.setdefault(span.trace_id, Facts()), span)
        return []

    def keep(self, spans: Iterable[Span]) -> list[Span]:
        """Those of ``spans`` whose trace is wanted."""
        wants = self._chosen.__contains__ if self.looks_ahead else self._admits
        return [span for span in spans if wants(span.trace_id)]

    @property
    def total(self) -> int | None:
        """How many traces match, where that is known before they are read."""
        return len(self._chosen) if self._facts else None

    def _note(self, facts: Facts, span: Span) -> None:
        query, start = self._query, span.start_time_unix_nano
        if start is not None and (facts.first_start is None or start < facts.first_start):
            facts.first_start = start
        facts.failed |= span.is_error
        facts.in_session |= span.session_id == query.session_id
        facts.in_project |= query.project in map(span.resource.get, PROJECT_NAMES)
        facts.has_metadata |= bool(query.metadata) and self._has_metadata(span)

    def _has_metadata(self, span: Span) -> bool:
        wanted = self._query.metadata.items()
        return all(as_text(attribute(span.attributes, name)) == text for name, text in wanted)

    @cached_property
    def _chosen(self) -> frozenset[str]:
        """The traces that match, the first ``limit`` of them; asked for when all is learned."""
        matching = [trace_id for trace_id, facts in self._facts.items() if self._matches(facts)]
        return frozenset(matching[: self._query.limit])

    def _matches(self, facts: Facts) -> bool:
        query = self._query
        return (
            self._in_window(facts.first_start)
            and (facts.failed or not query.errors_only)
            and (facts.in_session or query.session_id is None)
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

    def _admits(self, trace_id: str) -> bool:
        """Whether a trace is wanted by its id, and among the first ``limit`` such."""
        if trace_id in self._admitted:
            return True
        limit = self._query.limit
        wanted = not self._ids or trace_id in self._ids
        if wanted and (limit is None or len(self._admitted) < limit):
            self._admitted.add(trace_id)
            return True
        return False
