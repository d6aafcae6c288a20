"""Confidence intervals of a proportion, and of a product of two that were estimated in two stages.

What they bound is the rate at which the agent produces affected traces. The traces that were pulled
are regarded as a random sample of those that it produces, so that an interval is as wide as it is
also where every trace was read, and no finite population correction applies (W. E. Deming and
F. F. Stephan, "On the interpretation of censuses as samples", J. Am. Stat. Assoc. 36, 1941).

``benchmarks/interval_coverage.py`` computes how often they hold the rate, and how wide they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

CONFIDENCE_LEVEL = 0.95
Z = NormalDist().inv_cdf((1 + CONFIDENCE_LEVEL) / 2)

# The largest Poisson means under which 1, 2 or 3 events or more have a probability of at most 0.05.
POISSON_BOUNDS = {1: 0.05129, 2: 0.35536, 3: 0.81769}
# With up to so many trials the Wilson interval needs no correction for 3 events.
FEW_TRIALS = 50

BISECTIONS = 60

Interval = tuple[float, float]


def wilson_interval(successes: int, trials: int) -> Interval:
    """The Wilson score interval of a proportion, without continuity correction.

    With p = successes / trials, n = trials and z the 97.5 % quantile of the standard normal
    distribution: (p + z^2/2n +- z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n).

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    J. Am. Stat. Assoc. 22 (1927). Raises ``ZeroDivisionError`` without trials.
    """
    share = successes / trials
    centre = share + Z * Z / (2 * trials)
    margin = Z * math.sqrt(share * (1 - share) / trials + Z * Z / (4 * trials * trials))
    scale = 1 + Z * Z / trials
    # Exact at the ends, where rounding leaves a bound beside 0 or 1.
    low = (centre - margin) / scale if successes else 0.0
    high = (centre + margin) / scale if successes < trials else 1.0
    return max(0.0, low), min(1.0, high)


def proportion_interval(successes: int, trials: int) -> Interval:
    """The modified Wilson interval of a proportion (Brown, Cai and DasGupta).

    The Wilson interval holds a rate far too seldom where about 0.2 or 0.5 successes are expected:
    in 84 % of samples at the worst. So for 1, 2 or 3 successes (1 or 2 of at most 50 trials) its
    lower bound is that of a Poisson mean, ``POISSON_BOUNDS``, divided by ``trials``; the same holds
    for failures and its upper bound.

    Source: L. D. Brown, T. T. Cai and A. DasGupta, "Interval estimation for a binomial proportion",
    Statistical Science 16 (2001), section 4.1.1. Raises ``ZeroDivisionError`` without trials.
    """
    low, high = wilson_interval(successes, trials)
    return (
        min(low, rare_bound(successes, trials)),
        max(high, 1 - rare_bound(trials - successes, trials)),
    )


def rare_bound(events: int, trials: int) -> float:
    """The lower bound of the rate of a few ``events`` in ``trials``; 1 where they are not few."""
    is_few = events in POISSON_BOUNDS and (events < 3 or trials > FEW_TRIALS)
    return POISSON_BOUNDS[events] / trials if is_few else 1.0


def two_stage_interval(affected: int, read: int, matching: int, screened: int) -> Interval:
    """The interval of a rate that a rule and then a random sample of its matches estimate.

    The rule was applied to N = ``screened`` traces and matches m = ``matching`` of them; n = ``read``
    of these, drawn at random, were read, and x = ``affected`` show what the rule looks for. With
    a the share of traces that match and b that of matches which show it, the rate is p = a b,
    estimated by (m/N)(x/n). With f = n/m, its variance is

        V(p) = p (1 - p + (1 - b)(1 - f)/f) / N,

    that of a proportion among N traces plus that of not reading all matches. The interval holds
    every p with (estimate - p)^2 <= z^2 V(p), where b is p/a and a the most likely share under that
    p: the larger root of (N - x) a^2 - (m - x + p (N - n)) a + p (m - n) = 0, the derivative of the
    likelihood a^m (1 - a)^(N - m) b^x (1 - b)^(n - x). For n = m, V(p) is p (1 - p)/N: the Wilson
    interval. For few affected traces the lower bound is that of ``proportion_interval``.

    Sources: estimate and variance, A. Tenenbein, "A double sampling scheme for estimating from
    binomial data with misclassifications", J. Am. Stat. Assoc. 65 (1970), for a rule without false
    negatives; score intervals for such data, R. J. Boese, D. M. Young and J. D. Stamey, "Confidence
    intervals for a binomial parameter based on binary data subject to false-positive
    misclassification", Comput. Stat. Data Anal. 50 (2006).

    Raises ``ZeroDivisionError`` where nothing was read.
    """
    estimate = matching / screened * affected / read

    def holds(rate: float) -> bool:
        deviation = (estimate - rate) ** 2
        return deviation <= Z * Z * two_stage_variance(rate, affected, read, matching, screened)

    low = border(holds, inside=estimate, outside=0.0) if affected else 0.0
    high = border(holds, inside=estimate, outside=1.0)
    return min(low, rare_bound(affected, read) * matching / screened), high


def two_stage_variance(
    rate: float, affected: int, read: int, matching: int, screened: int
) -> float:
    """``V(rate)`` of ``two_stage_interval``."""
    square, linear = screened - affected, matching - affected + rate * (screened - read)
    root = math.sqrt(max(0.0, linear * linear - 4 * square * rate * (matching - read)))
    share = (linear + root) / (2 * square) if square else 1.0
    confirmed = min(1.0, rate / share) if share else 1.0
    unread = (1 - confirmed) * (matching - read) / read
    return rate * (1 - rate + unread) / screened


def border(holds: Callable[[float], bool], *, inside: float, outside: float) -> float:
    """The value next to ``outside`` for which ``holds``, as it does ``inside``, by bisection."""
    if holds(outside):
        return outside
    for _ in range(BISECTIONS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if holds(middle) else (inside, middle)
    return inside
