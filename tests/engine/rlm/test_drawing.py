"""Samples of traces to read: how many, and that their sizes have no say in which."""

from __future__ import annotations

from statistics import fmean

import pytest

from halo_engine.checks import RuleMatch
from halo_engine.findings import Evidence, FindingCheck
from halo_engine.llm import Remaining
from halo_engine.rlm.candidates import Candidate, Impact
from halo_engine.rlm.drawing import KNOWN_SHARE, draw_samples
from halo_engine.rlm.finding_labels import FindingLabels
from halo_engine.rlm.read_budget import ReadBudget

TRACES = [f"t{n:03}" for n in range(200)]


def question(id: str = "F1") -> Candidate:
    evidence = Evidence(trace_id="t000", span_id="s", field="output", quote="words", offset=0)
    return Candidate(
        id=id,
        title="T",
        failure_mode="other",
        summary="s",
        cause="c",
        recommendation="r",
        impact=Impact.HARM,
        evidence=(evidence,),
        check=FindingCheck(question="Is it?"),
    )


def finding(matches: list[str] | None = None, traces: list[str] = TRACES) -> FindingLabels:
    """A finding with a question, and a rule that matches ``matches``."""
    by_rule = None if matches is None else {t: RuleMatch(None) for t in matches}
    return FindingLabels(question(), len(traces), frozenset(traces), by_rule)


def read_budget(sizes: dict[str, float], tokens: int) -> ReadBudget:
    return ReadBudget(Remaining(tokens=tokens), None, sizes, findings=1)


def test_without_a_limit_all_are_drawn() -> None:
    labels = finding()
    drawn = draw_samples([labels], ReadBudget(Remaining(), None, dict.fromkeys(TRACES, 9.0), 1), 1)
    assert set(drawn) == labels.sample == set(TRACES)


def test_a_budget_that_suffices_for_all_has_all_drawn_whatever_their_sizes() -> None:
    sizes = {trace_id: 300.0 * (1 + n % 7) for n, trace_id in enumerate(TRACES)}
    tokens = read_budget(sizes, 1).usage(TRACES).total + 2
    assert len(draw_samples([finding()], read_budget(sizes, tokens), 1)) == len(TRACES)


def test_a_trace_that_takes_too_much_of_the_budget_ends_nothing() -> None:
    sizes = dict.fromkeys(TRACES, 300.0) | {"t007": 40_000.0}
    budget = read_budget(sizes, 10_000)
    readable = [t for t in TRACES if budget.can_read(t)]
    assert set(TRACES) - set(readable) == {"t007"}
    for seed in range(20):
        assert len(draw_samples([finding(traces=readable)], budget, seed)) == 39


@pytest.mark.parametrize("tokens", [6000, 20_000])
def test_large_traces_are_drawn_as_often_as_small_ones_and_seldom_too_many(tokens: int) -> None:
    """Every fifth trace is large: the share of them in the samples is that in all."""
    sizes = {trace_id: 4000.0 if n % 5 == 0 else 200.0 for n, trace_id in enumerate(TRACES)}
    budget = read_budget(sizes, tokens)
    shares, costs = [], []
    for seed in range(400):
        labels = finding()
        draw_samples([labels], budget, seed)
        shares.append(fmean(sizes[t] > 1000 for t in labels.sample))
        costs.append(budget.usage(labels.sample).total / tokens)
    assert fmean(shares) == pytest.approx(0.2, abs=0.02)
    assert fmean(cost <= 1 for cost in costs) >= 0.95
    assert fmean(costs) > 0.4


def test_the_size_of_a_sample_does_not_depend_on_which_traces_it_holds() -> None:
    sizes = {trace_id: 100.0 * (1 + n % 40) for n, trace_id in enumerate(TRACES)}
    budget = read_budget(sizes, 20_000)
    assert len({len(draw_samples([finding()], budget, seed)) for seed in range(50)}) == 1


def test_findings_with_a_rule_draw_alike_and_leave_half_of_the_budget_to_others() -> None:
    common, rare = finding(TRACES[:150]), finding(TRACES[:4])
    plain = finding()
    budget = read_budget(dict.fromkeys(TRACES, 300.0), 20_000)
    drawn = draw_samples([plain, common, rare], budget, seed=1)
    assert len(rare.sample) == 4
    assert common.sample <= set(TRACES[:150])
    by_rule = common.sample | rare.sample
    assert budget.usage(by_rule).total <= 10_000
    assert set(drawn) == by_rule | plain.sample
    assert 15_000 < budget.usage(drawn).total <= 20_000


def test_findings_leave_a_share_of_the_budget_to_known_issues_which_read_their_traces_too() -> None:
    new, known = finding(), finding()
    budget = read_budget(dict.fromkeys(TRACES, 300.0), 20_000)
    drawn = draw_samples([new], budget, 1, [known])
    assert budget.usage(new.sample).total <= 20_000 * (1 - KNOWN_SHARE)
    assert new.sample < known.sample == set(drawn)
    assert 18_000 < budget.usage(drawn).total <= 20_000


def test_nothing_is_drawn_where_nothing_is_left() -> None:
    budget = read_budget(dict.fromkeys(TRACES, 300.0), 1)
    assert not any(map(budget.can_read, TRACES))
    assert draw_samples([finding(traces=[])], budget, seed=1) == []
