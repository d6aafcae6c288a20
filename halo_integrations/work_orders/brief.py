"""A brief, as values."""

from __future__ import annotations

from halo_engine.findings import Evidence, Finding
from halo_engine.issues import Issue
from halo_engine.report.context import TraceExcerpt
from halo_engine.report.figures import STATES
from halo_engine.schema import FrozenModel
from halo_engine.statistics.prevalence import Prevalence
from halo_integrations.work_orders.markdown import brief_markdown


class QuotedTrace(FrozenModel):
    """A trace that shows the failure: the quotes that prove it, and the steps around them.

    ``excerpt`` is None where the traces are no longer there, or no quote has a place in them.
    """

    trace_id: str
    url: str | None = None
    reason: str
    evidence: tuple[Evidence, ...] = ()
    excerpt: TraceExcerpt | None = None


class CaseInput(FrozenModel):
    """What an agent was given in one trace; ``shows_it``: what it did then shows the failure."""

    trace_id: str
    span_id: str
    input: str
    shows_it: bool


class OtherIssue(FrozenModel):
    """Another open issue of the project, and how common it is."""

    id: str
    title: str
    prevalence: Prevalence


class Proof(FrozenModel):
    """How to tell that a change worked: commands, and what they should say.

    ``gone_after`` is the number of new traces without the failure after which ``compare`` calls it
    gone, ``halved_after`` how many traces a side tell that its share was halved, ``resolved_after``
    how many later traces without it resolve the issue. None where it was never counted, and where
    the commands cannot tell.
    """

    commands: tuple[str, ...]
    gone_after: int | None = None
    halved_after: int | None = None
    resolved_after: int | None = None


class Brief(FrozenModel):
    """Everything for one fix of ``issue``.

    ``finding`` is what its last run found of it. ``tools`` are those that the agent declares to its
    model, ``right`` of ``traces`` in that run show no failure at all. Of the ``others``, those called
    ``alike`` are the same failure with another tool. ``inputs`` are of traces that show the failure
    and of others that are right, and ``datasets`` the platform's datasets that hold some of them.
    ``missing`` are sentences about what could not be given, and why.
    """

    issue: Issue
    finding: Finding
    quoted: tuple[QuotedTrace, ...] = ()
    tools: tuple[str, ...] = ()
    right: int | None = None
    traces: int = 0
    others: tuple[OtherIssue, ...] = ()
    alike: tuple[str, ...] = ()
    inputs: tuple[CaseInput, ...] = ()
    datasets: tuple[str, ...] = ()
    proof: Proof
    missing: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of its files: the id of the issue."""
        return self.issue.id

    @property
    def inputs_name(self) -> str:
        """The name of the file with its inputs."""
        return f"{self.name}.inputs.jsonl"

    @property
    def priority(self) -> tuple[int, int, int, int]:
        """Sort key: the most severe first, then what is back or worse, then the most common."""
        urgency = STATES.index(self.issue.status.state)
        severity = self.finding.severity.rank
        return severity, urgency, -self.finding.prevalence.known, self.issue.number

    @property
    def markdown(self) -> str:
        """The brief as text, for people and for coding agents."""
        return brief_markdown(self)
