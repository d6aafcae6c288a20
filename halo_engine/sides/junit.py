"""A comparison as JUnit XML: a test case for each issue, which fails where it got worse or is new."""

from __future__ import annotations

from halo_engine.report.junit import (
    CaseOutcome,
    ReportedCase,
    case_name,
    case_text,
    failed_case,
    junit_xml,
)
from halo_engine.sides.comparison import ComparedIssue, Comparison, NotCompared
from halo_engine.sides.examples import example_of
from halo_engine.sides.renderer import ComparisonInfo
from halo_engine.sides.sentences import shares_text, verdict_word
from halo_engine.statistics.difference import ChangeVerdict


def render_comparison_junit(compared: Comparison, info: ComparisonInfo) -> bytes:
    """``compared`` as JUnit XML: what could not be told is skipped, what failed is an error."""
    cases = [
        *(issue_case(each, info) for each in compared.issues),
        *map(skipped_case, compared.not_compared),
        *map(failed_case, compared.failures),
    ]
    return junit_xml(f"{compared.head.name} against {compared.base.name}", cases)


def issue_case(each: ComparedIssue, info: ComparisonInfo) -> ReportedCase:
    """One failure on both sides."""
    finding = each.finding
    outcome = verdict_outcome(each)
    is_quiet = outcome is CaseOutcome.PASSED
    decided = f"{finding.issue.decision}: " if finding.issue and not finding.is_open else ""
    return ReportedCase(
        group=finding.failure_mode,
        name=case_name(finding),
        outcome=outcome,
        message=""
        if is_quiet
        else f"{decided}{verdict_word(each.difference)}: {shares_text(each)}",
        text="" if is_quiet else case_text(finding, example_of(each, info).url),
        kind=each.verdict.value,
    )


def verdict_outcome(each: ComparedIssue) -> CaseOutcome:
    """Whether a failure is a regression; skipped where that is not to be told, or was decided."""
    if each.is_regression:
        return CaseOutcome.FAILURE
    is_told = each.verdict is not ChangeVerdict.UNDECIDED and not each.verdict.is_regression
    return CaseOutcome.PASSED if is_told else CaseOutcome.SKIPPED


def skipped_case(each: NotCompared) -> ReportedCase:
    """An issue that could not be looked for."""
    name = f"{each.issue_id}: {each.title}"
    return ReportedCase("not compared", name, CaseOutcome.SKIPPED, message=each.reason)
