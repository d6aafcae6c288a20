"""The commands about known issues; as in ``commands``, nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from halo_integrations.cli.declared import DeclaredCommand

if TYPE_CHECKING:
    from halo_integrations.cli.issue_flow import IssueFlow


@click.group()
def issues() -> None:
    """Known issues: failures that live over many runs.

    A run says of each finding which known issue it is, and how that stands: new, ongoing, worse,
    resolved, or back after that. ISSUE is an id such as HALO-7.
    """


def issues_command(name: str) -> Callable[[Callable[..., int]], click.Command]:
    """A command of the group ``issues``."""
    return issues.command(name, cls=DeclaredCommand, declared_name=f"issues {name}")


@issues_command("list")
def list_issues(**options: Any) -> int:
    """List the issues that are open, the most severe first."""
    return issue_flow(options).issues()


@issues_command("show")
@click.argument("issue_id", metavar="ISSUE")
def show_issue(issue_id: str, **options: Any) -> int:
    """Show ISSUE: what happens, how it stands, what runs saw of it, and what was decided."""
    return issue_flow(options).issue(issue_id)


@issues_command("mute")
@click.argument("issue_id", metavar="ISSUE")
def mute_issue(issue_id: str, **options: Any) -> int:
    """Mute ISSUE: it is no longer marked on traces, and no reason to fail."""
    return issue_flow(options).decide(issue_id, "muted")


@issues_command("accept")
@click.argument("issue_id", metavar="ISSUE")
def accept_issue(issue_id: str, **options: Any) -> int:
    """Accept ISSUE: it is marked on traces as before, and no reason to fail."""
    return issue_flow(options).decide(issue_id, "accepted")


@issues_command("reopen")
@click.argument("issue_id", metavar="ISSUE")
def reopen_issue(issue_id: str, **options: Any) -> int:
    """Take back that ISSUE was muted or accepted."""
    return issue_flow(options).decide(issue_id, "reopened")


@click.group()
def export() -> None:
    """What is known of issues, in the forms of other tools."""


@export.command("check", cls=DeclaredCommand, declared_name="export check")
@click.argument("issue_id", metavar="ISSUE")
def export_check(issue_id: str, out: Path | None, **options: Any) -> int:
    """Write the check of ISSUE for another tool.

    \b
    langfuse  a request that creates an LLM-as-a-judge evaluator, as JSON
    phoenix   a Python module with an evaluator of phoenix.evals: a classifier for a question,
              a code evaluator for a rule
    pytest    a test that fails where traces show the issue; for rules
    """
    return issue_flow(options).export_check(issue_id, out)


@click.command("open", cls=DeclaredCommand)
@click.argument("issue_id", metavar="ISSUE")
def open_marks(issue_id: str, **options: Any) -> int:
    """Print the address of the platform's page that lists the marks of ISSUE.

    Phoenix filters by the issue; Langfuse by its failure mode and severity.
    """
    return issue_flow(options).open(issue_id)


@click.command(cls=DeclaredCommand)
@click.argument("issue_id", metavar="ISSUE", required=False)
def brief(issue_id: str | None, **options: Any) -> int:
    """A work order for the fix of ISSUE: for a person or a coding agent.

    What happens and how often, the evidence in its place, where it is in the code (after an analysis
    with --code), what must change and what must not, how to reproduce it, and the commands that
    prove the fix. Printed as Markdown, or written into a folder.
    """
    return issue_flow(options).brief(issue_id)


def issue_flow(options: dict[str, Any]) -> IssueFlow:
    """The flow of a command with the options that were given."""
    from halo_integrations.cli.issue_flow import IssueFlow

    return IssueFlow(options)
