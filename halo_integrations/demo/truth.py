"""Ground truth of the demo: the planted faults, compared with the findings of an analysis."""

from __future__ import annotations

from collections.abc import Sequence

from halo_engine.findings import Finding, Report
from halo_engine.schema import FrozenModel
from halo_integrations.demo.faults import FAULTS
from halo_integrations.demo.plan import Planned

MIN_FOUND_SHARE = 0.5


class PlantedFault(FrozenModel):
    """A fault with the traces it was planted in, and the failure mode it should be found as."""

    name: str
    failure_mode: str
    description: str
    trace_ids: frozenset[str]


class Planted(FrozenModel):
    """The ground truth of a demo; ``canary`` is the trace with a prompt injection."""

    traces: int
    spans: int
    faults: tuple[PlantedFault, ...]
    canary: str


class Match(FrozenModel):
    """A planted fault with the findings that show it, or a finding of no planted fault.

    ``fault`` is None for such a finding; ``shown`` is how many of the fault's traces its
    findings name.
    """

    fault: PlantedFault | None
    findings: tuple[Finding, ...] = ()
    shown: int = 0

    @property
    def found(self) -> bool:
        """Whether at least half of the fault's traces were found."""
        return self.fault is not None and self.shown >= MIN_FOUND_SHARE * len(self.fault.trace_ids)


def truth_of(planned: Sequence[Planned], trace_ids: Sequence[str], spans: int) -> Planted:
    """The ground truth of conversations that were recorded under ``trace_ids``."""
    recorded = list(zip(planned, trace_ids, strict=True))
    return Planted(
        traces=len(recorded),
        spans=spans,
        faults=tuple(
            PlantedFault(
                name=fault.name,
                failure_mode=fault.failure_mode,
                description=fault.description,
                trace_ids=frozenset(trace_id for one, trace_id in recorded if one.fault is fault),
            )
            for fault in FAULTS
        ),
        canary=next(trace_id for one, trace_id in recorded if one.canary),
    )


def compare_with_truth(planted: Planted, report: Report) -> list[Match]:
    """Every planted fault with its findings, then the findings that show none of them."""
    matches = [match_of(fault, report) for fault in planted.faults]
    explained = {finding.id for match in matches for finding in match.findings}
    extra = [finding for finding in report.findings if finding.id not in explained]
    return matches + [Match(fault=None, findings=(finding,)) for finding in extra]


def match_of(fault: PlantedFault, report: Report) -> Match:
    """The findings of the fault's failure mode that name traces it was planted in."""
    findings = tuple(
        finding
        for finding in report.findings
        if finding.failure_mode == fault.failure_mode and traces_of(finding) & fault.trace_ids
    )
    shown = fault.trace_ids & frozenset().union(*map(traces_of, findings))
    return Match(fault=fault, findings=findings, shown=len(shown))


def traces_of(finding: Finding) -> frozenset[str]:
    """The traces that the finding names."""
    return frozenset(affected.trace_id for affected in finding.affected)
