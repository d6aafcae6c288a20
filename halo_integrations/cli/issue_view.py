"""Known issues as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from halo_engine.findings import IssueState
from halo_engine.issues import Decision, Issue, IssueStatus, Observation
from halo_engine.statistics.difference import EffectiveCounts
from halo_engine.statistics.prevalence import percent
from halo_engine.text.sanitize import safe_line, visible_line

TITLE_CHARS, TEXT_CHARS = 200, 600
DAY = "%Y-%m-%d"


def issue_row(issue: Issue) -> tuple[str, ...]:
    """The cells of an issue in a list: id, state, severity, title, traces, share, last seen."""
    known, seen = issue.status.known, last_seen(issue)
    return (
        issue.id,
        state_word(issue),
        issue.finding.severity.value,
        safe_line(issue.finding.title, TITLE_CHARS),
        counts_text(known),
        percent(known.share) if known.analysed else "",
        seen.at.strftime(DAY) if seen else "",
    )


def state_word(issue: Issue) -> str:
    """What was decided, or else its state."""
    mark = issue.mark(datetime.now(UTC))
    return str(mark.decision or mark.state)


def issue_lines(issue: Issue) -> Iterator[str]:
    """Everything that is known of an issue, a line each."""
    finding = issue.finding
    yield f"{issue.id}  {safe_line(finding.title, TITLE_CHARS)}"
    yield f"{finding.severity}, {finding.failure_mode}, {safe_line(finding.found_by, TITLE_CHARS)}"
    yield f"Project: {visible_line(issue.project, TITLE_CHARS)}"
    yield f"State: {status_text(issue.status)}"
    if decision := issue.decision(datetime.now(UTC)):
        yield decision_text(decision)
    yield f"What: {safe_line(finding.summary, TEXT_CHARS)}"
    yield f"What to do: {safe_line(finding.recommendation, TEXT_CHARS)}"
    if finding.check:
        yield f"Check: {safe_line(finding.check, TEXT_CHARS)}"
    if issue.people:
        yield f"People: {issue.people}"
    yield "Seen:"
    yield from map(observation_text, issue.observations)
    yield f"Evidence: halo-integrations report {issue.run_id}"


def status_text(status: IssueStatus) -> str:
    """The state of an issue, with what it would take to call it resolved."""
    if status.state is IssueState.RESOLVED:
        return (
            f"resolved: none of {status.clean:,.0f} later traces shows it, where {status.needed:,} "
            f"are enough to say so (95 %)"
        )
    seen = f"{status.state}: in {counts_text(status.known)} traces" if status.known.analysed else ""
    if status.needed is None:
        return seen or f"{status.state}; in how many traces it is was never counted"
    since = f"none of {status.clean:,.0f} later ones shows it; " if status.clean else ""
    return f"{seen}; {since}without it in {status.needed:,} later ones it is resolved (95 %)"


def decision_text(decision: Decision) -> str:
    """What a person decided, and why."""
    until = f" until {decision.until:{DAY}}" if decision.until else ""
    by = f" by {safe_line(decision.by, TITLE_CHARS)}" if decision.by else ""
    reason = safe_line(decision.reason, TEXT_CHARS)
    return f"{decision.kind.capitalize()}{until}{by} on {decision.at:{DAY}}: {reason}"


def observation_text(seen: Observation) -> str:
    """What one run saw."""
    counts = seen.counts
    share = f", {percent(counts.share)}" if counts.analysed else ""
    found = counts_text(counts) if counts.analysed else f"{seen.affected:,}, not counted"
    worse = ", more than before" if seen.is_worse else ""
    return f"  {seen.at:{DAY} %H:%M}  {found} new traces{share}{worse} (run {seen.run_id})"


def counts_text(counts: EffectiveCounts) -> str:
    """Affected of analysed traces; of an estimate, those that would tell as much."""
    return f"{counts.affected:,.0f} of {counts.analysed:,.0f}" if counts.analysed else ""


def last_seen(issue: Issue) -> Observation | None:
    """The last observation that saw it."""
    return next((seen for seen in reversed(issue.observations) if seen.affected), None)
