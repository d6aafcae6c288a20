"""Outliers of a sample, told by its middle, so that they do not hide themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from statistics import median, quantiles
from typing import NamedTuple

MIN_VALUES = 50
# Distance of the fence below the median, in distances of the first quartile from the median.
FENCE = 8
# Runs of one name from which on they are compared with each other.
MIN_RUNS = 30
DEVIATIONS = 6
FAR = 5


def lower_fence(values: Sequence[float]) -> float | None:
    """The value under which a member of ``values`` is an outlier; None if they do not tell.

    It is median - 8 (median - first quartile): Tukey's fence for far-out values (Exploratory Data
    Analysis, 1977) measured on the lower side alone, since samples are rarely symmetric. The share
    of regular values below it is 0 for a uniform distribution, 3e-8 for a normal one, and 0.2 %
    where the lower tail falls off exponentially. None for fewer than ``MIN_VALUES`` values, and
    where a quarter of them equal the median.
    """
    if len(values) < MIN_VALUES:
        return None
    first, middle, _ = quantiles(values, n=4, method="inclusive")
    return middle - FENCE * (middle - first) if first < middle else None


class Measure(StrEnum):
    """What runs are compared by; a run's value is that of all its spans."""

    COST = "cost in USD"
    TOKENS = "tokens"
    MODEL_CALLS = "model calls"


class RunMeasures(NamedTuple):
    """The values of one run; runs of one ``kind``, name and models, can be compared."""

    trace_id: str
    kind: tuple[str, str]
    values: Mapping[Measure, float]


class Outlier(NamedTuple):
    """A value far above the ``usual`` one, which is the median."""

    measure: Measure
    value: float
    usual: float


def upper_limit(values: Sequence[float]) -> float | None:
    """The value above which a member of ``values`` is an outlier; None for too few of them.

    It is the largest of median + 6 MAD (F. R. Hampel, "The influence curve and its role in robust
    estimation", J. Am. Stat. Assoc. 69, 1974), the 99th percentile, and ``FAR`` times the median:
    costs and durations are skewed, so that a distance alone would mark several regular ones in a
    hundred, and some that nobody minds.
    """
    if len(values) < MIN_RUNS:
        return None
    middle = median(values)
    deviation = median(abs(value - middle) for value in values)
    percentile = quantiles(values, n=100, method="inclusive")[-1]
    return max(middle + DEVIATIONS * deviation, percentile, FAR * middle)
