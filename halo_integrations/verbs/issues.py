"""Issues: what is known of failures over many runs, and what people decide about them."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from halo_engine.errors import ConfigError
from halo_engine.findings import DecisionKind, IssueState
from halo_engine.issues import Decision, Issue
from halo_integrations.context import Context
from halo_integrations.options.keywords import home_verb, issue_verb
from halo_integrations.options.run import (
    CommonOptions,
    DecisionOptions,
    IssuesOptions,
    MuteOptions,
)
from halo_integrations.options.selection import moment_ahead
from halo_integrations.state.issues import Issues


@home_verb(IssuesOptions)
def issues(options: IssuesOptions) -> list[Issue]:
    """The issues of a home that are open, the most severe first; ``all=True`` for every one."""
    return requested_issues(options)


def requested_issues(options: IssuesOptions) -> list[Issue]:
    """The issues that ``options`` ask for."""
    project = Context(options).run_settings.settings.issue_project
    known = issues_of(options).all(project)
    shown = known if options.all else [issue for issue in known if is_pending(issue)]
    return sorted(shown, key=lambda issue: (issue.finding.severity.rank, issue.number))


@issue_verb(CommonOptions)
def issue(issue_id: str, options: CommonOptions) -> Issue:
    """One known issue; ``ConfigError`` where there is none of this id."""
    return issues_of(options).get(issue_id)


@issue_verb(MuteOptions)
def mute_issue(issue_id: str, options: MuteOptions) -> Issue:
    """Mute an issue: it is no longer marked on traces, and no reason to fail.

    Raises ``ConfigError`` without a reason, and for an end that has passed.
    """
    now = datetime.now(UTC)
    until = moment_ahead("until", options.until, now)
    return decided(issue_id, options, DecisionKind.MUTED, now, until)


@issue_verb(DecisionOptions)
def accept_issue(issue_id: str, options: DecisionOptions) -> Issue:
    """Accept an issue: it is marked on traces as before, and no reason to fail.

    Raises ``ConfigError`` without a reason.
    """
    return decided(issue_id, options, DecisionKind.ACCEPTED, datetime.now(UTC))


@issue_verb(DecisionOptions)
def reopen_issue(issue_id: str, options: DecisionOptions) -> Issue:
    """Take back that an issue was muted or accepted."""
    return decided(issue_id, options, DecisionKind.REOPENED, datetime.now(UTC))


DECISIONS: Mapping[DecisionKind, Callable[..., Issue]] = {
    DecisionKind.MUTED: mute_issue,
    DecisionKind.ACCEPTED: accept_issue,
    DecisionKind.REOPENED: reopen_issue,
}


def decided(
    issue_id: str,
    options: DecisionOptions,
    kind: DecisionKind,
    at: datetime,
    until: datetime | None = None,
) -> Issue:
    """Record a decision; ``ConfigError`` where it lacks the reason that it needs."""
    if kind is not DecisionKind.REOPENED and not options.reason.strip():
        raise ConfigError(f"Why is {issue_id} {kind}? Whoever reads it later needs a --reason.")
    decision = Decision(
        kind=kind, at=at, reason=options.reason, until=until, by=options.by or user_name()
    )
    return issues_of(options).decide(issue_id, decision)


def issues_of(options: CommonOptions) -> Issues:
    """The issues of the home that the options name."""
    return Issues(Context(options).runs.home)


def is_pending(issue: Issue) -> bool:
    """Whether there is something to do about it."""
    decision = issue.decision(datetime.now(UTC))
    return decision is None and issue.status.state is not IssueState.RESOLVED


def user_name() -> str:
    """The name of the user of this process, "" where the system has none for it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # KeyError up to Python 3.12
        return ""
