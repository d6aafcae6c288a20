"""What people said of the marks of a finding."""

from __future__ import annotations

from halo_engine.schema import FrozenModel
from halo_engine.statistics.intervals import Interval, proportion_interval

# So many verdicts at least make a finding refused.
ENOUGH = 2


class PeopleVerdicts(FrozenModel):
    """How many of the marks that people judged they ``confirmed``."""

    confirmed: int
    judged: int

    @property
    def refused(self) -> int:
        """How many they refused."""
        return self.judged - self.confirmed

    @property
    def is_refusal(self) -> bool:
        """Whether enough people judged it, and most of them refuse it."""
        return self.judged >= ENOUGH and self.refused * 2 > self.judged

    @property
    def precision(self) -> float:
        """The share of the confirmed, 0 to 1."""
        return self.confirmed / self.judged

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the precision."""
        return proportion_interval(self.confirmed, self.judged)

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{self.confirmed} of {self.judged} verdicts of people confirm it "
            f"({self.precision:.0%}; {low:.0%} to {high:.0%})"
        )
