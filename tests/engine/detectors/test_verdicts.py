"""Judging traces while they are in hand, and what waits for the statistics over all of them."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

import sample_detectors
from halo_engine.detectors import Corpus, load_detectors
from halo_engine.detectors.environment import rate_limit_storm
from halo_engine.detectors.outlying_runs import cost_outlier
from halo_engine.detectors.retrieval import empty_retrieval
from halo_engine.detectors.runner import KeptVerdicts, run_detectors
from halo_engine.detectors.tool_errors import abandoned_call
from halo_engine.detectors.verdicts import (
    DetectionPlan,
    PackedVerdicts,
    Ruling,
    TraceVerdict,
    ruling_by_statistics,
    verdicts_on,
)
from halo_engine.executors import Processes
from halo_engine.schema import Document, Status, Trace, datetime_of
from halo_engine.statistics.outliers import Measure, Outlier
from halo_engine.statistics.prevalence import prevalence_of
from halo_engine.store import TraceStore
from halo_engine.store.reading import SETTLING, STILL_OPEN, is_unsettled
from halo_integrations.testing import agent, at, call, llm, retriever, tool, trace

RUNS = [
    trace(agent(output="bad"), llm("Yes."), number=1),
    trace(agent(input=None, output="bad"), number=2),
    trace(agent(input=None), tool("search", {"q": 1}, "[1]"), number=3),
]


def stored(tmp_path: Path, *traces: Trace) -> TraceStore:
    """A store of ``traces``."""
    store = TraceStore(tmp_path / "traces")
    store.ingest(traces)
    return store


def rulings(verdict: TraceVerdict) -> list[Ruling | None]:
    """What each detector says."""
    return [verdict.ruling(number) for number in range(len(verdict.outcomes))]


def deferred(detector, run: Trace) -> bool:
    """Whether ``detector`` waits for the statistics to judge ``run``."""
    verdicts = verdicts_on([run], DetectionPlan([detector]))
    return rulings(verdicts.traces[0]) == [None]


def test_a_trace_has_a_byte_for_each_detector_and_rulings_where_more_is_to_be_said():
    plan = DetectionPlan([sample_detectors.lacks_a_text, sample_detectors.raises])
    verdicts = verdicts_on(RUNS, plan)
    assert [len(verdict.outcomes) for verdict in verdicts.traces] == [2, 2, 2]
    first, second, third = (rulings(v) for v in verdicts.traces)
    told = [(ruling.reason, len(ruling.signals)) for ruling in (first[0], second[0]) if ruling]
    assert told == [(None, 1), ("no input", 1)]
    assert third[0] == Ruling("no input")
    assert [len(verdict.rulings) for verdict in verdicts.traces] == [2, 2, 1]


def test_another_process_gets_the_plan_and_gives_back_the_same_verdicts():
    plan = DetectionPlan(load_detectors(), read_at=datetime_of(at(0)))
    there = pickle.loads(pickle.dumps(verdicts_on(RUNS, pickle.loads(pickle.dumps(plan)))))
    assert there == verdicts_on(RUNS, plan)


def test_verdicts_are_the_same_after_they_were_packed():
    verdicts = verdicts_on(RUNS, DetectionPlan(load_detectors(), is_timed=True))
    packed = PackedVerdicts.of(verdicts)
    assert packed.traces() == verdicts.traces
    assert packed.seconds == verdicts.seconds


def test_a_trace_of_which_more_came_is_judged_as_it_is_stored(tmp_path):
    seen = [trace(agent(output="bad"), number=number) for number in (1, 2)]
    plan = DetectionPlan((sample_detectors.lacks_a_text,))
    kept = KeptVerdicts(plan)
    kept.add(PackedVerdicts.of(verdicts_on(seen, plan)), frozenset())
    kept.add(PackedVerdicts.of(verdicts_on(seen[:1], plan)), {seen[0].trace_id})
    store = stored(tmp_path, trace(agent(output="good"), number=1), seen[1])
    report = run_detectors(store, plan.detectors, kept=kept)
    assert report == run_detectors(store, plan.detectors)
    assert [each.trace_id for each in report.findings[0].affected] == [seen[1].trace_id]


def test_several_processes_find_what_one_finds(tmp_path):
    runs = [trace(agent(output="bad"), number=number) for number in range(1, 1502)]
    detectors = [sample_detectors.lacks_a_text, sample_detectors.asks_and_goes_on, cost_outlier]
    stored(tmp_path, *runs).close()
    with TraceStore(tmp_path / "traces", read_only=True) as store:
        alone = run_detectors(store, detectors)
        told = []
        assert run_detectors(store, detectors, executor=Processes(2, told.append)) == alone
    assert told == []
    assert alone.findings[0].prevalence == prevalence_of(1501, 1501, 1501)


def test_the_time_of_each_detector_is_told_on_request():
    plan = DetectionPlan([sample_detectors.lacks_a_text, cost_outlier], is_timed=True)
    *of_detectors, rest = verdicts_on(RUNS * 50, plan).seconds
    assert len(of_detectors) == 2
    assert all(seconds > 0 for seconds in (*of_detectors, rest))
    assert verdicts_on(RUNS, plan._replace(is_timed=False)).seconds == ()


def test_more_reasons_than_a_byte_has_are_kept_all():
    runs = [trace(agent(f"agent {number}"), number=number) for number in range(1, 400)]
    verdicts = verdicts_on(runs, DetectionPlan([sample_detectors.names_what_is_missing]))
    reasons = [ruling for v in verdicts.traces for ruling in rulings(v)]
    assert reasons == [Ruling(f"agent {number} is not judged") for number in range(1, 400)]


def test_a_rule_that_goes_on_after_asking_for_statistics_is_judged_with_them(tmp_path):
    with stored(tmp_path, *RUNS) as store:
        report = run_detectors(store, [sample_detectors.asks_and_goes_on])
    assert report.findings[0].prevalence == prevalence_of(3, 3, 3)
    assert report.findings[0].summary == "one of 3 traces"


def test_a_rule_that_goes_on_without_a_trace_is_judged_with_it():
    ruling = ruling_by_statistics(sample_detectors.asks_and_goes_on, "t", Corpus(traces=3))
    assert ruling is None


def test_only_an_outlier_is_read_again():
    outliers = {"far": [Outlier(Measure.COST, 5.0, 0.1)]}
    compared = {"far": {Measure.COST}, "usual": {Measure.COST}}
    corpus = Corpus(traces=100, outliers=outliers, compared=compared)
    too_few = Ruling("too few runs of its name and models to compare with")
    assert ruling_by_statistics(cost_outlier, "usual", corpus) == Ruling()
    assert ruling_by_statistics(cost_outlier, "alone", corpus) == too_few
    assert ruling_by_statistics(cost_outlier, "far", corpus) is None


WITHOUT_STATUS = Status(code=None)


@pytest.mark.parametrize(
    ("detector", "told", "waiting"),
    [
        (rate_limit_storm, trace(agent()), trace(agent(status=WITHOUT_STATUS))),
        (
            empty_retrieval,
            trace(agent(), retriever(documents=(Document(content="a text"),))),
            trace(agent(), retriever(documents=(Document(content="a text", score=0.5),))),
        ),
        (
            abandoned_call,
            trace(agent(), llm(calls=[call("search", {}, id="c1")]), tool("search", {}, "[]")),
            trace(agent(), llm(calls=[call("search", {}, id="c1")])),
        ),
        (abandoned_call, trace(agent(), llm("Yes.")), trace(llm(calls=[call("s", {}, id="c")]))),
    ],
)
def test_a_rule_waits_only_for_traces_of_which_the_statistics_say_more(detector, told, waiting):
    assert not deferred(detector, told)
    assert deferred(detector, waiting)


@pytest.mark.parametrize("age", [SETTLING, STILL_OPEN])
@pytest.mark.parametrize(
    "run",
    [
        trace(agent(end_time_unix_nano=at(3)), llm("Yes.")),
        trace(agent(end_time_unix_nano=None), llm("Yes.", end_time_unix_nano=at(3))),
        trace(agent(parent_span_id="f" * 16), llm("Yes.", end_time_unix_nano=None)),
        trace(agent(start_time_unix_nano=None, end_time_unix_nano=None)),
    ],
)
def test_a_trace_in_hand_is_unsettled_as_long_as_a_stored_one(tmp_path, run, age):
    last = max((s.end_time_unix_nano or s.start_time_unix_nano or at(0)) for s in run.spans)
    moments = [datetime_of(last + late) for late in (-1_000_000, 0, 1_000_000)]
    with stored(tmp_path, run) as store:
        for moment in moments:
            read_at = moment + age
            assert is_unsettled(run.spans, read_at) is bool(store.unsettled(read_at))
