"""What a Langfuse server answered about some traces, and the page that any process can make of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from halo_adapters.base import TracePage, TraceQuery
from halo_adapters.dialects.errors import DialectErrors
from halo_adapters.json_values import JsonObject, unix_nano
from halo_adapters.langfuse.client import TITLE
from halo_adapters.langfuse.mapping import observation_origin
from halo_adapters.langfuse.raw_observations import RawObservation
from halo_adapters.observations import span_from_observation
from halo_adapters.trace_failures import time_failures
from halo_engine.schema import Failure, Score, Trace, unix_nano_of


class AnsweredTrace(NamedTuple):
    """A trace as the server has it: its observations, at least one, and its scores.

    ``trace`` is its own row, which only the legacy endpoints have.
    """

    trace_id: str
    observations: Sequence[RawObservation]
    scores: Sequence[Score] = ()
    trace: JsonObject | None = None

    @property
    def observation_ids(self) -> list[str]:
        """The ids of its observations."""
        return [one.id for one in self.observations]

    def is_in_window(self, query: TraceQuery) -> bool:
        """Whether it begins in the window of ``query``."""
        times = [unix_nano(one.start_time) for one in self.observations]
        if not (starts := [time for time in times if time is not None]):
            return True
        since, until = unix_nano_of(query.since), unix_nano_of(query.until)
        first = min(starts)
        # Langfuse stores milliseconds: a start in the same one as ``since`` is not before it.
        return (since is None or first > since - 1_000_000) and (until is None or first < until)

    def mapped(self, errors: DialectErrors) -> Trace:
        """The trace, its observations as spans."""
        spans = (
            span_from_observation(row, observation_origin(row.get("projectId")), self.trace, errors)
            for row in (one.row() for one in self.observations)
        )
        return Trace(trace_id=self.trace_id, spans=tuple(spans), scores=tuple(self.scores))


class LangfuseBatch(NamedTuple):
    """Some traces, and what could not be read; ``total`` is that of the page."""

    traces: Sequence[AnsweredTrace] = ()
    failures: tuple[Failure, ...] = ()
    total: int | None = None

    def __str__(self) -> str:
        return f"{len(self.traces)} traces of Langfuse were read"

    def decoded(self) -> TracePage:
        """All of it as one page."""
        errors = DialectErrors()
        traces = tuple(trace.mapped(errors) for trace in self.traces)
        found = (*self.failures, *time_failures(TITLE, traces), *errors.take())
        return TracePage(traces=traces, failures=found, total=self.total)
