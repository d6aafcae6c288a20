"""A brief, as values."""

from __future__ import annotations

from halo_engine.findings import Evidence, Finding
from halo_engine.findings.groups import group_of, group_parts
from halo_engine.issues import Issue
from halo_engine.report.context import TraceExcerpt
from halo_engine.report.figures import STATES
from halo_engine.schema import FrozenModel
from halo_engine.statistics.prevalence import Prevalence
from halo_integrations.work_orders.markdown import brief_markdown


class StepFacts(FrozenModel):
    """What is recorded of a quoted step besides its texts, such as ``finish reason: length``.

    ``span_id`` is None for what is recorded of the trace as a whole.
    """

    span_id: str | None
    name: str
    facts: tuple[str, ...]


class QuotedTrace(FrozenModel):
    """A trace that shows the failure: the quotes that prove it, and the steps around them.

    ``issues`` are those of the work order that it shows. ``excerpt`` is None, and ``recorded`` empty,
    where the traces are no longer there; ``excerpt`` also where no quote has a place in them.
    """

    trace_id: str
    url: str | None = None
    reason: str
    issues: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    recorded: tuple[StepFacts, ...] = ()
    excerpt: TraceExcerpt | None = None


class CaseInput(FrozenModel):
    """What an agent was given in one trace; ``shows_it``: what it did then shows the failure.

    ``failures`` say what it was in that trace, by issue.
    """

    trace_id: str
    span_id: str
    input: str
    shows_it: bool
    failures: dict[str, str] = {}


class OtherIssue(FrozenModel):
    """An open issue of another work order, and how common it is."""

    id: str
    title: str
    prevalence: Prevalence


class SameCause(FrozenModel):
    """Another issue of a work order, and why its cause is probably the same."""

    issue: Issue
    finding: Finding
    why: str


class Expected(FrozenModel):
    """How many traces it takes to tell that an issue is mended.

    ``gone_after`` is the number of new traces without the failure after which ``compare`` calls it
    gone, ``halved_after`` how many traces a side tell that its share was halved, ``resolved_after``
    how many later traces without it resolve the issue. None where it was never counted, and where
    the commands cannot tell.
    """

    issue: str
    gone_after: int | None = None
    halved_after: int | None = None
    resolved_after: int | None = None


class Proof(FrozenModel):
    """How to tell that a change worked: commands, and what they should say of each issue.

    ``to_fill_in`` are the words of the commands that stand for something, with what that is.
    """

    commands: tuple[str, ...]
    to_fill_in: dict[str, str]
    expected: tuple[Expected, ...]

    @property
    def gone_after(self) -> int | None:
        """After how many new traces all issues are gone; None where that cannot be told of one."""
        needed = [each.gone_after for each in self.expected if each.gone_after is not None]
        return max(needed) if len(needed) == len(self.expected) else None


class Brief(FrozenModel):
    """Everything for one fix of ``issue``, and of the issues ``together`` with it.

    ``finding`` is what its last run found of it. ``tools`` are those that the agent declares to its
    model, ``right`` of ``traces`` in that run show no failure at all. ``inputs`` are of traces that
    show the failure and of others that are right, and ``datasets`` the platform's datasets that hold
    some of them. ``others`` is the number of open issues that have work orders of their own, and
    ``nearby`` are those of them with the same tools. ``code_command`` looks up where it is in the
    code; None where that was done. ``missing`` are sentences about what could not be given, and why.
    """

    issue: Issue
    finding: Finding
    together: tuple[SameCause, ...] = ()
    quoted: tuple[QuotedTrace, ...] = ()
    tools: tuple[str, ...] = ()
    right: int | None = None
    traces: int = 0
    others: int = 0
    nearby: tuple[OtherIssue, ...] = ()
    inputs: tuple[CaseInput, ...] = ()
    datasets: tuple[str, ...] = ()
    proof: Proof
    code_command: str | None = None
    missing: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of its files: the id of its first issue."""
        return self.issue.id

    @property
    def issues(self) -> tuple[Issue, ...]:
        """All its issues."""
        return (self.issue, *(each.issue for each in self.together))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was last found of each issue."""
        return (self.finding, *(each.finding for each in self.together))

    @property
    def title(self) -> str:
        """What happens, as one title for all issues."""
        groups = group_parts(self.findings)
        more = f", and {len(groups) - 1} more" if len(groups) > 1 else ""
        return group_of(groups[0]).title + more

    @property
    def prevalence(self) -> Prevalence:
        """How common it is: of all issues that are one failure with several tools."""
        return group_of(group_parts(self.findings)[0]).prevalence

    @property
    def inputs_name(self) -> str:
        """The name of the file with its inputs."""
        return f"{self.name}.inputs.jsonl"

    @property
    def priority(self) -> tuple[int, int, int, int]:
        """Sort key: the most severe first, then what is back or worse, then the most common."""
        return priority_of(self.issue, self.finding)

    @property
    def markdown(self) -> str:
        """The brief as text, for people and for coding agents."""
        return brief_markdown(self)


def priority_of(issue: Issue, finding: Finding) -> tuple[int, int, int, int]:
    """Sort key: the most severe first, then what is back or worse, then the most common."""
    urgency = STATES.index(issue.status.state)
    return finding.severity.rank, urgency, -finding.prevalence.known, issue.number
