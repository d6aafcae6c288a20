"""Precision, recall and prevalence of rules of which a random part was judged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.interval_coverage import RuleDesign, rule_coverage, rule_grid, rule_table
from halo_engine.statistics.intervals import proportion_interval, two_stage_interval
from halo_engine.statistics.prevalence import JudgedStratum
from halo_engine.statistics.two_phase import (
    precision_of,
    prevalence_in,
    recall_of,
)


def stratum(shown: int, judged: int, traces: int) -> JudgedStratum:
    return JudgedStratum(traces=traces, judged=judged, shown=shown)


strata = (
    st.lists(st.integers(1, 400), min_size=2, max_size=2)
    .map(sorted)
    .flatmap(
        lambda n: st.builds(
            stratum, shown=st.integers(0, n[0]), judged=st.just(n[0]), traces=st.just(n[1])
        )
    )
)


def test_the_prevalence_is_the_sum_of_the_rates_of_the_strata() -> None:
    found = prevalence_in([stratum(6, 10, 50), stratum(1, 4, 200)], 1000)
    assert found.share == pytest.approx(0.05 * 0.6 + 0.2 * 0.25)


def test_the_recall_is_the_share_of_the_traces_with_the_finding_that_are_hits() -> None:
    found = recall_of(stratum(6, 10, 50), [stratum(1, 4, 200)], 1000)
    assert found is not None
    assert found.share == pytest.approx(30 / (30 + 50))


def test_where_everything_was_judged_the_interval_is_that_of_one_proportion() -> None:
    found = prevalence_in([stratum(6, 10, 10), stratum(1, 90, 90)], 100)
    assert (found.low, found.high) == proportion_interval(7, 100)


def test_of_one_stratum_the_interval_is_that_of_the_rule_alone() -> None:
    found = prevalence_in([stratum(6, 10, 50)], 1000)
    assert (found.low, found.high) == pytest.approx(two_stage_interval(6, 10, 50, 1000))


def test_hits_that_all_show_the_finding_leave_a_precision_of_one_possible() -> None:
    assert precision_of(stratum(6, 6, 50)).high == 1
    assert precision_of(stratum(0, 6, 50)).low == 0


def test_without_any_trace_that_shows_it_there_is_no_recall() -> None:
    assert recall_of(stratum(0, 6, 50), [stratum(0, 4, 200)], 1000) is None


@given(hits=strata, missed=st.lists(strata, max_size=2))
def test_every_interval_holds_its_estimate_and_lies_between_none_and_all(hits, missed) -> None:
    screened = hits.traces + sum(s.traces for s in missed) + 5
    found = [precision_of(hits), prevalence_in([hits, *missed], screened)]
    found += [recall] if (recall := recall_of(hits, missed, screened)) else []
    for estimate in found:
        assert 0 <= estimate.low <= estimate.share + 1e-9
        assert estimate.share - 1e-9 <= estimate.high <= 1


def test_near_misses_that_show_nothing_bound_the_recall_by_how_many_were_judged() -> None:
    few = recall_of(stratum(6, 6, 50), [stratum(0, 4, 200)], 1000)
    many = recall_of(stratum(6, 6, 50), [stratum(0, 100, 200)], 1000)
    assert few is not None
    assert many is not None
    assert few.share == many.share == many.high == 1
    assert few.low < 0.5 < many.low


@pytest.mark.parametrize(
    "design",
    [
        RuleDesign(1000, 6, 4, rate=0.05, precision=0.75, recall=0.7, near=0.1),
        RuleDesign(300, 12, 10, rate=0.1, precision=0.5, recall=0.9, near=0.3),
    ],
)
def test_the_intervals_hold_the_truth_in_nine_of_ten_corpora_or_more(design) -> None:
    covered = rule_coverage(design, corpora=300, seed=1).coverage
    assert set(covered) == {"precision", "recall", "prevalence"}
    # Three standard errors of a share of 300 corpora below 0.9.
    assert min(covered.values()) > 0.9 - 3 * (0.09 / 300) ** 0.5


def test_the_table_has_a_row_for_each_estimate_and_size_of_the_samples() -> None:
    designs = list(rule_grid())
    some = [designs[0], designs[1], designs[-1]]
    lines = list(rule_table(rule_coverage(design, 20, 1) for design in some))
    assert len(lines) == 2 + 3 * 2
