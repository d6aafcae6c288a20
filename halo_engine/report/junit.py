"""Findings as JUnit XML: for what shows the results of tests, such as GitLab, Jenkins and GitHub.

There is no one schema of the format. Written is what its readers have in common: test suites with
counts, and test cases that passed, failed, were skipped, or ended in an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple
from xml.etree import ElementTree as ET

from halo_engine.findings import Finding, Report
from halo_engine.report.renderer import RunInfo
from halo_engine.report.view import TEXT_CHARS, TITLE_CHARS, failure_view
from halo_engine.schema import Failure
from halo_engine.text.sanitize import safe_line, safe_url

SUITE = "halo-integrations"
PASSED = "detectors without a finding"


class CaseOutcome(StrEnum):
    """How a test case ended: the name of the element that says so, but for one that passed."""

    PASSED = "passed"
    FAILURE = "failure"
    ERROR = "error"
    SKIPPED = "skipped"


class ReportedCase(NamedTuple):
    """A test case: ``kind`` and ``message`` say in short why it did not pass, ``text`` at length."""

    group: str
    name: str
    outcome: CaseOutcome
    message: str = ""
    text: str = ""
    kind: str = ""


def render_junit(report: Report, run: RunInfo) -> bytes:
    """``report`` as JUnit XML: an open failure fails, a detector that found nothing passes."""
    cases = [
        *(case_of(finding, run) for finding in report.findings),
        *quiet_detectors(report),
        *map(failed_case, report.failures),
    ]
    return junit_xml(SUITE, cases)


def case_of(finding: Finding, run: RunInfo) -> ReportedCase:
    """A finding; one that is about the recording, or was muted or accepted, does not fail."""
    message, is_failure = str(finding.prevalence), finding.is_open and not finding.is_recording_gap
    if not finding.is_open and finding.issue:
        message = f"{finding.issue.decision}: {message}"
    first = finding.affected[0] if finding.affected else None
    page = run.url(first.trace_id, first.span_id) if first else None
    return ReportedCase(
        group=finding.failure_mode,
        name=case_name(finding),
        outcome=CaseOutcome.FAILURE if is_failure else CaseOutcome.SKIPPED,
        message=message,
        text=case_text(finding, page),
        kind=finding.severity.value,
    )


def quiet_detectors(report: Report) -> Iterator[ReportedCase]:
    """The detectors that found nothing: passed where they judged a trace, skipped otherwise."""
    not_judged = Counter[str]()
    for each in report.not_judged:
        not_judged[each.detector] += each.traces
    reasons = {each.detector: each.reason for each in reversed(report.not_judged)}
    loud = {finding.detector for finding in report.findings}
    for name in report.detectors:
        is_judged = not_judged[name] < report.traces
        if name not in loud:
            outcome = CaseOutcome.PASSED if is_judged else CaseOutcome.SKIPPED
            why = "" if is_judged else f"judged no trace: {reasons.get(name, 'there are none')}"
            yield ReportedCase(PASSED, name, outcome, message=why)


def failed_case(failure: Failure) -> ReportedCase:
    """What could not be done."""
    shown = failure_view(failure)
    name = f"{shown.stage}: {shown.where}"
    return ReportedCase("failures", name, CaseOutcome.ERROR, message=shown.what, kind="error")


def case_name(finding: Finding) -> str:
    """The name of a finding's test case, the same in every run that finds it."""
    return f"{finding.issue.id if finding.issue else finding.id}: {finding.title}"


def case_text(finding: Finding, page: str | None) -> str:
    """What a finding says at length, with the page of an example."""
    cause = [f"Probable cause: {finding.cause}"] if finding.cause else []
    places = [f"In the code: {place}" for place in (*finding.code_causes, *finding.defined_at)]
    parts = [finding.summary, *cause, *places, f"What to do: {finding.recommendation}"]
    lines = [safe_line(part, TEXT_CHARS) for part in parts]
    url = safe_url(page)
    return "\n".join([*lines, *([f"Example: {url}"] if url else [])])


def junit_xml(suite: str, cases: Iterable[ReportedCase]) -> bytes:
    """One suite of test cases as XML; readers follow it over time by its name ``suite``.

    What cases say is sanitized here, but for ``text``, which is already.
    """
    all_cases = list(cases)
    counts = Counter(case.outcome for case in all_cases)
    numbers = {
        "tests": f"{len(all_cases)}",
        "failures": f"{counts[CaseOutcome.FAILURE]}",
        "errors": f"{counts[CaseOutcome.ERROR]}",
        "skipped": f"{counts[CaseOutcome.SKIPPED]}",
    }
    root = ET.Element("testsuites", {"name": SUITE, **numbers})
    element = ET.SubElement(
        root, "testsuite", {"name": safe_line(suite, TITLE_CHARS) or SUITE, **numbers}
    )
    for case in all_cases:
        add_case(element, case)
    ET.indent(root)
    content: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def add_case(suite: ET.Element, case: ReportedCase) -> None:
    """Add ``case`` to ``suite``."""
    names = {"classname": case.group, "name": case.name}
    element = ET.SubElement(
        suite, "testcase", {key: safe_line(name, TITLE_CHARS) for key, name in names.items()}
    )
    if case.outcome is CaseOutcome.PASSED:
        return
    said = {"message": safe_line(case.message, TEXT_CHARS)}
    if case.outcome is not CaseOutcome.SKIPPED:
        said["type"] = case.kind
    ET.SubElement(element, case.outcome.value, said).text = case.text or None
