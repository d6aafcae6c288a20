"""What the commands about known issues do."""

from __future__ import annotations

from pathlib import Path

import click

from halo_engine.findings import DecisionKind
from halo_engine.private_files import replace_bytes
from halo_integrations.cli.exits import OK
from halo_integrations.cli.flows import Flow
from halo_integrations.options.callbacks import Notice
from halo_integrations.options.declaration import subset
from halo_integrations.options.run import CommonOptions
from halo_integrations.verbs.briefs import brief, briefs
from halo_integrations.verbs.checks import export_check
from halo_integrations.verbs.issues import DECISIONS, issue, issues
from halo_integrations.verbs.links import issue_link
from halo_integrations.work_orders.files import write_briefs


class IssueFlow(Flow):
    """A command about known issues with the options that were given to it."""

    def issues(self) -> int:
        """List the issues."""
        self._terminal.issues(issues(**self._options))
        return OK

    def issue(self, issue_id: str) -> int:
        """Show an issue."""
        self._terminal.issue(issue(issue_id, **self._options))
        return OK

    def decide(self, issue_id: str, decision: str) -> int:
        """Mute, accept or reopen an issue."""
        verb = DECISIONS[DecisionKind(decision)]
        self._terminal.issue(verb(issue_id, **self._options))
        return OK

    def export_check(self, issue_id: str, out: Path | None) -> int:
        """Print the check of an issue for another tool, or write it into a file."""
        text = export_check(issue_id, **self._options)
        if out is None:
            self._terminal.plain(text)
        else:
            replace_bytes(out, text.encode())
            self._terminal.info(f"Written to {out}")
        return OK

    def open(self, issue_id: str) -> int:
        """Print where the marks of an issue are, and open it where that is asked for."""
        in_browser: bool = self._options.pop("browser", False)
        url = issue_link(issue_id, **self._options)
        self._terminal.link(url)
        if in_browser and click.launch(url):
            self._terminal.notice(Notice(text="No browser could be started.", is_warning=True))
        return OK

    def brief(self, issue_id: str | None) -> int:
        """Print a brief, or write briefs into a folder."""
        out: Path | None = self._options.pop("out", None)
        agent: str | None = self._options.pop("agent", None)
        if self._options.pop("all", False) == bool(issue_id):
            raise click.UsageError("Name an issue, or give --all for every open one.")
        if out is None and (agent or not issue_id):
            raise click.UsageError("--all and --for write files: say where with --out FOLDER.")
        if issue_id:
            found = [brief(issue_id, **subset(self._options, CommonOptions))]
        else:
            found = briefs(**self._options)
        if out is None:
            self._terminal.brief(found[0])
        else:
            self._terminal.written(found, write_briefs(found, out, agent))
        return OK
