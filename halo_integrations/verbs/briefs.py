"""Briefs: work orders for the fix of known issues."""

from __future__ import annotations

from halo_integrations.context import Context
from halo_integrations.options.keywords import home_verb, issue_verb
from halo_integrations.options.run import CommonOptions, IssuesOptions
from halo_integrations.verbs.issues import is_pending, issues_of, requested_issues
from halo_integrations.work_orders import Brief
from halo_integrations.work_orders.compiling import work_order_of, work_orders_of


@issue_verb(CommonOptions)
def brief(issue_id: str, options: CommonOptions) -> Brief:
    """Everything for the fix of an issue; its ``markdown`` is for a person or a coding agent.

    Raises ``ConfigError`` where there is no such issue.
    """
    known = issues_of(options)
    wanted = known.get(issue_id)
    same_project = [each for each in known.all(wanted.project) if is_pending(each)]
    return work_order_of(wanted, same_project, Context(options).runs)


@home_verb(IssuesOptions)
def briefs(options: IssuesOptions) -> list[Brief]:
    """The work orders for the open issues of a home, in the order in which they are worth doing.

    Issues that probably have one cause are in one brief, which says why.
    """
    known = [each for each in issues_of(options).all() if is_pending(each)]
    return work_orders_of(requested_issues(options), known, Context(options).runs)
