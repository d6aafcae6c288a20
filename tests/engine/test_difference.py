"""The difference of two shares: its interval, its test, and how many traces it takes."""

from __future__ import annotations

import time
from math import comb
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halo_engine.statistics.difference import (
    ChangeVerdict,
    EffectiveCounts,
    ShareDifference,
    clean_traces,
    difference_interval,
    differences,
    effective_counts,
    false_discovery_rates,
    fisher_p_value,
    needed_traces,
)
from halo_engine.statistics.prevalence import (
    Prevalence,
    lower_bound_prevalence,
    prevalence_of,
    two_stage_prevalence,
)

COUNTS = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def counted(affected: int, analysed: int) -> Prevalence:
    return prevalence_of(affected, analysed, analysed)


def difference(base: tuple[int, int], head: tuple[int, int]) -> ShareDifference:
    (found,) = differences([(counted(*base), counted(*head))])
    return found


def test_the_interval_is_that_of_newcombe() -> None:
    # Table II of the source, contrast (a): 56/70 - 48/80, method 10.
    low, high = difference_interval(counted(48, 80), counted(56, 70))
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)


def test_the_test_is_that_of_fisher() -> None:
    # The lady tasting tea: 3 of 4 against 1 of 4.
    assert fisher_p_value((3, 4), (1, 4)) == pytest.approx(34 / 70)


@given(COUNTS, COUNTS)
def test_the_test_sums_the_divisions_that_are_no_more_likely(
    first: tuple[int, int], second: tuple[int, int]
) -> None:
    (a, n), (b, m) = first, second
    ways = [comb(n, k) * comb(m, a + b - k) for k in range(a + b + 1)]
    unlikely = sum(way for way in ways if way <= ways[a])
    assert fisher_p_value(first, second) == pytest.approx(unlikely / comb(n + m, a + b))


def test_the_test_of_many_traces_sums_the_tails_alone() -> None:
    # By a sum over all divisions of 400 affected traces among 2 x 100,000.
    first, second = (160, 100_000), (240, 100_000)
    ways = [comb(100_000, k) * comb(100_000, 400 - k) for k in range(401)]
    exact = sum(way for way in ways if way <= ways[160]) / comb(200_000, 400)
    assert fisher_p_value(first, second) == pytest.approx(exact, rel=1e-6)
    begun = time.perf_counter()
    for affected in range(50_000, 50_200):
        fisher_p_value((50_000, 100_000), (affected, 100_000))
    assert time.perf_counter() - begun < 10  # a sum over all divisions takes minutes


def test_p_values_are_adjusted_by_their_rank() -> None:
    assert false_discovery_rates([0.04, 0.01, 0.03]) == pytest.approx([0.04, 0.03, 0.04])


@pytest.mark.parametrize(
    ("base", "head", "verdict"),
    [
        ((12, 150), (0, 150), ChangeVerdict.GONE),
        ((24, 150), (6, 150), ChangeVerdict.BETTER),
        ((6, 150), (24, 150), ChangeVerdict.WORSE),
        ((0, 150), (12, 150), ChangeVerdict.NEW),
        ((150, 500), (152, 500), ChangeVerdict.UNCHANGED),
        ((2, 150), (0, 3), ChangeVerdict.UNDECIDED),
        ((0, 150), (1, 150), ChangeVerdict.UNDECIDED),
    ],
)
def test_each_change_has_its_word(
    base: tuple[int, int], head: tuple[int, int], verdict: ChangeVerdict
) -> None:
    assert difference(base, head).verdict is verdict


def test_what_is_known_beside_a_sample_is_neither_new_nor_gone() -> None:
    known = prevalence_of(0, 100, 500, elsewhere=3)
    worse, better = differences([(known, counted(20, 100)), (counted(20, 100), known)])
    assert (worse.verdict, better.verdict) == (ChangeVerdict.WORSE, ChangeVerdict.BETTER)


def test_one_change_among_many_that_are_none_needs_more_proof() -> None:
    alone = difference((8, 100), (20, 100))
    same = (counted(10, 100), counted(10, 100))
    among_others = differences([(counted(8, 100), counted(20, 100)), *([same] * 20)])[0]
    assert alone.verdict is ChangeVerdict.WORSE
    assert among_others.verdict is ChangeVerdict.UNDECIDED


def test_of_the_changes_that_are_told_few_are_false() -> None:
    random = Random(7)
    rates = [(0.06, 0.06)] * 6 + [(0.1, 0.0), (0.1, 0.0), (0.03, 0.15), (0.0, 0.08)]

    def draw(rate: float) -> Prevalence:
        return counted(sum(random.random() < rate for _ in range(150)), 150)

    told = false = 0
    for _ in range(60):
        found = differences([(draw(base), draw(head)) for base, head in rates])
        for (base, head), each in zip(rates, found, strict=True):
            told += each.verdict.is_change
            false += each.verdict.is_change and base == head
            assert not each.verdict.is_regression or head >= base
    assert told > 150
    assert false <= 0.05 * told


def test_no_trace_of_enough_later_ones_says_that_it_has_stopped() -> None:
    known = EffectiveCounts(affected=5, analysed=100)
    needed = clean_traces(known)
    assert needed is not None

    def missed(later: int) -> float:
        """The probability that all five are among the first hundred."""
        return comb(100, 5) / comb(100 + later, 5)

    assert 0.04 < missed(needed) <= 0.05


def test_what_was_seen_once_takes_many_traces_to_be_gone() -> None:
    assert clean_traces(EffectiveCounts(affected=1, analysed=100)) == 1900


def test_an_estimate_of_almost_none_is_never_told_to_have_stopped() -> None:
    assert clean_traces(EffectiveCounts(affected=0.004, analysed=6)) is None


def test_so_many_traces_as_are_needed_tell_a_share_that_doubled_and_one_that_halved() -> None:
    needed = needed_traces(0.1)
    assert needed is not None
    random = Random(1)

    def count(rate: float) -> tuple[int, int]:
        return sum(random.random() < rate for _ in range(needed)), needed

    def power(rate: float) -> float:
        return sum(difference(count(0.1), count(rate)).p_value <= 0.05 for _ in range(200)) / 200

    assert 0.7 < min(power(0.05), power(0.2)) < 0.9


def test_it_is_said_how_many_traces_would_tell() -> None:
    assert difference((4, 50), (5, 50)).needed == needed_traces(0.09)
    assert difference((0, 50), (0, 50)).needed is None


def test_an_estimate_from_a_sample_tells_less_than_a_count_of_all() -> None:
    sampled = effective_counts(two_stage_prevalence(10, 20, 100, 1000, 1000))
    assert sampled.share == pytest.approx(0.05)
    assert 20 <= sampled.analysed < 1000


def test_a_lower_bound_tells_nothing() -> None:
    bound = lower_bound_prevalence(3, 100)
    (found,) = differences([(bound, counted(0, 100))])
    assert found.verdict is ChangeVerdict.UNDECIDED
    assert found.p_value == 1
