"""Prevalence estimates and their Wilson intervals."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halo_engine.statistics.prevalence import (
    lower_bound_prevalence,
    prevalence_of,
    wilson_interval,
)

Z = 1.959963984540054  # the 97.5 % quantile of the standard normal distribution
counts = st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("successes", "trials", "interval"),
    [
        (0, 10, (0.0, 0.277533)),
        (10, 10, (0.722467, 1.0)),
        (14, 40, (0.221345, 0.504941)),
        (1, 1000, (0.0001765, 0.0056426)),
    ],
)
def test_the_interval_is_that_of_wilson(successes, trials, interval) -> None:
    assert wilson_interval(successes, trials) == pytest.approx(interval, abs=2e-6)


@given(counts=counts)
def test_the_bounds_solve_the_equation_of_the_score_test(counts) -> None:
    successes, trials = counts
    share = successes / trials
    low, high = wilson_interval(successes, trials)
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1
    for bound in (low, high):
        if 1e-12 < bound < 1 - 1e-12:
            assert abs(share - bound) == pytest.approx(
                Z * math.sqrt(bound * (1 - bound) / trials), rel=1e-6, abs=1e-9
            )


def test_an_estimate_holds_its_counts_and_interval() -> None:
    prevalence = prevalence_of(14, 40, 50)
    assert (prevalence.low, prevalence.high) == wilson_interval(14, 40)
    assert prevalence.share == 0.35
    assert str(prevalence) == "14 of 40 traces, 35.0% (22.1% to 50.5%), 50 in all"
    assert list(prevalence.model_dump()) == ["affected", "analysed", "total", "low", "high"]


def test_without_a_sample_the_share_is_a_lower_bound() -> None:
    prevalence = lower_bound_prevalence(3, 60)
    assert (prevalence.low, prevalence.high, prevalence.analysed) == (0.05, 1.0, 0)
    assert prevalence.share == 0.05
    assert str(prevalence) == "at least 3 of 60 traces, the others were not analysed"
