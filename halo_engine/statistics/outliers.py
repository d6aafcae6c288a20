"""Outliers of a sample, told by its middle half, so that they do not hide themselves."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import quantiles

MIN_VALUES = 50
# Distance of the fence below the median, in distances of the first quartile from the median.
FENCE = 8


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
    first, median, _ = quantiles(values, n=4, method="inclusive")
    return median - FENCE * (median - first) if first < median else None
