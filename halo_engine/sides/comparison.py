"""A comparison of two sides, as values: the first, ``base``, and the second, ``head``."""

from __future__ import annotations

from datetime import datetime

from halo_engine.findings import Affected, Finding, Severity
from halo_engine.schema import Failure, FrozenModel
from halo_engine.statistics.difference import ChangeVerdict, ShareDifference
from halo_engine.statistics.intervals import Interval
from halo_engine.statistics.prevalence import Prevalence


class SideTraces(FrozenModel):
    """One side: how it was named, its number of traces, and when the first and the last began."""

    name: str
    traces: int
    first: datetime | None = None
    last: datetime | None = None


class ComparedIssue(FrozenModel):
    """One failure on both sides: the same check was applied to each.

    ``finding`` is what was found on both together, with the known issue that it is; of what it
    affects, the first ``on_head`` are on the second side, the others on the first.
    """

    finding: Finding
    base: Prevalence
    head: Prevalence
    difference: ShareDifference
    on_head: int = 0

    @property
    def verdict(self) -> ChangeVerdict:
        """What the two sides say."""
        return self.difference.verdict

    @property
    def is_regression(self) -> bool:
        """Whether it got worse or is new, and nobody decided to mute or to accept it."""
        return self.verdict.is_regression and self.finding.is_open

    @property
    def affected_on_base(self) -> tuple[Affected, ...]:
        """What it affects on the first side."""
        return self.finding.affected[self.on_head :]

    @property
    def affected_on_head(self) -> tuple[Affected, ...]:
        """What it affects on the second side."""
        return self.finding.affected[: self.on_head]

    @property
    def rank(self) -> tuple[int, int, int, str]:
        """Sort key: what got worse first, what says nothing last; the most severe first."""
        order = list(ChangeVerdict).index(self.verdict)
        return order, self.finding.severity.rank, -self.head.known, self.finding.id


class ComparedMeasure(FrozenModel):
    """The median of a measure of runs on both sides, of those ``base_runs`` and ``head_runs`` that
    record it, and the ratio of the second to the first with its interval (None: not to be told).
    """

    name: str
    base: float
    head: float
    base_runs: int
    head_runs: int
    ratio: float | None = None
    interval: Interval | None = None

    @property
    def is_change(self) -> bool:
        """Whether the interval of the ratio leaves out that there is no change."""
        return self.interval is not None and not self.interval[0] <= 1 <= self.interval[1]


class ComparedUse(FrozenModel):
    """In what share of runs a tool is called, or a sequence of tools is: ``name``."""

    name: str
    base: Prevalence
    head: Prevalence
    difference: ShareDifference


class NotCompared(FrozenModel):
    """An issue that could not be looked for, and why."""

    issue_id: str
    title: str
    reason: str


class Comparison(FrozenModel):
    """Two sides compared. ``in_both`` traces are on both sides, and left out of either.

    ``withheld``: the texts of a side are, so that what is told by them was compared on neither.
    """

    base: SideTraces
    head: SideTraces
    issues: tuple[ComparedIssue, ...] = ()
    measures: tuple[ComparedMeasure, ...] = ()
    tools: tuple[ComparedUse, ...] = ()
    shapes: tuple[ComparedUse, ...] = ()
    not_compared: tuple[NotCompared, ...] = ()
    in_both: int = 0
    withheld: bool = False
    failures: tuple[Failure, ...] = ()

    def regressions(self, at_least: Severity = Severity.LOW) -> list[ComparedIssue]:
        """What got worse or is new, of this severity or above; not what was muted or accepted."""
        return [
            each
            for each in self.issues
            if each.is_regression and each.finding.severity.at_least(at_least)
        ]

    def reasons_to_fail(self, limit: str) -> list[ComparedIssue]:
        """The regressions that ``limit`` is about: ``regression`` or ``new``, and a severity."""
        kind, _, severity = limit.partition("-")
        found = self.regressions(Severity(severity) if severity else Severity.LOW)
        return [each for each in found if kind != "new" or each.verdict is ChangeVerdict.NEW]
