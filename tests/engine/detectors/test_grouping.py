"""Signals as findings: recurring messages are one finding, findings that differ by tool one group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from halo_engine.detectors.runner import run_detectors
from halo_engine.detectors.swallowed_errors import swallowed_error
from halo_engine.detectors.tool_errors import unchanged_retry
from halo_engine.findings import Finding, Report, Severity
from halo_engine.schema import Trace
from halo_engine.store import TraceStore
from halo_integrations.testing import agent, failed, llm, tool, trace
from sample_reports import affected, finding

Reports = Callable[..., Report]


@pytest.fixture
def report_on(tmp_path: Path) -> Reports:
    """A function that runs detectors over traces, each time in a store of its own."""
    stores = iter(range(100))

    def run(runs: Sequence[Trace], *detectors) -> Report:
        with TraceStore(tmp_path / f"{next(stores)}.duckdb") as store:
            for each in runs:
                store.ingest([each])
            return run_detectors(store, detectors or (swallowed_error,))

    return run


def swallowed(
    error: str, number: int, *, name: str = "get_user", arguments: object = "{}"
) -> Trace:
    """A run whose tool fails with ``error``, which the answer does not mention."""
    return trace(
        agent(output="All done."),
        tool(name, arguments, status=failed(error)),
        llm("All done."),
        number=number,
    )


def runs_of(errors: Sequence[str], **fields) -> list[Trace]:
    return [swallowed(error, number, **fields) for number, error in enumerate(errors, start=1)]


def counts(findings: Sequence[Finding]) -> dict[str | None, int]:
    return {finding.message: finding.prevalence.affected for finding in findings}


PEOPLE = [
    f"User {name} not found in region {region}"
    for name, region in (("ann", "eu-west"), ("bob", "us-east"), ("carol", "ap-south"))
]


# -- recurring messages --------------------------------------------------------------------------


def test_an_error_that_recurs_with_other_values_is_one_finding(report_on):
    (finding,) = report_on(runs_of(PEOPLE)).findings
    assert counts([finding]) == {"User <*> not found in region <*>": 3}
    assert finding.title.endswith("not acknowledged: User <*> not found in region <*>")


def test_two_failures_of_one_tool_stay_two_findings(report_on):
    runs = runs_of([*PEOPLE, "User dave not allowed in region eu-west", "KeyError: 'zip'"])
    assert counts(report_on(runs).findings) == {
        "User <*> not found in region <*>": 3,
        "User dave not allowed in region eu-west": 1,
        "KeyError: 'zip'": 1,
    }


def test_key_errors_of_different_keys_are_one_finding(report_on):
    (finding,) = report_on(runs_of(["KeyError: 'city'", "KeyError: 'zip'"])).findings
    assert finding.prevalence.affected == 2


def test_one_message_of_two_tools_is_two_findings(report_on):
    runs = [swallowed(PEOPLE[0], 1), swallowed(PEOPLE[1], 2, name="delete_user")]
    assert {finding.tool for finding in report_on(runs).findings} == {"get_user", "delete_user"}


def test_a_value_that_the_call_was_made_with_is_masked_in_a_single_trace(report_on):
    run = swallowed("denied: ann", 1, arguments={"user": {"name": "ann"}, "limit": 1234})
    assert counts(report_on([run]).findings) == {"denied: <*>": 1}


@pytest.mark.parametrize("names", [("ann", "bob", "carol"), ("张三", "李四", "欧阳娜娜")])
def test_values_of_calls_are_found_in_text_without_spaces(names: tuple[str, ...], report_on):
    runs = [
        swallowed(f"用户{name}不存在", number, arguments={"user": name})
        for number, name in enumerate(names, start=1)
    ]
    assert counts(report_on(runs).findings) == {"用户<*>不存在": 3}


def test_the_identity_of_a_finding_does_not_change_with_the_values_of_its_arguments(report_on):
    first, second = (
        report_on([swallowed(f"no account of {name}", 1, arguments={"user": name})]).findings[0]
        for name in ("ann", "bob")
    )
    assert first.fingerprint == second.fingerprint


def test_the_report_does_not_depend_on_the_order_in_which_traces_were_stored(report_on):
    runs = runs_of([*PEOPLE, "KeyError: 'zip'", "User dave not allowed in region eu-west"])
    one, other = report_on(runs), report_on(runs[::-1])
    assert one.findings == other.findings


# -- groups --------------------------------------------------------------------------------------


def retried(name: str, number: int, *more: str) -> Trace:
    """A run in which each of the tools fails, is called again unchanged, and the answer says so."""
    calls = [tool(each, {"id": 1}, status=failed("locked")) for each in (name, *more) for _ in "ab"]
    return trace(agent(output="Sorry, that failed."), *calls, number=number)


def test_findings_that_differ_only_by_tool_are_one_group_with_its_parts(report_on):
    runs = [
        retried("cancel_order", 1),
        retried("refund", 2),
        retried("refund", 3),
        retried("pay", 4),
    ]
    report = report_on([*runs, trace(agent(), tool("pay", {}, "ok"), number=5)], unchanged_retry)
    (group,) = report.groups
    assert len(report.findings) == len(group.parts) == 3
    assert group.title.startswith(
        "One of several tools fails and is called again unchanged (refund,"
    )
    assert {part.tool: part.prevalence.affected for part in group.parts} == {
        "refund": 2,
        "cancel_order": 1,
        "pay": 1,
    }
    assert (group.prevalence.affected, group.prevalence.analysed) == (4, 5)


def test_a_trace_that_two_parts_affect_counts_once_in_the_group(report_on):
    (group,) = report_on([retried("refund", 1, "pay"), retried("pay", 2)], unchanged_retry).groups
    assert group.prevalence.affected == 2
    assert sum(part.prevalence.affected for part in group.parts) == 3


def test_a_group_names_three_tools_and_the_number_of_the_others(report_on):
    runs = [retried(f"tool_{letter}", number) for number, letter in enumerate("abcde", start=1)]
    (group,) = report_on(runs, unchanged_retry).groups
    assert group.title.endswith("and 2 more)")


def test_findings_with_other_errors_are_groups_of_their_own(report_on):
    runs = [swallowed("no seats left", 1, name="book"), swallowed("card declined", 2, name="pay")]
    groups = report_on(runs).groups
    assert [len(group.parts) for group in groups] == [1, 1]
    assert {group.title for group in groups} == {group.parts[0].title for group in groups}


def test_a_group_is_as_severe_as_its_worst_part_and_stands_at_its_place():
    def part(number: int, severity: Severity, **fields) -> Finding:
        return finding(
            affected(f"{number:032x}"),
            **{"id": f"x-{number}", "severity": severity, "group_title": "one", **fields},
        )

    parts = [part(1, Severity.LOW, tool="a"), part(2, Severity.HIGH, tool="b")]
    other = part(3, Severity.MEDIUM, group_title=None)
    groups = Report(findings=(other, *parts)).groups
    assert [group.severity for group in groups] == [Severity.HIGH, Severity.MEDIUM]
