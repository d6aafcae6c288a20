"""The plan of a survey: its sample, and the odds that it states."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.survey_odds import VISIBILITIES, corpus, share_drawn
from halo_engine.statistics.survey_plan import ODDS, drawn_odds, draws_needed, survey_plan

numbers = st.tuples(st.integers(1, 60), st.integers(0, 60), st.integers(0, 60)).filter(
    lambda n: n[1] <= n[0] and n[2] <= n[0]
)


def test_the_odds_are_those_of_drawing_without_putting_back() -> None:
    # 3 of 10 traces, 4 drawn: C(3,2) C(7,2) + C(3,3) C(7,1) of C(10,4) hold at least two.
    assert drawn_odds(10, 3, 4, 2) == 1 - (35 + 3 * 35) / 210
    assert drawn_odds(10, 3, 10, 3) == 1
    assert drawn_odds(10, 3, 2, 3) == 0


@given(numbers=numbers, times=st.integers(1, 4))
def test_one_draw_fewer_than_needed_is_too_few(numbers, times) -> None:
    traces, mode, _ = numbers
    needed = draws_needed(traces, mode, times)
    if drawn_odds(traces, mode, traces, times) >= ODDS:
        assert drawn_odds(traces, mode, needed, times) >= ODDS
    assert needed == 0 or drawn_odds(traces, mode, needed - 1, times) < ODDS


def test_a_mode_of_one_in_two_hundred_is_drawn_three_times_wherever_it_is_visible() -> None:
    plan = survey_plan(corpus(seed=1), 1600, seed=1)
    assert len(plan.sample) <= 1600
    assert {s.kind for s in plan.strata} >= {"group", "ending", "signal", "outlier"}
    assert [s.name for s in plan.strata if s.odds < ODDS] == []
    assert "is among these at least 3 times with 95%" in str(plan)


def test_a_small_plan_says_for_which_strata_it_does_not_suffice() -> None:
    plan = survey_plan(corpus(seed=1), 300, seed=1)
    assert len(plan.sample) == 300
    everything = plan.strata[-1]
    assert everything.drawn >= 75
    assert everything.odds < 0.5
    covered = [s.traces for s in plan.strata if s.odds >= ODDS]
    assert covered
    assert max(covered) < everything.traces


def test_nearly_all_of_a_small_corpus_is_read_since_its_modes_have_three_traces() -> None:
    strata = {f"t{n}": [("ending", "ok" if n % 5 else "failed")] for n in range(100)}
    assert len(survey_plan(strata, 200, seed=1).sample) >= 98


def test_a_plan_without_room_or_traces_draws_none() -> None:
    assert survey_plan({"t": [("ending", "ok")]}, 0, seed=1).sample == ()
    assert survey_plan({}, 10, seed=1).sample == ()


def test_the_same_seed_gives_the_same_sample_for_any_order_of_the_traces() -> None:
    strata = corpus(seed=2)
    turned = dict(reversed(strata.items()))
    assert survey_plan(strata, 400, seed=3) == survey_plan(turned, 400, seed=3).model_copy(
        update={"strata": survey_plan(strata, 400, seed=3).strata}
    )
    assert survey_plan(strata, 400, seed=3).sample != survey_plan(strata, 400, seed=4).sample


def test_seeded_modes_are_drawn_as_often_as_the_plan_says() -> None:
    for visibility in VISIBILITIES:
        found = share_drawn(visibility, size=1600, corpora=15, seed=1)
        # Four standard errors of the share of 15 corpora, if it is 0.95.
        assert found.share >= found.stated - 4 * (0.95 * 0.05 / 15) ** 0.5, visibility
