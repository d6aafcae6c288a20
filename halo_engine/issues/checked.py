"""What checks say of known issues, which kind of check each has, and why one was not looked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from halo_engine.findings import Finding, IssueState
from halo_engine.issues.issue import Issue
from halo_engine.schema import Failure


class WhyUnchecked(NamedTuple):
    """Why an issue was not looked for, and what to do, as a sentence."""

    reason: str
    remedy: str


WITHHELD = WhyUnchecked(
    "the texts of the traces are withheld", "Run, or pull into the lake, without --metadata-only."
)
NOT_IN_USE = WhyUnchecked(
    "its detector is not in use", "Switch the detector on, or install it; or mute the issue."
)
NO_CHECK = WhyUnchecked(
    "the model that found it gave no check that can be repeated",
    "Run with a model, which may find it again; or mute the issue.",
)
ASKS_MODEL = WhyUnchecked("its check asks a model, and none is set", "Name one with --model.")
NO_ROOM = WhyUnchecked(
    "its check asks a model, and the questions of others take the room that a prompt has for them",
    "Run again: those are asked first that were not for longest. Or mute issues that need no check.",
)
FAILED = WhyUnchecked(
    "its check failed",
    "See what failed. Run with a model, which may find it again; or mute the issue.",
)


@dataclass
class CheckedIssues:
    """The outcome of checks: a finding for each issue that could be checked, by its id.

    One that holds nowhere affects nothing. ``failures`` are those of checks that could not be run.
    ``no_room`` are the ids of those whose questions were not put, since a prompt had no room for
    them; ``why_not_asked`` is why no model answered the questions of the others.
    """

    findings: dict[str, Finding] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    why_not_asked: WhyUnchecked = ASKS_MODEL
    no_room: frozenset[str] = frozenset()

    def why_not_answered(self, issue: Issue) -> WhyUnchecked:
        """Why no model answered the question that is the check of ``issue``."""
        return NO_ROOM if issue.id in self.no_room else self.why_not_asked

    def with_others(self, others: CheckedIssues) -> CheckedIssues:
        """These and ``others``, the outcome of the checks that ask a model."""
        findings, failures = {**self.findings, **others.findings}, self.failures + others.failures
        return CheckedIssues(findings, failures, others.why_not_asked, others.no_room)


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
    """Those of ``issues`` that traces are read for: their check is a question, and none is muted.

    In the order in which they are put where a prompt has no room for all: open ones before resolved
    ones, and among these first those that were last looked for longest ago.
    """
    now = datetime.now(UTC)
    asked = [issue for issue in issues if is_question(issue) and not issue.is_muted(now)]
    return sorted(asked, key=turn_of)


def muted_questions_of(issues: Iterable[Issue]) -> list[Issue]:
    """Those of ``issues`` that are muted and whose check is a question: no trace is read for them."""
    now = datetime.now(UTC)
    asked = [issue for issue in issues if is_question(issue) and issue.is_muted(now)]
    return sorted(asked, key=turn_of)


def turn_of(issue: Issue) -> tuple[bool, datetime, int]:
    """Sort key of issues by when it is their turn to be looked for."""
    looked = max((seen.at for seen in issue.observations), default=issue.created_at)
    return issue.status.state is IssueState.RESOLVED, looked, issue.number


def is_question(issue: Issue) -> bool:
    """Whether its check puts a question to a model."""
    check = issue.finding.portable_check
    return check is not None and bool(check.question)
