"""Whether a failure is more or less common on one side of a comparison than on the other.

Each side is a prevalence: a plain count, or an estimate from a sample. Both become counts of the
number of traces that would tell as much (``effective_counts``), so that one test does for all.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from enum import StrEnum
from itertools import takewhile
from statistics import NormalDist
from typing import NamedTuple

from halo_engine.schema import FrozenModel
from halo_engine.statistics.intervals import Interval, Z
from halo_engine.statistics.prevalence import Prevalence

# The share of false ones among the changes that are told, at most.
FALSE_DISCOVERY_RATE = 0.05
# With what probability a change is to be told that is as large as the one asked about.
POWER = 0.8
# The probability that what did not stop shows in none of the traces that are looked at, at most.
MISSED = 0.05
# A change is told for one if the share is halved or doubled.
NOTED_FACTOR = 2.0
# No side of a comparison has as many.
MOST_TRACES = 100_000_000
# Probabilities that differ by no more than rounding does are equal.
ROUNDING = 1e-9
# Probabilities that are less likely than another by this, as a logarithm, change nothing in a sum
# with it.
NEGLIGIBLE = 60.0


class EffectiveCounts(FrozenModel):
    """``affected`` of ``analysed`` traces, which tell as much as an estimate: no whole numbers."""

    affected: float
    analysed: float

    @property
    def share(self) -> float:
        """The share of affected traces, 0 to 1; 0 without traces."""
        return self.affected / self.analysed if self.analysed else 0.0

    @property
    def rounded(self) -> tuple[int, int]:
        """Whole numbers that tell no more: traces rounded down, the share kept."""
        analysed = math.floor(self.analysed + ROUNDING)
        return round(self.share * analysed), analysed

    def __add__(self, other: EffectiveCounts) -> EffectiveCounts:
        return EffectiveCounts(
            affected=self.affected + other.affected, analysed=self.analysed + other.analysed
        )


NO_COUNTS = EffectiveCounts(affected=0, analysed=0)


class ChangeVerdict(StrEnum):
    """What the two sides of a comparison say of one failure.

    ``NEW`` and ``GONE`` are changes from and to no affected trace. ``UNCHANGED`` is one of which the
    interval leaves out that its share was halved or doubled. ``UNDECIDED``: too few traces to tell.
    """

    NEW = "new"
    WORSE = "worse"
    GONE = "gone"
    BETTER = "better"
    UNCHANGED = "unchanged"
    UNDECIDED = "undecided"

    @property
    def is_change(self) -> bool:
        """Whether it is a change for the better or the worse."""
        return self not in (ChangeVerdict.UNCHANGED, ChangeVerdict.UNDECIDED)

    @property
    def is_regression(self) -> bool:
        """Whether it is a change for the worse."""
        return self in (ChangeVerdict.NEW, ChangeVerdict.WORSE)


class ShareDifference(FrozenModel):
    """The share on the second side less that on the first, from -1 to 1, with its interval.

    ``p_value`` is that of one test, ``adjusted`` the one after the correction for all of them.
    ``needed`` is how many traces a side it would take where that is too few to tell (None: nothing is
    affected on either side, or one is not judged at all).
    """

    estimate: float
    low: float
    high: float
    p_value: float
    adjusted: float
    verdict: ChangeVerdict
    needed: int | None = None


def effective_counts(prevalence: Prevalence) -> EffectiveCounts:
    """The counts that tell as much as ``prevalence``: those of a plain count are its own.

    For an estimate from a sample, the number n of traces of which a plain count would have an
    interval of the same width: n = p (1 - p) (2 z / (high - low))^2, the effective sample size of
    L. Kish, "Survey Sampling" (1965); at most as many as were looked at. Where no random sample was
    analysed it is known of no trace that it does not show the finding: there are no counts.
    """
    if not prevalence.analysed:
        return NO_COUNTS
    if prevalence.screening is None:
        return EffectiveCounts(affected=prevalence.affected, analysed=prevalence.analysed)
    share, width = prevalence.share, prevalence.high - prevalence.low
    least, most = prevalence.analysed, prevalence.screening.screened
    by_width = share * (1 - share) * (2 * Z / width) ** 2 if width else most
    analysed = min(max(by_width, 0.0), most) if share else float(least)
    return EffectiveCounts(affected=share * analysed, analysed=analysed)


def differences(
    sides: Sequence[tuple[Prevalence, Prevalence]], rate: float = FALSE_DISCOVERY_RATE
) -> list[ShareDifference]:
    """The difference of each pair: second side less first side.

    Of the changes that are told, the share of false ones is at most ``rate``, see
    ``compared_counts``.
    """
    counts = [(effective_counts(a), effective_counts(b)) for a, b in sides]
    tests = compared_counts(counts)
    found: list[ShareDifference] = []
    for (base, head), (a, b), test in zip(sides, counts, tests, strict=True):
        low, high = difference_interval(base, head)
        verdict = verdict_of(base, head, (low, high), is_change=test.adjusted <= rate)
        is_asked = verdict is ChangeVerdict.UNDECIDED and a.analysed and b.analysed
        found.append(
            ShareDifference(
                estimate=head.share - base.share,
                low=low,
                high=high,
                p_value=test.p_value,
                adjusted=test.adjusted,
                verdict=verdict,
                needed=needed_traces((a + b).share) if is_asked else None,
            )
        )
    return found


def verdict_of(
    base: Prevalence, head: Prevalence, interval: Interval, *, is_change: bool
) -> ChangeVerdict:
    """The verdict on two sides, of which a test says whether they differ.

    What is known to show in a trace is not new or gone, also where that is in no count.
    """
    if is_change:
        if head.share > base.share:
            return ChangeVerdict.WORSE if base.known else ChangeVerdict.NEW
        return ChangeVerdict.BETTER if head.known else ChangeVerdict.GONE
    low, high = interval
    halved, doubled = base.share / NOTED_FACTOR - base.share, (NOTED_FACTOR - 1) * base.share
    return ChangeVerdict.UNCHANGED if halved < low and high < doubled else ChangeVerdict.UNDECIDED


def difference_interval(base: Prevalence, head: Prevalence) -> Interval:
    """The 95 % interval of the difference of two shares, from the interval of each.

    With shares p1, p2 and their intervals (l1, u1), (l2, u2), d = p2 - p1: from
    d - sqrt((p2 - l2)^2 + (u1 - p1)^2) to d + sqrt((u2 - p2)^2 + (p1 - l1)^2).

    Sources: R. G. Newcombe, "Interval estimation for the difference between independent
    proportions", Statistics in Medicine 17 (1998), method 10; for intervals of any kind, G. Y. Zou
    and A. Donner, "Construction of confidence limits about effect measures", Statistics in Medicine
    27 (2008).
    """
    p1, p2 = base.share, head.share
    low = p2 - p1 - math.hypot(p2 - head.low, base.high - p1)
    high = p2 - p1 + math.hypot(head.high - p2, p1 - base.low)
    return max(-1.0, low), min(1.0, high)


# -- tests ---------------------------------------------------------------------------------------


def fisher_p_value(first: tuple[int, int], second: tuple[int, int]) -> float:
    """The two-sided p-value of Fisher's exact test of two counts, each (affected, analysed).

    The probability, if both sides have one rate, of all divisions of the affected traces that are no
    more likely than this one (R. A. Fisher, "Statistical Methods for Research Workers", 5th ed.,
    1934). 1 where one side has no traces.
    """
    (a, n), (b, m) = first, second
    if not n or not m:
        return 1.0
    affected = a + b
    least, most = max(0, affected - m), min(affected, n)
    peak = min(max(least, (affected + 1) * (n + 1) // (n + m + 2)), most)

    def log_ways(k: int) -> float:
        return log_choose(n, k) + log_choose(m, affected - k)

    # The divisions get less likely to both sides of the peak: only the two tails are summed.
    seen = log_ways(a) + ROUNDING
    below = bisect_right(range(least, peak + 1), seen, key=log_ways)
    above = bisect_left(range(peak + 1, most + 1), -seen, key=lambda k: -log_ways(k))
    tails = range(least + below - 1, least - 1, -1), range(peak + 1 + above, most + 1)
    total = log_choose(n + m, affected)
    counted = (takewhile(lambda log: log > seen - NEGLIGIBLE, map(log_ways, t)) for t in tails)
    return min(1.0, math.fsum(math.exp(log - total) for tail in counted for log in tail))


def log_choose(n: int, k: int) -> float:
    """The logarithm of the binomial coefficient n over k."""
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


class TestResult(NamedTuple):
    """The p-value of one test, and the one that is adjusted for all tests that were made."""

    p_value: float
    adjusted: float


def compared_counts(sides: Sequence[tuple[EffectiveCounts, EffectiveCounts]]) -> list[TestResult]:
    """Fisher's exact test of each pair, with the p-values adjusted for their number.

    The procedure of Y. Benjamini and Y. Hochberg, "Controlling the false discovery rate", J. R.
    Stat. Soc. B 57 (1995): of those with an adjusted p-value up to q, a share of at most q is false.
    """
    p_values = [fisher_p_value(first.rounded, second.rounded) for first, second in sides]
    adjusted = false_discovery_rates(p_values)
    return [TestResult(*each) for each in zip(p_values, adjusted, strict=True)]


def false_discovery_rates(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted by Benjamini and Hochberg: the least rate at which each is told."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted = [1.0] * len(p_values)
    least = 1.0
    for rank, place in reversed(list(enumerate(order, start=1))):
        least = min(least, p_values[place] * len(p_values) / rank)
        adjusted[place] = least
    return adjusted


# -- how many traces it takes --------------------------------------------------------------------


def clean_traces(known: EffectiveCounts) -> int | None:
    """How many later traces without a failure it takes to say that it has stopped.

    If its rate were the same as before, all x affected of n + m traces would be among the first n
    with a probability of at most (n / (n + m))^x. That is ``MISSED`` for m = n (20^(1/x) - 1). None
    where it was never counted, or so little that no number of traces tells.
    """
    if not known.affected:
        return None
    if known.affected * math.log(MOST_TRACES) < -math.log(MISSED):
        return None
    growth: float = (1 / MISSED) ** (1 / known.affected)
    return math.ceil(known.analysed * (growth - 1))


def traces_until_gone(known: EffectiveCounts, tests: int = 1) -> int | None:
    """How many traces without a failure a comparison with ``known`` takes to call it gone.

    The least number for which the p-value is at most ``FALSE_DISCOVERY_RATE`` after the correction
    for ``tests`` tests, at its worst: Bonferroni's, which that of Benjamini and Hochberg never
    exceeds. None where it was never counted.
    """
    counts = known.rounded
    if not counts[0]:
        return None
    limit = FALSE_DISCOVERY_RATE / max(1, tests)
    return bisect_left(
        range(MOST_TRACES),
        True,
        lo=1,
        key=lambda number: fisher_p_value(counts, (0, number)) <= limit,
    )


def needed_traces(share: float) -> int | None:
    """How many traces a side it takes to tell that ``share`` was halved, or doubled.

    None where it is 0 or 1: nothing is asked about.
    """
    if not 0 < share < 1:
        return None
    return max(traces_to_tell(share, min(1.0, other)) for other in (share / 2, share * 2))


def traces_to_tell(p1: float, p2: float) -> int:
    """How many traces a side tell the shares ``p1`` and ``p2`` apart with the probability ``POWER``.

    With p = (p1 + p2) / 2, the least n for which |p2 - p1| - 1/n is at least
    z_a sqrt(2 p (1 - p) / n) + z_b sqrt((p1 (1 - p1) + p2 (1 - p2)) / n).

    Source: J. L. Fleiss, "Statistical Methods for Rates and Proportions", 2nd ed. (1981), chapter 3,
    with the correction for continuity, which suits an exact test.
    """
    normal = NormalDist()
    z_a, z_b = normal.inv_cdf(1 - FALSE_DISCOVERY_RATE / 2), normal.inv_cdf(POWER)
    mean = (p1 + p2) / 2
    margin = z_a * math.sqrt(2 * mean * (1 - mean))
    margin += z_b * math.sqrt(p1 * (1 - p1) + p2 * (1 - p2))

    def is_enough(traces: int) -> bool:
        return abs(p2 - p1) - 1 / traces >= margin / math.sqrt(traces)

    return bisect_left(range(MOST_TRACES), True, lo=1, key=is_enough)
