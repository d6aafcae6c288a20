"""One command at work: workspace, terminal and exit code together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from halo_adapters.base import HealthCheck, HealthStatus
from halo_engine.errors import AdapterError, HaloError
from halo_engine.findings import Report
from halo_engine.rlm.investigation import InvestigationBrief
from halo_integrations.annotations import FollowUpOptions
from halo_integrations.cli.exits import FOUND, OK, PARTIAL, SPENT, USAGE
from halo_integrations.cli.terminal import ProgressView, Terminal
from halo_integrations.options.model import Analyst, warnings_of
from halo_integrations.options.model import checks as model_checks
from halo_integrations.options.selection import TraceSelection
from halo_integrations.pipeline import Annotated
from halo_integrations.runs import Run
from halo_integrations.workspace import FILES, Workspace, adapter_for


class Session:
    """The state of one command: its options, where it works, and what it shows."""

    def __init__(
        self,
        *,
        home: Path | None = None,
        config_file: Path | None = None,
        as_json: bool = False,
        yes: bool = False,
        dry_run: bool = False,
        fail_on: str | None = None,
        fresh: bool = False,
        profile: str | None = None,
        comment: bool = False,
        queue: str | None = None,
        dataset: str | None = None,
        no_llm: bool = False,
        question: str | None = None,
        context: Path | None = None,
        code: Path | None = None,
        root_causes: bool = False,
        estimate: bool = False,
        **settings: Any,
    ) -> None:
        self._no_llm = no_llm
        self._estimate = estimate
        background = context.read_text(encoding="utf-8") if context else None
        self._brief = InvestigationBrief(
            question=question,
            background=background,
            root_causes=root_causes,
            code=str(code.resolve()) if code else None,
        )
        self._yes = yes
        self._dry_run = dry_run
        self._fresh = fresh
        self._wish = FollowUpOptions(comment=comment, queue=queue, dataset=dataset)
        self._terminal = Terminal(as_json=as_json)
        self._progress = ProgressView(self._terminal.err)
        self._workspace = Workspace(
            home=home,
            fail_on=fail_on,
            flags=settings,
            profile=profile,
            config_file=config_file,
            on_progress=self._progress,
            on_wait=self._progress.waiting,
        )

    # -- commands --------------------------------------------------------------------------------

    def run(self, question: TraceSelection) -> int:
        """Pull, analyse, write."""
        adapter, _ = adapter_for(question)
        self._workspace.require_follow_ups(adapter, self._wish)
        if adapter != FILES and not self._estimate:
            self._require_answer()
        analyst = self._analyst()
        run = self._pulled(question)
        if self._estimate:
            return self._estimated(run, analyst)
        report = self._analyzed(run, analyst)
        annotated = self._write(run) if self._workspace.can_annotate(run) else None
        return self._end(run, report, annotated)

    def pull(self, question: TraceSelection) -> int:
        """Pull only."""
        run = self._pulled(question)
        record = run.record
        self._terminal.pulled(record)
        self._terminal.failures(run.failures())
        return PARTIAL if run.failures() else OK

    def analyze(self, run_id: str) -> int:
        """Analyse what was pulled."""
        run = self._workspace.runs.get(run_id)
        analyst = self._analyst()
        if self._estimate:
            return self._estimated(run, analyst)
        return self._end(run, self._analyzed(run, analyst), None)

    def annotate(self, run_id: str) -> int:
        """Write what was found."""
        run = self._workspace.runs.get(run_id)
        self._workspace.annotator_of(run)
        report = run.report
        self._require_answer()
        return self._end(run, report, self._write(run))

    def undo(self, run_id: str) -> int:
        """Take back what was written."""
        run = self._workspace.runs.get(run_id)
        adapter = self._workspace.annotator_of(run)
        written = len(run.receipts())
        if not written:
            self._terminal.say(f"Run {run.id} wrote nothing: there is nothing to undo.")
            return OK
        self._require_answer()
        if cost := adapter.quota_note("undo", written):
            self._terminal.say(cost)
        if not self._agreed(f"Take back {written} annotations at {adapter.destination()}?"):
            return OK
        with self._progress:
            undone = self._workspace.undo(run)
        self._terminal.undone(undone)
        self._terminal.failures(undone.failures)
        return PARTIAL if undone.failures else OK

    def report(self, run_id: str, form: str) -> int:
        """Print a report."""
        run = self._workspace.runs.get(run_id)
        if run.report:
            paths = {"md": run.markdown_path, "html": run.html_path, "json": run.report_path}
            click.echo(paths[form].read_text(encoding="utf-8"))
        return OK

    def runs(self) -> int:
        """List the runs."""
        self._terminal.runs([run.record for run in self._workspace.runs.all()])
        return OK

    def config(self, adapter: str) -> int:
        """Show the settings."""
        values = [
            *self._workspace.run_settings.values(),
            *self._workspace.settings(adapter).values(),
            *self._workspace.model_settings().values(),
        ]
        self._terminal.values(values)
        return OK

    def doctor(self, question: TraceSelection) -> int:
        """Check everything that a run needs."""
        checks: list[HealthCheck] = []
        for check in self._checks(question):
            self._terminal.check(check)
            checks.append(check)
        self._terminal.json(checks)
        return USAGE if any(c.status is HealthStatus.FAILED for c in checks) else OK

    def _checks(self, question: TraceSelection) -> Iterator[HealthCheck]:
        yield check_writable(self._workspace.runs.home)
        try:
            yield from self._workspace.source(question).health_checks()
        except HaloError as error:
            what = error.platform if isinstance(error, AdapterError) else "settings"
            yield HealthCheck(what=what, status=HealthStatus.FAILED, found=str(error))
        yield from model_checks(self._workspace.model_settings().settings)

    # -- steps -----------------------------------------------------------------------------------

    def _pulled(self, question: TraceSelection) -> Run:
        run = self._workspace.start(question, fresh=self._fresh)
        if run.traces_held():
            self._terminal.say(
                f"Going on with run {run.id}, which was cut off while reading (--fresh: do not)."
            )
        for warning in self._workspace.warnings(run):
            self._terminal.say(f"Warning: {warning}", style="yellow")
        with self._progress, staying(run):
            self._workspace.pull(run)
        return run

    def _analyst(self) -> Analyst | None:
        """The model that was asked for, and a word on where the traces go."""
        analyst = None if self._no_llm else self._workspace.analyst(self._brief)
        if analyst:
            for warning in warnings_of(analyst.settings):
                self._terminal.say(f"Warning: {warning}", style="yellow")
            self._terminal.analyst(analyst)
        return analyst

    def _estimated(self, run: Run, analyst: Analyst | None) -> int:
        """Say what a model would cost, and no more."""
        if analyst is None:
            raise click.UsageError("--estimate is about a model: name one with --model.")
        self._terminal.estimate(self._workspace.estimate(run, analyst))
        return OK

    def _analyzed(self, run: Run, analyst: Analyst | None) -> Report:
        with self._progress:
            report = self._workspace.analyze(run, analyst=analyst)
        self._terminal.report(report, self._workspace.link_of(run))
        return report

    def _write(self, run: Run) -> Annotated | None:
        """Show what would be written, ask, and write."""
        annotations, preview = self._workspace.plan(run)
        if not annotations:
            return None
        self._terminal.preview(preview)
        self._terminal.wish(self._wish)
        if self._dry_run:
            self._terminal.say("Dry run: nothing was written.")
            return None
        if not self._agreed("Write them?"):
            later = f"`halo-integrations annotate {run.id}`"
            self._terminal.say(f"Nothing was written. {later} does it later.")
            return None
        with self._progress:
            annotated = self._workspace.annotate(run, annotations)
        self._terminal.annotated(annotated)
        return self._followed_up(run, annotated)

    def _followed_up(self, run: Run, annotated: Annotated) -> Annotated:
        """Comment, queue and collect where it is wished; what failed joins the list."""
        if not self._wish:
            return annotated
        with self._progress:
            followed_up = self._workspace.follow_up(run, self._wish)
        self._terminal.followed_up(followed_up)
        failures = (*annotated.failures, *followed_up.failures)
        return annotated.model_copy(update={"failures": failures})

    def _end(self, run: Run, report: Report, annotated: Annotated | None) -> int:
        """List what failed, say where everything is, and choose the exit code."""
        failures = (*report.failures, *(annotated.failures if annotated else ()))
        self._terminal.failures(failures)
        self._terminal.end(run, report, annotated)
        analysis = report.analysis
        if analysis and not analysis.is_complete:
            return SPENT if analysis.is_out_of_budget else PARTIAL
        if failures or (annotated and annotated.confirmed < annotated.total):
            return PARTIAL
        limit = self._workspace.run_settings.settings.fail_on
        bad = limit and any(f.severity.at_least(limit) for f in report.findings)
        return FOUND if bad else OK

    # -- questions to the user -------------------------------------------------------------------

    def _agreed(self, question: str) -> bool:
        return self._yes or self._terminal.confirm(question)

    def _require_answer(self) -> None:
        """Before anything is done: is there a yes, or somebody to give it?"""
        if not (self._yes or self._dry_run or self._terminal.can_ask):
            raise click.UsageError(
                "This writes to the platform, and there is no terminal to ask on: add --yes to "
                "write, or --dry-run to look only."
            )


@contextmanager
def staying(run: Run) -> Iterator[None]:
    """Add to an error what stays on disk; a run that read nothing does not."""
    try:
        yield
    except HaloError as error:
        if traces := run.traces_held():
            held = f"{traces} traces were read: the same command goes on with run {run.id}."
            error.add_note(held)
        else:
            run.discard()
        raise


def check_writable(home: Path) -> HealthCheck:
    """Whether runs can be kept at ``home``."""
    folder = next(
        parent for parent in (home.absolute(), *home.absolute().parents) if parent.exists()
    )
    if folder.is_dir() and os.access(folder, os.W_OK):
        return HealthCheck(what="run folder", status=HealthStatus.OK, found=f"{home} is writable")
    return HealthCheck(
        what="run folder",
        status=HealthStatus.FAILED,
        found=f"{folder} is not writable",
        fix="Choose another place with --home or HALO_HOME.",
    )
