"""What a run says of known issues, and of those that it found first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from typing import NamedTuple

from halo_engine.findings import Finding, Report
from halo_engine.issues.issue import Issue
from halo_engine.issues.states import Observation, status_of
from halo_engine.statistics.difference import (
    FALSE_DISCOVERY_RATE,
    EffectiveCounts,
    compared_counts,
    effective_counts,
)


class Sighting(NamedTuple):
    """An issue (None: a new one) and what a run found of it (None: nothing).

    ``counts`` are of traces in which no other run had looked for it, ``affected`` of these are known
    to show it.
    """

    issue: Issue | None
    finding: Finding | None
    affected: int
    counts: EffectiveCounts


class FreshTraces(NamedTuple):
    """The traces ``all`` of a run, and which of them other runs ``had``, by the ids of these runs.

    ``earlier`` are the runs that were analysed before this one was for the first time.
    """

    run_id: str
    all: Set[str]
    had: Mapping[str, Set[str]] = {}
    earlier: Set[str] = frozenset()

    def of(self, issue: Issue | None) -> Set[str]:
        """Those in which nobody looked for ``issue`` (None: a new one) before this run did."""
        looked = {seen.run_id for seen in issue.observations} if issue else set()
        before = looked & self.earlier if self.run_id in looked else looked
        return self.all - frozenset().union(*(self.had.get(run_id, ()) for run_id in before))


def sighting_of(issue: Issue | None, finding: Finding, fresh: FreshTraces) -> Sighting:
    """What ``finding`` says of the fresh traces."""
    new = fresh.of(issue)
    shown = {a.trace_id for a in finding.affected}
    counted = {a.trace_id for a in finding.affected if a.is_counted}
    found = effective_counts(finding.prevalence)
    is_count = found.affected == len(counted)
    affected = len(counted & new) if is_count else found.affected * share_of_new(new, shown)
    clean = (found.analysed - found.affected) * share_of_new(new, fresh.all - shown)
    counts = EffectiveCounts(affected=affected, analysed=affected + clean)
    return Sighting(issue, finding, len(shown & new), counts)


def share_of_new(new: Set[str], traces: Set[str]) -> float:
    """The share of ``traces`` that are ``new``, 0 to 1.

    Of those that were judged, or that an estimate stands for, as many are taken to be new.
    """
    return len(traces & new) / len(traces) if traces else 0.0


def unseen(issue: Issue, report: Report, fresh: FreshTraces) -> Sighting | None:
    """That the detector of ``issue`` found nothing of it; None where it judged nothing."""
    detector = issue.finding.detector
    if detector is None or detector not in report.detectors:
        return None
    not_judged = sum(each.traces for each in report.not_judged if each.detector == detector)
    judged = max(0, report.traces - not_judged) * share_of_new(fresh.of(issue), fresh.all)
    return Sighting(issue, None, 0, EffectiveCounts(affected=0, analysed=judged))


def observations_of(
    sightings: Sequence[Sighting], run_id: str, at: datetime
) -> list[Observation | None]:
    """An observation for each sighting; None where nothing new was judged.

    A share is worse if it is larger than in all earlier runs together, by a test that allows for the
    number of issues.
    """
    known = [counts_before(sighting, run_id, at) for sighting in sightings]
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


def counts_before(sighting: Sighting, run_id: str, at: datetime) -> EffectiveCounts:
    """What runs begun before this one counted of an issue since it was found, or found again."""
    seen = sighting.issue.observations if sighting.issue else ()
    status = status_of(each for each in seen if (each.at, each.run_id) < (at, run_id))
    return status.known + EffectiveCounts(affected=0, analysed=status.clean)
