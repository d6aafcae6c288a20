"""What a report says besides its findings, gathered while the traces are at hand.

It is kept beside the report, so that it can be rendered again without the traces, and its size does
not grow with their number.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from halo_engine.issues import Decision, Observation
from halo_engine.report.figures import Figures
from halo_engine.schema import FrozenModel


class Facet(StrEnum):
    """A property of a trace by which findings are counted, where it is recorded."""

    AGENT = "agent"
    RELEASE = "release"
    MODEL = "model"
    ENVIRONMENT = "environment"


class FacetValues(FrozenModel):
    """The commonest ``values`` of a facet with the number of ``traces`` that have each.

    ``others`` traces have another value only. A trace can have several: it can call two models.
    """

    facet: Facet
    values: tuple[str, ...]
    traces: tuple[int, ...]
    others: int = 0


class Timeline(FrozenModel):
    """How many traces began in each interval of ``seconds``, the first of which is at ``start``.

    ``affected`` of them show a failure of the agent; ``undated`` traces record no start.
    """

    start: datetime
    seconds: int
    traces: tuple[int, ...]
    affected: tuple[int, ...]
    undated: int = 0

    @property
    def width(self) -> timedelta:
        """The length of an interval."""
        return timedelta(seconds=self.seconds)


class TraceUsage(FrozenModel):
    """What ``traces`` cost and how long they took, from their first span to the end of the last.

    ``cost`` (USD) is the sum over the ``priced`` ones, which record a cost, ``seconds`` over the
    ``timed`` ones, which record their start and end.
    """

    traces: int = 0
    priced: int = 0
    cost: float = 0.0
    timed: int = 0
    seconds: float = 0.0


class ExcerptStep(FrozenModel):
    """A text of a trace: who said it, or the call or result of a ``tool``; shortened to its quotes.

    ``quotes`` are the parts of ``text`` that prove a finding. ``skipped`` texts are left out before
    it. ``seconds`` is when that was, after the start of the trace.
    """

    span_id: str
    field: str
    role: str
    tool: str | None = None
    text: str
    quotes: tuple[str, ...] = ()
    skipped: int = 0
    seconds: float | None = None


class TraceExcerpt(FrozenModel):
    """The steps around the quotes from one trace; ``skipped`` texts come after them."""

    trace_id: str
    steps: tuple[ExcerptStep, ...]
    skipped: int = 0


class FindingContext(FrozenModel):
    """A shown finding in its context.

    Of the traces that it affects: how many began in each interval of the timeline, how many have
    each value of each facet, in the order of ``ReportContext``, and what they used. ``excerpts``
    are of the first of them.
    """

    affected: tuple[int, ...] = ()
    facets: tuple[tuple[int, ...], ...] = ()
    used: TraceUsage = TraceUsage()
    excerpts: tuple[TraceExcerpt, ...] = ()


class IssueHistory(FrozenModel):
    """A known issue: ``seen`` in so many of the ``runs`` that looked for it, ``since`` the first.

    ``observations`` are those of the last runs. ``decision`` is the one that holds.
    """

    since: datetime
    runs: int
    seen: int
    observations: tuple[Observation, ...] = ()
    decision: Decision | None = None


class ReportContext(FrozenModel):
    """When the traces of a report were, what they were of, and its findings in their context.

    ``figures`` are there so that the list of runs need not read whole reports.
    ``used`` is what all traces used, ``affected`` of it those that show a failure of the agent.
    ``findings`` is by the id of the first part of what is shown as one finding, ``issues`` by the id
    of the issue.
    """

    figures: Figures | None = None
    timeline: Timeline | None = None
    facets: tuple[FacetValues, ...] = ()
    used: TraceUsage = TraceUsage()
    affected: TraceUsage = TraceUsage()
    findings: Mapping[str, FindingContext] = {}
    issues: Mapping[str, IssueHistory] = {}
