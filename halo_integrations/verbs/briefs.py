"""Briefs: work orders for the fix of known issues."""

from __future__ import annotations

from halo_engine.issues import Issue
from halo_integrations.context import Context
from halo_integrations.options.keywords import home_verb, issue_verb
from halo_integrations.options.run import CommonOptions, IssuesOptions
from halo_integrations.verbs.issues import is_pending, issues_of, requested_issues
from halo_integrations.work_orders import Brief
from halo_integrations.work_orders.compiling import work_order_of


@issue_verb(CommonOptions)
def brief(issue_id: str, options: CommonOptions) -> Brief:
    """Everything for the fix of an issue; its ``markdown`` is for a person or a coding agent.

    Raises ``ConfigError`` where there is no such issue.
    """
    known = issues_of(options)
    return compiled(known.get(issue_id), options)


@home_verb(IssuesOptions)
def briefs(options: IssuesOptions) -> list[Brief]:
    """A brief for each open issue of a home, in the order in which they are worth doing."""
    found = (compiled(issue, options) for issue in requested_issues(options))
    return sorted(found, key=lambda each: each.priority)


def compiled(issue: Issue, options: CommonOptions) -> Brief:
    """The brief of ``issue``."""
    same_project = issues_of(options).all(issue.project)
    return work_order_of(
        issue, [each for each in same_project if is_pending(each)], Context(options).runs
    )
