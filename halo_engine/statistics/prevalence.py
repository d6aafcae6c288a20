"""Prevalence: how common a finding is among traces, with its confidence interval."""

from __future__ import annotations

import math
from statistics import NormalDist

from halo_engine.schema import FrozenModel

CONFIDENCE_LEVEL = 0.95


class Prevalence(FrozenModel):
    """How common a finding is: ``affected`` of ``analysed`` traces, of ``total`` traces pulled.

    ``low`` and ``high`` bound the share of affected traces (0 to 1): the Wilson score interval at
    ``CONFIDENCE_LEVEL``. Traces that were not analysed count in ``total`` only, never as unaffected.

    Where no random sample was analysed, ``analysed`` is 0 and ``affected`` counts the traces that
    are known to show the finding: a lower bound. Then ``low`` is ``affected / total`` and ``high``
    is 1.
    """

    affected: int
    analysed: int
    total: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """``affected / analysed``, 0 to 1; where none was analysed, ``affected / total``."""
        return self.affected / (self.analysed or self.total)

    @property
    def counts(self) -> str:
        """The two counts as text: "14 of 40", or "at least 3 of 5,000"."""
        if not self.analysed:
            return f"at least {self.affected:,} of {self.total:,}"
        return f"{self.affected:,} of {self.analysed:,}"

    def __str__(self) -> str:
        if not self.analysed:
            return f"{self.counts} traces, the others were not analysed"
        share = f"{self.share:.1%} ({self.low:.1%} to {self.high:.1%})"
        rest = "" if self.analysed == self.total else f", {self.total} in all"
        return f"{self.affected} of {self.analysed} traces, {share}{rest}"


def prevalence_of(affected: int, analysed: int, total: int) -> Prevalence:
    """The prevalence estimated from ``analysed`` (at least 1) traces, with its Wilson interval."""
    low, high = wilson_interval(affected, analysed)
    return Prevalence(affected=affected, analysed=analysed, total=total, low=low, high=high)


def lower_bound_prevalence(affected: int, total: int) -> Prevalence:
    """The prevalence where ``affected`` of ``total`` traces are known and no sample was analysed."""
    low = affected / max(1, total)
    return Prevalence(affected=affected, analysed=0, total=total, low=low, high=1.0)


def wilson_interval(
    successes: int, trials: int, confidence: float = CONFIDENCE_LEVEL
) -> tuple[float, float]:
    """The Wilson score interval of a proportion, without continuity correction.

    With p = successes / trials, n = trials and z the (1 + confidence) / 2 quantile of the standard
    normal distribution: (p + z^2/2n +- z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n).

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    J. Am. Stat. Assoc. 22 (1927). Raises ``ZeroDivisionError`` without trials.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / trials
    centre = share + z * z / (2 * trials)
    margin = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (centre - margin) / scale), min(1.0, (centre + margin) / scale)
