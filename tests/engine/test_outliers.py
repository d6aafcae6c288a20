"""The fence under which a value is an outlier."""

from __future__ import annotations

from random import Random
from statistics import fmean

import pytest

from halo_engine.statistics.outliers import lower_fence


def test_the_fence_is_eight_quartile_distances_below_the_median():
    assert lower_fence([float(n) for n in range(101)]) == 50 - 8 * 25


def test_a_quarter_of_low_values_does_not_hide_itself_and_a_third_is_no_exception():
    usual = [0.8 + n / 1000 for n in range(100)]
    assert lower_fence([*usual, *[0.1] * 20]) > 0.1
    assert lower_fence([*usual, *[0.1] * 60]) < 0.1


@pytest.mark.parametrize("values", [[], [0.5] * 49, [0.5] * 1000, [*[0.5] * 900, *[0.4] * 100]])
def test_too_few_values_or_mostly_equal_ones_have_no_fence(values):
    assert lower_fence(values) is None


@pytest.mark.parametrize(
    ("draw", "at_most"),
    [
        (lambda random: random.uniform(0.8, 0.95), 0),
        (lambda random: random.gauss(0.8, 0.05), 1e-6),
        (lambda random: -random.expovariate(1), 0.0022),
    ],
    ids=["uniform", "normal", "exponential"],
)
def test_the_share_of_regular_values_below_the_fence_is_as_stated(draw, at_most):
    random = Random(1)
    fence = lower_fence([draw(random) for _ in range(20_000)])
    assert fmean(draw(random) < fence for _ in range(100_000)) <= at_most
