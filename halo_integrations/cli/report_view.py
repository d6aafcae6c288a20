"""The findings of a report as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from rich.table import Table
from rich.text import Text

from halo_adapters.base import TraceQuery
from halo_engine.detectors.base import UNSETTLED
from halo_engine.findings import FindingGroup, IssueState, Report, Severity, UncheckedIssue
from halo_engine.report.unjudged import unchecked_views
from halo_engine.report.unread import (
    LINE_CHARS,
    nothing_judged_sentence,
)
from halo_engine.statistics.prevalence import Prevalence, percent
from halo_engine.store.reading import SETTLING, STILL_OPEN
from halo_engine.text.sanitize import safe_line
from halo_integrations.cli.texts import plain_table, plural
from halo_integrations.options.selection import filters_text

LISTED_LINES = 3
LISTED_ISSUES = 5
TITLE_CHARS = 200
# An issue with a decision takes two lines, so that titles have room.
ISSUE_COLUMNS = 20

STYLES = {
    Severity.CRITICAL: "bold red",
    Severity.HIGH: "red",
    Severity.MEDIUM: "yellow",
    Severity.LOW: "cyan",
}
# States in which an issue needs attention first.
URGENT = frozenset({IssueState.NEW, IssueState.WORSE, IssueState.REGRESSED})


def findings_table(groups: Sequence[FindingGroup]) -> Table:
    """One row per group: number, severity, title, issues, affected of judged traces, share.

    Where no finding is a known issue, as before the first run that keeps some, no column is for them.
    """
    has_issues = any(group.issues for group in groups)
    table = plain_table("#", "severity", "finding")
    if has_issues:
        table.add_column("issue", overflow="fold", max_width=ISSUE_COLUMNS)
    for name in ("traces", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    for number, group in enumerate(groups, start=1):
        table.add_row(
            str(number),
            Text(group.severity.value, style=STYLES[group.severity]),
            Text(safe_line(group.title, TITLE_CHARS)),
            *([issues_cell(group)] if has_issues else []),
            *prevalence_cells(group.prevalence),
        )
    return table


def issues_cell(group: FindingGroup) -> Text:
    """A line for each of the first issues of a group, with how it stands."""
    marks = group.issues
    lines = [f"{mark.id} {mark.standing}" for mark in marks[:LISTED_LINES]]
    if len(marks) > LISTED_LINES:
        lines.append(f"and {len(marks) - LISTED_LINES} more")
    is_urgent = any(mark.decision is None and mark.state in URGENT for mark in marks)
    return Text("\n".join(lines), style="bold" if is_urgent else "")


def places_in_code(groups: Sequence[FindingGroup]) -> Iterator[str]:
    """Where causes are in the agent's code, else definitions, by the numbers of the findings."""
    for number, group in enumerate(groups, start=1):
        causes = dict.fromkeys(str(line) for part in group.parts for line in part.code_causes)
        defined = dict.fromkeys(str(line) for part in group.parts for line in part.defined_at)
        role = "cause in the code" if causes else "defined in the code"
        fix = " (a change is proposed in the report)" if group.parts[0].proposed_fix else ""
        if lines := list(causes or defined):
            more = f" and {len(lines) - LISTED_LINES} more" if len(lines) > LISTED_LINES else ""
            named = safe_line(", ".join(lines[:LISTED_LINES]), TITLE_CHARS)
            yield f"{number}. {role}: {named}{more}{fix}"


def measured_rules(groups: Sequence[FindingGroup]) -> Iterator[str]:
    """How good the rules of a model's findings are, by the numbers of these, as far as measured."""
    for number, group in enumerate(groups, start=1):
        measured = group.parts[0].measured
        if measured and measured.brief:
            yield f"{number}. rule: {measured.brief}"


def verdicts_of_people(groups: Sequence[FindingGroup]) -> Iterator[str]:
    """What people say of findings, by the numbers of these."""
    for number, group in enumerate(groups, start=1):
        if group.people:
            yield f"{number}. people: {group.people}"


def unchecked_lines(unchecked: Sequence[UncheckedIssue]) -> Iterator[str]:
    """Which known issues were not looked for, why, and what to do: a line for each reason."""
    for view in unchecked_views(unchecked):
        ids = [id for id, _ in view.issues]
        yield f"Not looked for: {named(ids)}: {view.reason}. {view.remedy}".strip()


def named(ids: Sequence[str]) -> str:
    """The first of ``ids``, and how many more there are."""
    more = f" and {len(ids) - LISTED_ISSUES} more" if len(ids) > LISTED_ISSUES else ""
    return ", ".join(ids[:LISTED_ISSUES]) + more


def prevalence_cells(prevalence: Prevalence) -> tuple[str, str]:
    """Affected of judged traces, and their share: "14/40" or "2/3 of 20", of 20 that match a rule."""
    if not prevalence.analysed:
        return f"{prevalence.affected}/?", "not counted"
    of_matching = f" of {prevalence.screening.matching}" if prevalence.screening else ""
    counts = f"{prevalence.affected}/{prevalence.analysed}{of_matching}"
    return counts, percent(prevalence.share)


def line_without_findings(report: Report, query: TraceQuery) -> str | None:
    """What to say where nothing was found, or could be judged; None for findings."""
    if not report.traces:
        return no_traces(query)
    return nothing_judged_sentence(report) or (
        None if report.findings else "No detector found anything."
    )


def unsettled_sentence(report: Report) -> str | None:
    """Of how many traces more may come, and what that means; None if of none."""
    reasons = (each for each in report.not_judged if each.reason == UNSETTLED)
    traces = max((each.traces for each in reasons), default=0)
    if not traces:
        return None
    minutes, hours = SETTLING // timedelta(minutes=1), STILL_OPEN // timedelta(hours=1)
    return (
        f"More may come of {plural(traces, 'trace')}: what they lack is judged {minutes} minutes "
        f"after their last span, without a root after {hours} hours. Run again then."
    )


def no_traces(query: TraceQuery) -> str:
    """The line for a report without traces, by the filters of ``query``."""
    if filters := filters_text(query):
        why = f"none matches {filters}. Check that and, for a platform, --project."
    else:
        there = f" in the project {query.project}" if query.project else ""
        why = f"the source has none{there}. Check --project."
    return safe_line(f"There are no traces to analyse: {why}", LINE_CHARS)
