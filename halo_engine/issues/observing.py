"""What a run says of known issues, and of those that it found first."""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import datetime
from typing import NamedTuple

from halo_engine.findings import Finding, Report
from halo_engine.issues.issue import Issue
from halo_engine.issues.states import Observation, status_of
from halo_engine.statistics.difference import (
    FALSE_DISCOVERY_RATE,
    NO_COUNTS,
    EffectiveCounts,
    compared_counts,
    effective_counts,
)


class Sighting(NamedTuple):
    """An issue (None: a new one) and what a run found of it (None: nothing).

    ``counts`` are of traces that no earlier run had counted, ``affected`` of these are known to show
    it.
    """

    issue: Issue | None
    finding: Finding | None
    affected: int
    counts: EffectiveCounts


class FreshTraces(NamedTuple):
    """Of the traces ``all`` of a run, those that ``no_other`` run of its project had counted."""

    run_id: str
    all: Set[str]
    no_other: Set[str]

    def of(self, issue: Issue | None) -> Set[str]:
        """Those in which nobody looked for ``issue`` (None: for a new one) before."""
        is_new = issue is None or all_of_run(issue, self.run_id)
        return self.all if is_new else self.no_other

    def share(self, issue: Issue | None) -> float:
        """Their share in the traces of the run, 0 to 1."""
        return len(self.of(issue)) / len(self.all) if self.all else 0.0


def all_of_run(issue: Issue, run_id: str) -> bool:
    """Whether no other run than this one saw ``issue``."""
    return all(observation.run_id == run_id for observation in issue.observations)


def sighting_of(issue: Issue | None, finding: Finding, fresh: FreshTraces) -> Sighting:
    """What ``finding`` says of the fresh traces; an estimate is taken to hold for them as for all."""
    new = fresh.of(issue)
    shown = {a.trace_id for a in finding.affected}
    counted = {a.trace_id for a in finding.affected if a.is_counted}
    found = effective_counts(finding.prevalence)
    is_count = found.affected == len(counted)
    part = len(shown & new) / max(1, len(shown))
    counts = EffectiveCounts(
        affected=len(counted & new) if is_count else found.affected * part,
        analysed=found.analysed * fresh.share(issue),
    )
    return Sighting(issue, finding, len(shown & new), counts)


def unseen(issue: Issue, report: Report, fresh: FreshTraces) -> Sighting | None:
    """That the detector of ``issue`` found nothing of it; None where it judged nothing."""
    detector = issue.finding.detector
    if detector is None or detector not in report.detectors:
        return None
    not_judged = sum(each.traces for each in report.not_judged if each.detector == detector)
    judged = max(0, report.traces - not_judged) * fresh.share(issue)
    return Sighting(issue, None, 0, EffectiveCounts(affected=0, analysed=judged))


def observations_of(
    sightings: Sequence[Sighting], run_id: str, at: datetime
) -> list[Observation | None]:
    """An observation for each sighting; None where nothing new was judged.

    A share is worse if it is larger than in all earlier runs together, by a test that allows for the
    number of issues.
    """
    known = [known_counts(sighting, run_id) for sighting in sightings]
    tests = compared_counts([(k, s.counts) for k, s in zip(known, sightings, strict=True)])
    return [
        Observation(
            run_id=run_id,
            at=at,
            affected=sighting.affected,
            counts=sighting.counts,
            is_worse=test.adjusted <= FALSE_DISCOVERY_RATE and sighting.counts.share > before.share,
        )
        if sighting.affected or sighting.counts.analysed
        else None
        for sighting, before, test in zip(sightings, known, tests, strict=True)
    ]


def known_counts(sighting: Sighting, run_id: str) -> EffectiveCounts:
    """What other runs counted of an issue since it was found, or found again."""
    if sighting.issue is None:
        return NO_COUNTS
    status = status_of(o for o in sighting.issue.observations if o.run_id != run_id)
    return status.known + EffectiveCounts(affected=0, analysed=status.clean)
