"""The numbers that a report is opened for."""

from __future__ import annotations

from collections import Counter

from halo_engine.findings import IssueState, Report, Severity
from halo_engine.schema import FrozenModel
from halo_engine.statistics.prevalence import percent

# States of open issues, those first that are to be looked at first.
URGENT = (IssueState.REGRESSED, IssueState.WORSE, IssueState.NEW)
STATES = (*URGENT, IssueState.ONGOING, IssueState.RESOLVED)


class Figures(FrozenModel):
    """How many findings there are by severity, and their issues by state and by decision.

    ``states`` are those of open issues, the most urgent first. ``affected`` of ``traces`` traces show
    a finding.
    """

    findings: int
    severities: tuple[tuple[str, int], ...]
    states: tuple[tuple[str, int], ...]
    decisions: tuple[tuple[str, int], ...]
    affected: int
    traces: int

    @property
    def urgent(self) -> int:
        """The number of open issues that are new or worse, or came back."""
        return sum(number for state, number in self.states if state in URGENT)

    @property
    def share(self) -> str:
        """The share of affected traces."""
        return percent(self.affected / max(1, self.traces))


def figures_of(report: Report) -> Figures:
    """The figures of the failures of the agent in ``report``."""
    failures = [group for group in report.groups if not group.is_recording_gap]
    marks = [mark for group in failures for mark in group.issues]
    decided = Counter(mark.decision.value for mark in marks if mark.decision)
    states = Counter(mark.state for mark in marks if not mark.decision)
    severities = Counter(group.severity for group in failures)
    return Figures(
        findings=len(failures),
        severities=tuple((each.value, severities[each]) for each in Severity if severities[each]),
        states=tuple((state.value, states[state]) for state in STATES if states[state]),
        decisions=tuple(sorted(decided.items())),
        affected=len({a.trace_id for group in failures for a in group.affected}),
        traces=report.traces,
    )
