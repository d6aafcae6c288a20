"""Prevalence estimates and their confidence intervals."""

from __future__ import annotations

import math
from random import Random
from statistics import NormalDist, fmean

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmarks.interval_coverage import coverage_of, coverage_table, grid
from halo_engine.statistics.intervals import (
    proportion_interval,
    two_stage_interval,
    wilson_interval,
)
from halo_engine.statistics.prevalence import (
    Prevalence,
    lower_bound_prevalence,
    prevalence_of,
    two_stage_prevalence,
)

Z = 1.959963984540054  # the 97.5 % quantile of the standard normal distribution
counts = st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
# Affected of read of matching of screened traces.
stages = st.lists(st.integers(1, 5000), min_size=3, max_size=3).flatmap(
    lambda ns: st.tuples(st.integers(0, min(ns)), *map(st.just, sorted(ns)))
)


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


@pytest.mark.parametrize("events", [1, 2, 3])
def test_few_events_are_not_improbable_under_the_lower_bound_of_their_rate(events) -> None:
    low, high = proportion_interval(events, 100_000)
    mean = low * 100_000
    fewer = sum(math.exp(-mean) * mean**k / math.factorial(k) for k in range(events))
    assert 1 - fewer == pytest.approx(0.05, abs=1e-4)
    assert high == wilson_interval(events, 100_000)[1]


@given(counts=counts)
def test_the_interval_of_a_share_mirrors_that_of_the_others(counts) -> None:
    successes, trials = counts
    low, high = proportion_interval(successes, trials)
    assert proportion_interval(trials - successes, trials) == pytest.approx((1 - high, 1 - low))


@given(stages=stages)
def test_an_interval_of_two_stages_holds_its_estimate(stages) -> None:
    affected, read, matching, screened = stages
    low, high = two_stage_interval(affected, read, matching, screened)
    estimate = matching / screened * affected / read
    assert -1e-12 <= low <= estimate + 1e-12
    assert estimate - 1e-12 <= high <= 1
    assert (low == 0) == (affected == 0)


@given(stages=stages)
def test_where_all_matches_are_read_the_interval_is_that_of_all_traces(stages) -> None:
    affected, _, matching, screened = stages
    low, high = two_stage_interval(affected, matching, matching, screened)
    wilson = wilson_interval(affected, screened)
    assert high == pytest.approx(wilson[1], abs=1e-9)
    assert low == pytest.approx(wilson[0], abs=1e-9) or affected <= 3


def most_likely_share(rate: float, stages: tuple[int, int, int, int]) -> float:
    """The share of matching traces under which the two stages are the most likely, by search."""
    affected, read, matching, screened = stages

    def log_likelihood(share: float) -> float:
        shown = rate / share
        return (
            matching * math.log(share)
            + (screened - matching) * math.log1p(-share)
            + affected * math.log(shown)
            + (read - affected) * math.log1p(-shown)
        )

    low, high = rate * (1 + 1e-9), 1 - 1e-9
    for _ in range(200):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if log_likelihood(left) < log_likelihood(right):
            low = left
        else:
            high = right
    return (low + high) / 2


@pytest.mark.parametrize("stages", [(8, 20, 100, 1000), (30, 60, 400, 500), (6, 90, 120, 200)])
def test_the_bounds_of_two_stages_are_where_the_score_statistic_is_at_its_limit(stages) -> None:
    affected, read, matching, screened = stages
    estimate = matching / screened * affected / read
    for bound in two_stage_interval(*stages):
        shown = bound / most_likely_share(bound, stages)
        unread = (1 - shown) * (matching - read) / read
        variance = bound * (1 - bound + unread) / screened
        z = NormalDist().inv_cdf(0.975)
        assert (estimate - bound) ** 2 == pytest.approx(z * z * variance, rel=1e-4)


@given(stages=stages, factor=st.integers(2, 20))
def test_reading_more_matches_with_the_same_outcome_narrows_the_interval(stages, factor) -> None:
    affected, read, matching, screened = stages
    matching, screened = max(matching, read * factor), max(screened, read * factor)
    assume(affected > 3)
    part = two_stage_interval(affected, read, matching, screened)
    more = two_stage_interval(affected * factor, read * factor, matching, screened)
    assert part[0] <= more[0] + 1e-9
    assert more[1] - 1e-9 <= part[1]


def test_intervals_hold_the_rate_as_often_as_they_claim_and_are_no_wider_than_need_be() -> None:
    cells = Random(2).sample(grid(), 40)
    results = [coverage_of(cell, 600, seed=3) for cell in cells]
    assert fmean(r.coverage for r in results) >= 0.95
    assert min(r.coverage for r in results) >= 0.90
    assert fmean(r.width for r in results) <= 1.3
    assert list(coverage_table(results))[-1].startswith("| all |  | 40 | 0.9")


def test_an_estimate_holds_its_counts_and_interval() -> None:
    prevalence = prevalence_of(14, 40, 50)
    assert (prevalence.low, prevalence.high) == wilson_interval(14, 40)
    assert prevalence.share == 0.35
    assert str(prevalence) == "14 of 40 traces, 35.0% (22.1% to 50.5%), 50 in all"


@pytest.mark.parametrize(
    ("elsewhere", "text"), [(1, "1 of the others shows"), (9, "9 of the others show")]
)
def test_traces_outside_of_a_sample_that_show_it_are_told_but_in_no_share(elsewhere, text) -> None:
    prevalence = prevalence_of(14, 40, 50, elsewhere=elsewhere)
    assert (prevalence.share, prevalence.known) == (0.35, 14 + elsewhere)
    assert str(prevalence).endswith(f"35.0% (22.1% to 50.5%), 50 in all; {text} it too")


def test_an_estimate_after_a_rule_says_how_many_matches_were_read() -> None:
    prevalence = two_stage_prevalence(2, 2, 20, 10_000, 10_001)
    assert (prevalence.affected, prevalence.analysed, prevalence.total) == (2, 2, 10_001)
    assert prevalence.counts == "2 of 2 read, out of 20 of 10,000 that match"
    assert prevalence.share == 0.002
    assert str(prevalence) == (
        "2 of 2 traces read, out of 20 of 10,000 that match, 0.20% (0.04% to 0.31%), 10,001 in all"
    )


def test_an_estimate_after_a_rule_whose_matches_were_all_read_is_one_of_all_traces() -> None:
    assert two_stage_prevalence(10, 20, 20, 60, 60) == prevalence_of(10, 60, 60)


def test_without_a_sample_the_share_is_a_lower_bound() -> None:
    prevalence = lower_bound_prevalence(3, 60)
    assert (prevalence.low, prevalence.high, prevalence.analysed) == (0.05, 1.0, 0)
    assert prevalence.share == 0.05
    assert str(prevalence) == "at least 3 of 60 traces, the others were not analysed"


def test_a_prevalence_of_an_earlier_version_is_read() -> None:
    stored = {"affected": 14, "analysed": 40, "total": 40, "low": 0.22, "high": 0.5}
    assert Prevalence.model_validate(stored).screening is None
