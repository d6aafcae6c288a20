"""Detectors of runs that use far more than others of their name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from halo_engine.detectors import Detector
from halo_engine.detectors.outlying_runs import cost_outlier, step_outlier
from halo_engine.detectors.runner import run_detectors
from halo_engine.findings import Report
from halo_engine.schema import Trace, Usage
from halo_engine.statistics.outliers import upper_limit
from halo_engine.store import TraceStore
from halo_integrations.testing import agent, llm, tool, trace

ALL = (cost_outlier, step_outlier)


def report_on(tmp_path: Path, runs: Iterable[Trace], detectors: Sequence[Detector] = ALL) -> Report:
    with TraceStore(tmp_path / "traces") as store:
        store.ingest(runs)
        return run_detectors(store, detectors)


def run_of(
    number: int,
    *,
    tokens: int = 100,
    calls: int = 2,
    model: str = "small",
    **fields,
) -> Trace:
    usage = Usage(total_tokens=tokens, **fields)
    each = llm("Well.", model_name=model)
    first = replace(each, usage=usage)
    return trace(agent(), first, *[each] * (calls - 1), number=number)


def usual(count: int = 60) -> list[Trace]:
    random = Random(1)
    return [run_of(n, tokens=random.randint(80, 120)) for n in range(1, count + 1)]


@pytest.mark.parametrize(
    ("detector", "unusual", "told"),
    [
        ("cost_outlier", {"tokens": 20_000}, "20,000 tokens; usual are"),
        ("step_outlier", {"calls": 40}, "40 model calls; usual are 2"),
    ],
)
def test_a_run_far_above_the_usual_is_found_with_both_values(tmp_path, detector, unusual, told):
    report = report_on(tmp_path, [*usual(), run_of(99, **unusual)])
    assert [finding.detector for finding in report.findings] == [detector]
    (affected,) = report.findings[0].affected
    assert affected.trace_id == f"{99:032x}"
    assert told in affected.reason
    assert report.findings[0].prevalence.analysed == 61


def test_regular_runs_are_no_outliers(tmp_path):
    assert report_on(tmp_path, usual()).findings == ()


def test_a_run_is_compared_by_its_cost_where_that_is_recorded(tmp_path):
    costly = [run_of(n, cost=0.01 + n / 10_000) for n in range(1, 61)]
    report = report_on(tmp_path, [*costly, run_of(99, cost=4.5)])
    assert "4.5 cost in USD" in report.findings[0].affected[0].reason


def test_a_run_with_more_steps_and_cost_is_one_finding(tmp_path):
    report = report_on(tmp_path, [*usual(), run_of(99, calls=40, tokens=20_000)])
    assert [finding.detector for finding in report.findings] == ["step_outlier"]
    assert "20,000 tokens" in report.findings[0].affected[0].reason


@pytest.mark.parametrize("little", [{"tokens": 2000}, {"calls": 10}])
def test_what_is_unusual_but_little_is_no_outlier(tmp_path, little):
    assert report_on(tmp_path, [*usual(), run_of(99, **little)]).findings == ()


def test_runs_of_another_name_are_not_compared(tmp_path):
    other = trace(agent("other"), llm("Well."), number=99)
    report = report_on(tmp_path, [*usual(), other])
    assert report.findings == ()
    assert {n.reason for n in report.not_judged} == {
        "too few runs of its name and models to compare with"
    }


def test_runs_of_another_model_are_not_compared(tmp_path):
    report = report_on(tmp_path, [*usual(), run_of(99, tokens=20_000, model="large")])
    assert report.findings == ()


def test_too_few_runs_are_not_compared(tmp_path):
    report = report_on(tmp_path, [*usual(20), run_of(99, tokens=90_000)])
    assert report.findings == ()
    assert {n.traces for n in report.not_judged} == {21}


def test_a_loop_says_why_a_run_has_many_steps(tmp_path):
    from halo_engine.detectors.loops import identical_call_loop

    steps = [s for _ in range(40) for s in (llm("Again."), tool("get_order", {"id": 1}, "none"))]
    looping = trace(agent(), *steps, number=99)
    report = report_on(tmp_path, [*usual(), looping], (*ALL, identical_call_loop))
    found = {f.detector for f in report.findings if f.affected[0].trace_id == looping.trace_id}
    assert found == {"identical_call_loop"}


@pytest.mark.parametrize(
    "draw",
    [
        lambda random: random.gauss(100, 10),
        lambda random: random.lognormvariate(0, 0.5),
        lambda random: random.expovariate(1),
    ],
    ids=["normal", "lognormal", "exponential"],
)
def test_at_most_one_regular_value_in_a_hundred_is_an_outlier(draw):
    random = Random(7)
    values = [draw(random) for _ in range(2000)]
    limit = upper_limit(values)
    assert limit is not None
    assert sum(value > limit for value in values) <= 20
