"""How good a rule is, measured on a random part of its hits and of its near misses."""

from __future__ import annotations

from halo_engine.schema import FrozenModel
from halo_engine.statistics.prevalence import JudgedStratum
from halo_engine.statistics.two_phase import (
    METHOD,
    BoundedShare,
    precision_of,
    prevalence_in,
    recall_of,
)

# A rule of which fewer of the judged hits show the finding is too wide; so is one whose precision is
# below one half in the whole of its interval, which then is so in any case.
WIDE_BELOW = 0.6


class NearStratum(FrozenModel):
    """The near misses of one kind, which ``because`` says."""

    because: str
    judged: JudgedStratum


class RuleMeasure(FrozenModel):
    """A rule that was applied to ``screened`` traces: its hits and near misses, and what was judged.

    ``untold`` counts the traces of which a model could not tell, or that got no answer: they are not
    judged. The other estimates are of the strata of which a trace was judged; ``unjudged`` counts
    the traces of all others, of which nothing is known.
    """

    screened: int
    hits: JudgedStratum
    near: tuple[NearStratum, ...] = ()
    untold: int = 0

    @property
    def judged_near(self) -> tuple[JudgedStratum, ...]:
        """The strata of near misses of which a trace was judged."""
        return tuple(n.judged for n in self.near if n.judged.judged)

    @property
    def unjudged(self) -> int:
        """The number of traces in strata of which none was judged."""
        known = sum(stratum.traces for stratum in self.judged_near)
        return self.screened - self.hits.traces - known

    @property
    def precision(self) -> BoundedShare | None:
        """The share of hits that show the finding; None where none was judged."""
        return precision_of(self.hits) if self.hits.judged else None

    @property
    def recall(self) -> BoundedShare | None:
        """The share of hits among the traces with the finding, near misses included."""
        if not self.hits.judged or not self.judged_near:
            return None
        return recall_of(self.hits, self.judged_near, self.screened)

    @property
    def prevalence(self) -> BoundedShare | None:
        """The share of traces with the finding, near misses included."""
        if not self.hits.judged:
            return None
        return prevalence_in([self.hits, *self.judged_near], self.screened)

    @property
    def is_wide(self) -> bool:
        """Whether too few of its hits show the finding to take them without a look."""
        precision = self.precision
        return precision is not None and precision.share < WIDE_BELOW

    @property
    def brief(self) -> str | None:
        """Precision and recall as one line; None where no hit was judged."""
        if self.precision is None:
            return None
        recall = f", recall {self.recall}" if self.recall else ""
        return f"precision {self.precision}{recall}{', too wide' if self.is_wide else ''}"

    def __str__(self) -> str:
        if self.precision is None:
            return f"none of its {self.hits.traces:,} hits was judged"
        wide = ", so the rule is too wide" if self.is_wide else ""
        parts = [
            f"{shown_of(self.hits)} of {self.hits.traces:,} hits show it: precision "
            f"{self.precision}{wide}",
            *(
                f"{shown_of(near.judged)} of {near.judged.traces:,} near misses (each "
                f"{near.because}) show it"
                for near in self.near
            ),
        ]
        if self.recall:
            parts.append(f"recall {self.recall}")
        if self.judged_near:
            parts.append(f"prevalence with what it misses there {self.prevalence}")
        if self.untold:
            parts.append(f"of {self.untold:,} more no model could tell")
        if self.unjudged:
            parts.append(f"of the other {self.unjudged:,} traces none was judged")
        return f"{'; '.join(parts)} ({METHOD})"


def shown_of(stratum: JudgedStratum) -> str:
    """How many of the judged traces show it, as text."""
    return f"{stratum.shown:,} of {stratum.judged:,} judged"
