"""A report in the formats that code scanning and test reports take."""

from __future__ import annotations

import pytest

from halo_engine.findings import CodeLine, DecisionKind, IssueMark, IssueState, NotJudged, Report
from halo_engine.report.json import render_json
from halo_engine.report.junit import render_junit
from halo_engine.report.renderer import RunInfo
from halo_engine.report.sarif import render_sarif
from result_formats import junit_outcomes, junit_suite, sarif_run
from sample_reports import finding, full_report, link

RUN = RunInfo("20260301-120000-ab12", link)
PLACE = CodeLine(path="agent/tools.py", line=7, text="def cancel_order(order):")


@pytest.mark.parametrize(
    "report",
    [full_report(), Report(), Report(findings=(finding(summary='Two\nlines\n "findings": []'),))],
    ids=["full", "empty", "a text like JSON"],
)
def test_json_has_every_field_with_an_indentation_of_one(report: Report) -> None:
    assert render_json(report, RUN).decode() == report.model_dump_json(indent=1)


def test_findings_fail_and_detectors_that_found_nothing_pass() -> None:
    report = full_report().model_copy(
        update={"detectors": (*full_report().detectors, "failing_tool", "unknown_tool")}
    )
    outcomes = junit_outcomes(junit_suite(render_junit(report, RUN)))
    assert outcomes == {
        "unsafe_action-00aa11bb": "failure",
        "tool_error_mishandled-9f8e7d6c": "failure",
        "step_repetition-33445566": "failure",
        "instrumentation-11112222": "skipped",
        "failing_tool": "passed",
        "unknown_tool": "skipped",
        "read": "error",
        "detector d": "error",
    }


def test_what_was_accepted_is_skipped_and_named_by_its_issue() -> None:
    mark = IssueMark(id="HALO-3", state=IssueState.ONGOING, decision=DecisionKind.ACCEPTED)
    suite = junit_suite(render_junit(Report(findings=(finding(issue=mark),), traces=50), RUN))
    assert junit_outcomes(suite) == {"HALO-3": "skipped"}
    (skipped,) = suite.iter("skipped")
    assert skipped.attrib["message"].startswith("accepted: 1 of 40 traces")


def test_a_report_without_traces_passes_nothing() -> None:
    nothing = Report(
        detectors=("failing_tool",), not_judged=(NotJudged(detector="x", reason="y", traces=0),)
    )
    assert junit_outcomes(junit_suite(render_junit(nothing, RUN))) == {"failing_tool": "skipped"}


def test_findings_with_a_place_are_results_of_code_scanning() -> None:
    report = Report(findings=(finding(defined_at=(PLACE,)), *full_report().findings), traces=50)
    run = sarif_run(render_sarif(report, RUN))
    (result,) = run["results"]
    assert result["level"] == "error"
    assert "baselineState" not in result
    assert result["hostedViewerUri"].startswith("http://phoenix.example:6006/redirects/spans/")
    assert run["automationDetails"]["id"] == "halo-report/"
    (note,) = run["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"].startswith("3 findings left out")


def test_a_report_without_findings_is_valid() -> None:
    assert sarif_run(render_sarif(Report(), RUN))["results"] == []
    assert junit_outcomes(junit_suite(render_junit(Report(), RUN))) == {}
