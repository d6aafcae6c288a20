"""What one pass of a watch found, as text for a terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from halo_engine.findings import UncheckedIssue
from halo_engine.issues import Issue, IssueChanges
from halo_engine.text.sanitize import safe_line
from halo_integrations.cli.issue_view import TITLE_CHARS, counts_text
from halo_integrations.verbs.watch import Watched

LISTED = 5


def changed_rows(changed: IssueChanges) -> Iterator[tuple[str, ...]]:
    """The cells of each issue that has changed: state, id, severity, what, traces that count."""
    for issue in (*changed.regressed, *changed.worse, *changed.new, *changed.resolved):
        status = issue.status
        yield (
            status.state.value,
            issue.id,
            issue.finding.severity.value,
            safe_line(issue.finding.title, TITLE_CHARS),
            counts_text(status.known),
        )


def watch_notes(watched: Watched) -> Iterator[str]:
    """What was seen as before, and what was not looked for or not judged, a sentence each."""
    report, changed = watched.report, watched.changed
    if changed.ongoing:
        yield f"Seen as before: {named(changed.ongoing)}."
    if watched.judged_share:
        yield f"Questions were put about a random {watched.judged_share:.0%} of the traces."
    by_reason: dict[str, list[UncheckedIssue]] = defaultdict(list)
    for issue in report.unchecked_issues:
        by_reason[issue.reason].append(issue)
    for reason, issues in by_reason.items():
        yield f"Not looked for: {named(issues)}: {reason}."
    if unjudged := {each.detector for each in report.not_judged}:
        yield (
            f"Not judged by {len(unjudged)} of {len(report.detectors)} detectors: some traces, for "
            f"the reasons in the report."
        )


def named(issues: Sequence[Issue] | Sequence[UncheckedIssue]) -> str:
    """The ids of the first of ``issues``, and how many more there are."""
    more = f" and {len(issues) - LISTED} more" if len(issues) > LISTED else ""
    return ", ".join(issue.id for issue in issues[:LISTED]) + more
