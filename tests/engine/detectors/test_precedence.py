"""One failing behaviour is one finding: signals of several rules about it become one."""

from __future__ import annotations

from pathlib import Path

from halo_engine.detectors import load_detectors
from halo_engine.detectors.runner import run_detectors
from halo_engine.findings import Report
from halo_engine.schema import Trace
from halo_engine.store import TraceStore
from halo_integrations.testing import agent, at, call, declared, failed, llm, tool, trace

STOCK = {"item": "lamp"}


def report_on(tmp_path: Path, *runs: Trace) -> Report:
    with TraceStore(tmp_path / "traces") as store:
        store.ingest(runs)
        return run_detectors(store, load_detectors())


def detectors(report: Report) -> list[str | None]:
    return sorted(finding.detector or "" for finding in report.findings)


def failing(times: int, name: str = "stock") -> list:
    return [tool(name, STOCK, status=failed("shelf is locked")) for _ in range(times)]


def test_an_error_that_is_retried_and_then_hidden_is_one_finding_with_the_reasons_of_both(tmp_path):
    run = trace(agent(output="All done."), *failing(2), llm("All done."))
    report = report_on(tmp_path, run)
    assert detectors(report) == ["swallowed_error"]
    (affected,) = report.findings[0].affected
    assert "no later answer mentions it" in affected.reason
    assert "was called again unchanged" in affected.reason
    assert {quote.span_id for quote in affected.evidence} == {s.span_id for s in run.spans[:3]}


def test_a_loop_of_a_failing_tool_is_a_loop_and_a_mishandled_error(tmp_path):
    looping = trace(agent(output="Sorry, I could not do it."), *failing(3))
    hidden = trace(agent(output="All done."), *failing(3), llm("All done."), number=2)
    report = report_on(tmp_path, looping, hidden)
    affected = {f.detector: {a.trace_id for a in f.affected} for f in report.findings}
    assert affected == {
        "identical_call_loop": {looping.trace_id, hidden.trace_id},
        "unchanged_retry": {looping.trace_id},
        "swallowed_error": {hidden.trace_id},
    }


def test_an_unknown_tool_that_fails_is_one_finding(tmp_path):
    asked = llm(calls=[call("fly", STOCK, id="c1")], tools=[declared("stock")])
    refused = [tool("fly", STOCK, status=failed("Tool fly not found")) for _ in range(2)]
    report = report_on(
        tmp_path, trace(agent(output="All done."), asked, *refused, llm("All done."))
    )
    assert detectors(report) == ["unknown_tool"]


def test_a_failure_of_another_tool_beside_an_unknown_one_stays_a_finding(tmp_path):
    refused = tool("fly", STOCK, status=failed("Tool fly not found"))
    run = trace(agent(output="All done."), refused, *failing(1), llm("All done."))
    report = report_on(tmp_path, run)
    assert {f.detector: f.tool for f in report.findings} == {
        "unknown_tool": "fly",
        "swallowed_error": "stock",
    }


def test_the_retry_of_one_tool_is_no_part_of_the_hidden_error_of_another(tmp_path):
    calls = [*failing(2, "stock"), tool("stock", {"item": "rug"}, "12 left"), *failing(1, "price")]
    report = report_on(tmp_path, trace(agent(output="All done."), *calls, llm("All done.")))
    assert {f.detector: f.tool for f in report.findings} == {
        "unchanged_retry": "stock",
        "swallowed_error": "price",
    }


def test_a_service_error_of_a_model_call_that_nobody_mentions_is_the_services_alone(tmp_path):
    broken = llm(status=failed("HTTP 503"), input="p", output_messages=())
    report = report_on(tmp_path, trace(agent(output="All done."), broken, llm("All done.")))
    assert detectors(report) == ["environment_error"]


def test_a_part_is_told_by_its_own_rule_where_the_rule_of_the_whole_is_filtered_out(tmp_path):
    limited = llm(status=failed("Error code: 429"), input="p", output_messages=())
    report = report_on(tmp_path, trace(agent(output="All done."), limited, llm("All done.")))
    assert detectors(report) == ["swallowed_error"]


def test_where_rate_limits_are_a_storm_its_errors_are_not_told_again(tmp_path):
    def limited(number: int) -> Trace:
        refused = llm(
            status=failed("Error code: 429"),
            input="p",
            output_messages=(),
            start_time_unix_nano=at(1),
        )
        return trace(agent(output="All done."), refused, llm("All done."), number=number + 1)

    report = report_on(tmp_path, *map(limited, range(5)))
    assert detectors(report) == ["rate_limit_storm"]
