"""What one pass of a watch found, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from halo_engine.issues import IssueChanges
from halo_engine.text.sanitize import safe_line
from halo_integrations.cli.issue_view import TITLE_CHARS, counts_text
from halo_integrations.cli.report_view import named, unchecked_lines

if TYPE_CHECKING:
    from halo_integrations.verbs.watch import Watched


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
        yield f"Seen as before: {named([issue.id for issue in changed.ongoing])}."
    if watched.judged_share:
        yield f"Questions were put about a random {watched.judged_share:.0%} of the traces."
    yield from unchecked_lines(report.unchecked_issues)
    if unjudged := {each.detector for each in report.not_judged}:
        yield (
            f"Not judged by {len(unjudged)} of {len(report.detectors)} detectors: some traces, for "
            f"the reasons in the report."
        )
