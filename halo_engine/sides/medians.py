"""The ratio of two medians with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from halo_engine.statistics.intervals import Interval, Z


def ratio_of_medians(base: Sequence[float], head: Sequence[float]) -> tuple[float, Interval] | None:
    """The ratio of the median of ``head`` to that of ``base``, with a 95 % interval.

    With the logarithms m1, m2 of the medians and their intervals (l1, u1), (l2, u2), that of m2 - m1
    is from m2 - m1 - sqrt((m2 - l2)^2 + (u1 - m1)^2) to m2 - m1 + sqrt((u2 - m2)^2 + (m1 - l1)^2)
    (Zou and Donner, see ``halo_engine.statistics.difference``). None where a median has no interval,
    for too few values or one of 0.
    """
    known = [median_interval(sorted(values)) for values in (base, head)]
    if known[0] is None or known[1] is None or min(known[0][0], known[1][0]) <= 0:
        return None
    (l1, u1), (l2, u2) = (tuple(map(math.log, each)) for each in known if each)
    m1, m2 = math.log(median(base)), math.log(median(head))
    low = m2 - m1 - math.hypot(m2 - l2, u1 - m1)
    high = m2 - m1 + math.hypot(u2 - m2, m1 - l1)
    return math.exp(m2 - m1), (math.exp(low), math.exp(high))


def median_interval(values: Sequence[float]) -> Interval | None:
    """The 95 % interval of the median of which ``values``, sorted, are a sample; None for too few.

    From the value of rank n/2 - z sqrt(n)/2, rounded down, to that of the same rank from the end: by
    the binomial distribution of how many values are below the median, approximated by the normal
    one (W. J. Conover, "Practical Nonparametric Statistics", 3rd ed., 1999, section 3.2).
    """
    rank = math.floor(len(values) / 2 - Z * math.sqrt(len(values)) / 2)
    return (values[rank - 1], values[-rank]) if rank >= 1 else None
