"""The demo's agent: planted faults, traces on the server, and findings."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from random import Random

import pytest

from halo_adapters.base import TraceQuery
from halo_adapters.phoenix import PhoenixAdapter
from halo_adapters.phoenix.settings import PhoenixSettings
from halo_engine.detectors import load_detectors
from halo_engine.detectors.runner import run_detectors
from halo_engine.errors import ConfigError, Unavailable
from halo_engine.findings import Affected, Finding, Report, Severity
from halo_engine.schema import Trace
from halo_engine.statistics.prevalence import prevalence_of
from halo_engine.store import TraceStore
from halo_integrations.demo import Planted, PlantedFault, compare_with_truth, run_conversations
from halo_integrations.demo.faults import FAULTS, Fault
from halo_integrations.demo.intents import conversation_about
from halo_integrations.demo.plan import CANARY, DAY, plan
from halo_integrations.demo.sending import wait_until_arrived
from halo_integrations.options.callbacks import Progress
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix

COUNT = 60
PROJECT = "demo-agent-test"


@pytest.fixture(scope="module")
def steps() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def planted(phoenix: EmbeddedPhoenix, steps: list[Progress]) -> Planted:
    return run_conversations(phoenix.base_url, PROJECT, COUNT, seed=1, on_progress=steps.append)


@pytest.fixture(scope="module")
def store(
    phoenix: EmbeddedPhoenix, planted: Planted, tmp_path_factory: pytest.TempPathFactory
) -> TraceStore:
    source = PhoenixAdapter(PhoenixSettings(base_url=phoenix.base_url, project=PROJECT))
    store = TraceStore(tmp_path_factory.mktemp("demo") / "traces")
    for page in source.pull(TraceQuery(project=PROJECT)):
        store.ingest(page.traces)
    return store


@pytest.fixture(scope="module")
def report(store: TraceStore) -> Report:
    return run_detectors(store, load_detectors())


def traces_of(store: TraceStore) -> dict[str, Trace]:
    return {trace.trace_id: trace for trace in store.traces()}


def finding(failure_mode: str, *trace_ids: str) -> Finding:
    return Finding(
        id=f"{failure_mode}-{'-'.join(trace_ids)}",
        fingerprint="0" * 16,
        failure_mode=failure_mode,
        title="A finding",
        severity=Severity.HIGH,
        summary="",
        recommendation="",
        detector="some_rule",
        prevalence=prevalence_of(len(trace_ids), 10, 10),
        affected=tuple(Affected(trace_id=t, reason="") for t in trace_ids),
    )


def planted_in(failure_mode: str, *trace_ids: str) -> Planted:
    fault = PlantedFault(
        name="a fault",
        failure_mode=failure_mode,
        description="",
        trace_ids=frozenset(trace_ids),
    )
    return Planted(traces=10, spans=100, faults=(fault,), canary="a")


def test_the_same_seed_plans_the_same_conversations() -> None:
    assert plan(100, seed=3) == plan(100, seed=3)


def test_another_seed_plans_other_conversations() -> None:
    assert plan(100, seed=3) != plan(100, seed=4)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_fault_is_planted_in_its_share(fault: Fault) -> None:
    planned = [one for one in plan(300, seed=0) if one.fault is fault]
    assert len(planned) == round(300 * fault.share)
    assert {one.conversation.intent for one in planned} <= set(fault.intents)


@pytest.mark.parametrize(
    ("fault", "intent"),
    [(fault, intent) for fault in FAULTS for intent in fault.intents],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_fault_changes_a_conversation_of_each_of_its_intents(fault: Fault, intent: str) -> None:
    good = conversation_about(intent, 0.0, Random(1))
    assert fault.inject(good, Random(1)) != good


def test_the_conversations_lie_within_the_last_day_oldest_first() -> None:
    ages = [one.conversation.age for one in plan(300, seed=0)]
    assert ages == sorted(ages, reverse=True)
    assert 0 < ages[-1] < ages[0] < DAY + 60


def test_a_burst_falls_into_one_minute() -> None:
    ages = [
        one.conversation.age
        for one in plan(300, seed=0)
        if one.fault and one.fault.name == "rate-limit burst"
    ]
    assert len(ages) >= 5
    assert max(ages) - min(ages) <= 60


def test_too_few_conversations_for_all_faults_is_an_error_with_the_required_number() -> None:
    with pytest.raises(ConfigError, match="Ask for at least 32"):
        plan(10, seed=0)


def test_progress_counts_the_conversations_and_then_the_spans_that_have_arrived(
    planted: Planted, steps: list[Progress]
) -> None:
    running, arriving = steps[:COUNT], steps[COUNT:]
    assert [step.done for step in running] == list(range(1, COUNT + 1))
    assert {(step.total, step.unit) for step in running} == {(COUNT, "conversations")}
    assert {(step.total, step.unit) for step in arriving} == {(planted.spans, "spans")}
    assert arriving[-1].done == planted.spans


def test_the_traces_are_complete_on_the_server(planted: Planted, store: TraceStore) -> None:
    traces = traces_of(store)
    assert len(traces) == planted.traces == COUNT
    assert sum(len(trace.spans) for trace in traces.values()) == planted.spans
    assert all(trace.root and trace.root.name == "service-assistant" for trace in traces.values())


def test_a_conversation_has_5_to_25_spans_of_several_kinds(store: TraceStore) -> None:
    traces = traces_of(store).values()
    assert min(len(trace.spans) for trace in traces) >= 5
    assert max(len(trace.spans) for trace in traces) <= 25
    kinds = {span.kind for trace in traces for span in trace.spans}
    assert kinds == {"AGENT", "CHAIN", "LLM", "TOOL", "RETRIEVER"}


def test_the_canary_is_data_in_its_trace(planted: Planted, store: TraceStore) -> None:
    trace = traces_of(store)[planted.canary]
    assert trace.root
    assert CANARY in (trace.root.input or "")
    assert any(CANARY in (s.output or "") for s in trace.spans if s.name == "get_order")


def test_an_analysis_finds_every_planted_fault_and_nothing_else(
    planted: Planted, report: Report
) -> None:
    matches = compare_with_truth(planted, report)
    assert [match.fault.name for match in matches if match.fault and not match.found] == []
    assert [match.findings[0].title for match in matches if not match.fault] == []


def test_the_canary_does_not_hide_its_own_fault(planted: Planted, report: Report) -> None:
    (loop,) = [one for one in report.findings if one.failure_mode == "step_repetition"]
    assert planted.canary in {affected.trace_id for affected in loop.affected}


def test_spans_that_do_not_arrive_are_an_error_with_their_number(
    phoenix: EmbeddedPhoenix, phoenix_project: str
) -> None:
    with pytest.raises(Unavailable, match=f"7 of 7 spans .* '{phoenix_project}'"):
        wait_until_arrived(phoenix.base_url, phoenix_project, Counter({"ab" * 16: 7}), seconds=0)


def test_half_of_the_planted_traces_are_enough_to_be_found() -> None:
    planted = planted_in("step_repetition", "a", "b", "c", "d")
    (match,) = compare_with_truth(
        planted, Report(findings=(finding("step_repetition", "a", "b", "x"),))
    )
    assert match.found
    assert match.shown == 2


def test_less_than_half_is_missed() -> None:
    planted = planted_in("step_repetition", "a", "b", "c")
    (match,) = compare_with_truth(planted, Report(findings=(finding("step_repetition", "a"),)))
    assert not match.found
    assert match.shown == 1


def test_several_findings_of_one_mode_count_together() -> None:
    planted = planted_in("step_repetition", "a", "b", "c", "d")
    findings = (finding("step_repetition", "a"), finding("step_repetition", "b"))
    (match,) = compare_with_truth(planted, Report(findings=findings))
    assert match.findings == findings
    assert match.found


def test_a_finding_of_another_mode_or_in_other_traces_is_extra() -> None:
    planted = planted_in("step_repetition", "a", "b")
    others = (finding("output_malformed", "a"), finding("step_repetition", "x"))
    missed, *extra = compare_with_truth(planted, Report(findings=others))
    assert not missed.found
    assert missed.findings == ()
    assert [match.findings for match in extra] == [(other,) for other in others]
    assert {match.fault for match in extra} == {None}


def test_the_demo_is_not_loaded_with_the_package() -> None:
    code = "import halo_integrations, sys; print([m for m in sys.modules if 'opentelemetry' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
