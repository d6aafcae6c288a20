"""What checks say of known issues, which kind of check each has, and why one was not looked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from halo_engine.findings import Finding
from halo_engine.issues.issue import Issue
from halo_engine.schema import Failure


class WhyUnchecked(NamedTuple):
    """Why an issue was not looked for, and what to do, as a sentence."""

    reason: str
    remedy: str


WITHHELD = WhyUnchecked("the texts of the traces are withheld", "Run without --metadata-only.")
NOT_IN_USE = WhyUnchecked(
    "its detector is not in use", "Switch the detector on, or install it; or mute the issue."
)
NO_CHECK = WhyUnchecked(
    "the model that found it gave no check that can be repeated",
    "Run with a model, which may find it again; or mute the issue.",
)
ASKS_MODEL = WhyUnchecked("its check asks a model, and none is set", "Name one with --model.")
FAILED = WhyUnchecked(
    "its check failed",
    "See what failed. Run with a model, which may find it again; or mute the issue.",
)


@dataclass
class CheckedIssues:
    """The outcome of checks: a finding for each issue that could be checked, by its id.

    One that holds nowhere affects nothing. ``failures`` are those of checks that could not be run.
    ``why_not_asked`` is why no model answered the questions of the others.
    """

    findings: dict[str, Finding] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    why_not_asked: WhyUnchecked = ASKS_MODEL

    def with_others(self, others: CheckedIssues) -> CheckedIssues:
        """These and ``others``, the outcome of the checks that ask a model."""
        findings, failures = {**self.findings, **others.findings}, self.failures + others.failures
        return CheckedIssues(findings, failures, others.why_not_asked)


def why_unchecked(
    issue: Issue, *, metadata_only: bool, why_not_asked: WhyUnchecked = ASKS_MODEL
) -> WhyUnchecked:
    """Why ``issue`` was not looked for, where it was not.

    ``why_not_asked`` is why no model answered its question.
    """
    if issue.finding.detector:
        return NOT_IN_USE
    if metadata_only:
        return WITHHELD
    if issue.finding.portable_check is None:
        return NO_CHECK
    return FAILED if is_rule(issue) else why_not_asked


def is_rule(issue: Issue) -> bool:
    """Whether its check is a rule that needs no model."""
    check = issue.finding.portable_check
    return check is not None and check.has_rule and not check.question


def questions_of(issues: Iterable[Issue]) -> list[Issue]:
    """Those of ``issues`` that a model is asked about: their check is a question, not muted."""
    now = datetime.now(UTC)
    return [issue for issue in issues if is_question(issue) and not issue.is_muted(now)]


def is_question(issue: Issue) -> bool:
    """Whether its check puts a question to a model."""
    check = issue.finding.portable_check
    return check is not None and bool(check.question)
