"""Strict matching of findings with known modes, and its intervals."""

from collections.abc import Iterable
from math import comb

import numpy as np
import pytest

from benchmarks.quality.labelled import LabelledSet, labelled_set
from benchmarks.quality.missed import Reason, missed_modes
from benchmarks.quality.strict import Finding, Scores, draws_of, interval_of, upper_tail
from benchmarks.quality.systems import findings_of


def a_set(**modes: Iterable[int]) -> LabelledSet:
    """100 traces of one agent and 100 of another; modes by the numbers of their traces."""
    services = {f"t{number}": "one" if number < 100 else "other" for number in range(200)}
    rows = [
        {"mode_id": name, "category": name, "trace_ids": [f"t{n}" for n in numbers]}
        for name, numbers in modes.items()
    ]
    return labelled_set(services, rows, {})


def scores(
    labelled: LabelledSet, *findings: Iterable[int], **intervals: tuple[float, float]
) -> Scores:
    """The scores of findings that name these traces."""
    found = [
        {
            "finding_id": f"f{number}",
            "trace_ids": [f"t{n}" for n in traces],
            "prevalence_interval": intervals.get(f"f{number}"),
        }
        for number, traces in enumerate(findings)
    ]
    return Scores(labelled, findings_of(found, labelled))


def test_a_finding_matches_where_its_f1_reaches_the_threshold() -> None:
    labelled = a_set(m=range(10))
    assert scores(labelled, range(10)).figures.recall == (1.0, 1.0, 1.0)
    assert scores(labelled, range(5, 15)).figures.recall == (1.0, 1.0, 0.0)
    assert scores(labelled, range(6, 16)).figures.recall == (1.0, 0.0, 0.0)
    assert scores(labelled, range(8, 18)).figures.recall == (0.0, 0.0, 0.0)


def test_a_finding_about_all_runs_of_the_agent_is_no_more_than_chance() -> None:
    labelled = a_set(m=range(60))
    assert scores(labelled, range(100)).figures.recall == (0.0, 0.0, 0.0)


def test_each_mode_counts_one_finding_and_each_finding_one_mode() -> None:
    labelled = a_set(m=range(10), n=range(20, 30))
    twice = scores(labelled, range(10), range(9))
    assert (twice.figures.recall[1], twice.figures.precision[1]) == (0.5, 0.5)


def test_ids_that_are_no_traces_count_for_nothing() -> None:
    labelled = a_set(m=range(10))
    assert scores(labelled, range(1000, 1010)).figures.precision == (0.0, 0.0, 0.0)


def test_the_chance_of_an_overlap_is_the_hypergeometric_tail() -> None:
    exact = sum(comb(8, k) * comb(42, 10 - k) for k in range(3, 9)) / comb(50, 10)
    assert upper_tail(50, 8, 10, 3) == pytest.approx(exact)
    assert upper_tail(50, 8, 10, 9) == 0.0
    assert upper_tail(10, 8, 9, 7) == pytest.approx(1.0)


def test_coverage_counts_only_findings_with_an_interval() -> None:
    labelled = a_set(m=range(10), n=range(20, 30), o=range(40, 50))
    three = [range(10), range(20, 30), range(40, 50)]
    assert scores(labelled, *three, f0=(0.04, 0.06), f1=(0.1, 0.2)).coverage() == (1, 2)


def test_a_draw_in_which_every_trace_is_once_is_the_set_itself() -> None:
    labelled = a_set(m=range(10), n=range(5, 25), o=range(120, 126))
    some = scores(labelled, range(7), range(5, 22), range(60, 90), range(118, 126))
    once = some.resampled(np.ones((1, labelled.size), dtype=np.float32))[0]
    assert tuple(once[0]) == pytest.approx(some.figures.recall)
    assert tuple(once[1]) == pytest.approx(some.figures.precision)


def test_modes_and_findings_that_a_draw_lacks_are_left_out() -> None:
    labelled = a_set(m=range(10), n=range(20, 30))
    draw = np.ones((1, labelled.size), dtype=np.float32)
    draw[0, 20:30] = 0
    both = scores(labelled, range(10), range(20, 30)).resampled(draw)[0]
    assert tuple(both[0]) == (1.0, 1.0, 1.0)
    assert tuple(both[1]) == (1.0, 1.0, 1.0)


def test_a_trace_that_is_drawn_often_is_no_overlap_beyond_chance() -> None:
    one_shared = scores(a_set(m=range(3)), [0, 50])
    draw = np.ones((1, 200), dtype=np.float32)
    draw[0, 0] = 9
    assert one_shared.resampled(draw)[0].max() == 0


def test_the_interval_of_a_system_that_finds_half_lies_around_a_half() -> None:
    modes = {f"m{n}": range(n * 10, n * 10 + 10) for n in range(8)}
    half = scores(a_set(**modes), *(range(n * 10, n * 10 + 10) for n in range(4)))
    draws = draws_of(200, 1000, seed=1)
    low, high = interval_of(half.resampled(draws)[:, 0, 1])
    assert low <= 0.5 <= high
    assert high - low < 0.1


def test_systems_in_the_same_draws_differ_by_nothing_where_they_are_the_same() -> None:
    labelled = a_set(m=range(10), n=range(20, 26))
    draws = draws_of(labelled.size, 200, seed=1)
    one = scores(labelled, range(8), range(20, 30)).resampled(draws)
    other = scores(labelled, range(8), range(20, 30)).resampled(draws)
    assert interval_of(one[:, 0, 1] - other[:, 0, 1]) == (0.0, 0.0)


def test_a_system_that_finds_nothing_has_no_interval_of_precision() -> None:
    nothing = scores(a_set(m=range(10))).resampled(draws_of(200, 20, seed=1))
    assert interval_of(nothing[:, 0, 1]) == (0.0, 0.0)
    assert np.isnan(interval_of(nothing[:, 1, 1])).all()


def test_draws_are_as_large_as_the_set() -> None:
    assert draws_of(50, 20, seed=3).sum(axis=1).tolist() == [50.0] * 20


@pytest.mark.parametrize(
    ("findings", "reason"),
    [
        ([range(100, 110)], Reason.NOT_LOOKED_AT),
        ([[*range(12), *range(60, 99)]], Reason.TOO_WIDE),
        ([range(3)], Reason.TOO_NARROW),
        ([range(3), range(3, 6), range(6, 9)], Reason.SPLIT),
        ([[*range(12), *range(20, 50)]], Reason.MERGED),
    ],
)
def test_a_missed_mode_says_why(findings: list[Iterable[int]], reason: Reason) -> None:
    labelled = a_set(m=range(12), other=range(20, 50))
    missed = {m.mode.id: m.reason for m in missed_modes(scores(labelled, *findings))}
    assert missed["m"] is reason


def test_a_mode_that_a_finding_matches_is_not_missed() -> None:
    labelled = a_set(m=range(12))
    assert not list(missed_modes(scores(labelled, range(12))))


def test_a_finding_keeps_its_title_for_the_table() -> None:
    labelled = a_set(m=range(12))
    found = findings_of([{"finding_id": 1, "title": "T", "trace_ids": ["t1"]}], labelled)
    assert found == (Finding("1", "T", frozenset({1})),)
