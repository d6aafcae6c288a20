"""Precision, recall and prevalence of a rule of which a random part was judged.

A rule is applied to all traces, which is the first phase: it divides them into strata, its hits,
its near misses and the rest. In the second phase a random part of some strata is judged (double
sampling for stratification: W. G. Cochran, "Sampling Techniques", 3rd ed., 1977, section 12.2). A
stratum of N_s of N traces, of which x_s of n_s judged ones show the finding, holds a rate of
(N_s/N)(x_s/n_s), with the interval of ``intervals.two_stage_interval``; the prevalence is the sum of
these rates. Its interval is recovered from theirs (MOVER, the method of variance estimates recovery):
the distances of the bounds of a sum from the estimate are the roots of the sums of the squared
distances of its parts. The recall is 1 / (1 + t), where t is the ratio of the rate that the rule
misses to that which it finds; its interval holds every t for which that of missed - t found holds 0.

Sources: G. Y. Zou and A. Donner, "Construction of confidence limits about effect measures: a general
approach", Statistics in Medicine 27 (2008); for ratios, A. Donner and G. Y. Zou, "Closed-form
confidence intervals for functions of the normal mean and standard deviation", Statistical Methods in
Medical Research 21 (2012). For one stratum of which all is judged, the interval is that of Wilson.

``benchmarks/interval_coverage.py`` computes how often these intervals hold what they estimate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from halo_engine.schema import FrozenModel
from halo_engine.statistics.intervals import (
    Interval,
    border,
    proportion_interval,
    two_stage_interval,
)
from halo_engine.statistics.prevalence import JudgedStratum, percent

METHOD = "two-phase sampling, 95 % intervals by MOVER from score intervals of the strata"
# A ratio of what is missed to what is found beyond which the recall counts as 0.
LARGEST_RATIO = 1e9


class BoundedShare(FrozenModel):
    """A share, 0 to 1, and the bounds of its 95 % interval."""

    share: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{percent(self.share)} ({percent(self.low)} to {percent(self.high)})"


class Rate(NamedTuple):
    """An estimate of a rate and its bounds."""

    value: float
    low: float
    high: float


def precision_of(hits: JudgedStratum) -> BoundedShare:
    """The share of the hits of a rule that show what it looks for; at least one was judged."""
    low, high = proportion_interval(hits.shown, hits.judged)
    return BoundedShare(share=hits.shown / hits.judged, low=low, high=high)


def prevalence_in(strata: Sequence[JudgedStratum], screened: int) -> BoundedShare:
    """The share of ``screened`` traces that show the finding and lie in one of ``strata``.

    Each of these has a trace that was judged, and no other stratum shows the finding.
    """
    if all(stratum.is_whole for stratum in strata):
        shown = sum(stratum.shown for stratum in strata)
        low, high = proportion_interval(shown, screened)
        return BoundedShare(share=shown / screened, low=low, high=high)
    total = sum_of([rate_in(stratum, screened) for stratum in strata])
    return BoundedShare(share=total.value, low=max(0.0, total.low), high=min(1.0, total.high))


def recall_of(
    hits: JudgedStratum, missed: Sequence[JudgedStratum], screened: int
) -> BoundedShare | None:
    """The share of the traces with the finding that a rule finds, if others lie in ``missed``.

    None where no trace shows the finding.
    """
    found = rate_in(hits, screened)
    others = sum_of([rate_in(stratum, screened) for stratum in missed])
    if not found.value + others.value:
        return None
    low, high = ratio_bounds(others, found)
    return BoundedShare(
        share=found.value / (found.value + others.value), low=1 / (1 + high), high=1 / (1 + low)
    )


def rate_in(stratum: JudgedStratum, screened: int) -> Rate:
    """The rate of traces that lie in ``stratum`` and show the finding."""
    if stratum.is_whole:
        value = stratum.shown / screened
        return Rate(value, *proportion_interval(stratum.shown, screened))
    value = stratum.traces / screened * stratum.shown / stratum.judged
    bounded = two_stage_interval(stratum.shown, stratum.judged, stratum.traces, screened)
    return Rate(value, *bounded)


def sum_of(rates: Sequence[Rate]) -> Rate:
    """The sum of independent rates, with bounds by MOVER."""
    value = sum(rate.value for rate in rates)
    below = math.hypot(*(rate.value - rate.low for rate in rates))
    above = math.hypot(*(rate.high - rate.value for rate in rates))
    return Rate(value, value - below, value + above)


def ratio_bounds(a: Rate, b: Rate) -> Interval:
    """The bounds of a / b: every t for which the interval of a - t b by MOVER holds 0."""
    return (
        border(ratio_holds(a, b), inside=estimate_or_most(a, b), outside=0.0),
        border(ratio_holds(a, b), inside=estimate_or_most(a, b), outside=LARGEST_RATIO),
    )


def estimate_or_most(a: Rate, b: Rate) -> float:
    """a / b, or ``LARGEST_RATIO`` where that is more."""
    return min(a.value / b.value, LARGEST_RATIO) if b.value else LARGEST_RATIO


def ratio_holds(a: Rate, b: Rate) -> Callable[[float], bool]:
    """Whether the interval of a - t b holds 0, by t."""

    def holds(ratio: float) -> bool:
        distance = a.value - ratio * b.value
        if distance > 0:
            return distance <= math.hypot(a.value - a.low, ratio * (b.high - b.value))
        return -distance <= math.hypot(a.high - a.value, ratio * (b.value - b.low))

    return holds
