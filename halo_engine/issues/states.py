"""The state of an issue, which follows from what runs saw of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from halo_engine.findings import IssueState
from halo_engine.schema import FrozenModel
from halo_engine.statistics.difference import NO_COUNTS, EffectiveCounts, clean_traces


class Observation(FrozenModel):
    """What one run saw of an issue in traces that no earlier run had counted.

    ``affected`` is the number of those that are known to show it, and ``counts`` what the run says of
    its share (``halo_engine.statistics.difference``). ``at`` is when the run was begun. ``is_worse``:
    the share is larger than before, by a test that allows for all issues of the run.
    """

    run_id: str
    at: datetime
    affected: int
    counts: EffectiveCounts
    is_worse: bool = False


class IssueStatus(FrozenModel):
    """The state of an issue.

    ``known`` are the counts since it was found, or found again; ``clean`` is the number of later
    traces that were judged and do not show it, of ``needed`` that say that it has stopped.
    """

    state: IssueState = IssueState.NEW
    was_seen: bool = False
    known: EffectiveCounts = NO_COUNTS
    clean: float = 0.0

    @property
    def needed(self) -> int | None:
        """How many later traces without it say that it has stopped; None: it was never counted."""
        return clean_traces(self.known)

    def after(self, seen: Observation) -> IssueStatus:
        """The status after another observation."""
        if not seen.affected:
            return self._after_none(seen.counts.analysed)
        if self.state is IssueState.RESOLVED:
            return IssueStatus(state=IssueState.REGRESSED, was_seen=True, known=seen.counts)
        clean = EffectiveCounts(affected=0, analysed=self.clean)
        known = self.known + clean + seen.counts
        return IssueStatus(state=self._seen_again(seen), was_seen=True, known=known)

    def _seen_again(self, seen: Observation) -> IssueState:
        if not self.was_seen:
            return IssueState.NEW
        return IssueState.WORSE if seen.is_worse else IssueState.ONGOING

    def _after_none(self, analysed: float) -> IssueStatus:
        clean = self.clean + analysed
        is_resolved = self.needed is not None and clean >= self.needed
        state = IssueState.RESOLVED if is_resolved else self.state
        return self.model_copy(update={"state": state, "clean": clean})


def status_of(observations: Iterable[Observation]) -> IssueStatus:
    """The status after ``observations``, the earliest first."""
    status = IssueStatus()
    for seen in observations:
        status = status.after(seen)
    return status
