"""What each command does: the verbs in order, with what is shown and asked between them."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from halo_adapters.base import FollowUpKind, HealthCheck, HealthStatus
from halo_adapters.registry import default_platform, unusable_platforms
from halo_engine.detectors.registry import configure, load_detectors
from halo_engine.errors import (
    AdapterError,
    EngineError,
    HaloError,
    StorageError,
    noting_partial_work,
)
from halo_engine.findings import DecisionKind, Report
from halo_engine.private_files import replace_bytes
from halo_engine.report.registry import load_comparison_renderer, load_renderers
from halo_engine.schema import Failure
from halo_integrations.cli.doctor_checks import loss_check, writable_check
from halo_integrations.cli.exits import FOUND, OK, PARTIAL, SPENT, USAGE, most_important
from halo_integrations.cli.output import RenderedOutput
from halo_integrations.cli.progress import ProgressView
from halo_integrations.cli.repeating import StopRequest, repeat
from halo_integrations.cli.terminal import Terminal
from halo_integrations.cli.texts import plural
from halo_integrations.context import OWN_TABLES, Context
from halo_integrations.incremental import advance_watermark
from halo_integrations.model_health import model_health
from halo_integrations.options.callbacks import Notice, Progress
from halo_integrations.options.declaration import options_of, subset
from halo_integrations.options.keywords import source_text, validated
from halo_integrations.options.run import (
    AnalyzeOptions,
    AnnotateOptions,
    CommonOptions,
    FollowUpOptions,
    PlatformOptions,
    PullOptions,
    RunOptions,
    RunSettings,
    WatchOptions,
)
from halo_integrations.options.selection import TraceSelection
from halo_integrations.protection import info_of, report_of
from halo_integrations.sources import adapter_for, can_annotate, losses_of
from halo_integrations.state.run import Run
from halo_integrations.state.values import RunRecord, Stage
from halo_integrations.verbs.analyze import analyze, estimate
from halo_integrations.verbs.annotate import Annotated, annotate, preview
from halo_integrations.verbs.briefs import brief, briefs
from halo_integrations.verbs.checks import export_check
from halo_integrations.verbs.compare import compare, comparison_info
from halo_integrations.verbs.follow_up import follow_up
from halo_integrations.verbs.index import write_index
from halo_integrations.verbs.issues import DECISIONS, issue, issues
from halo_integrations.verbs.links import issue_link
from halo_integrations.verbs.pull import pull
from halo_integrations.verbs.run import require_options, takes_annotations
from halo_integrations.verbs.undo import UndoPreview, undo, undo_preview, undo_status
from halo_integrations.verbs.watch import one_pass, watching
from halo_integrations.work_orders.files import write_briefs

# How alike (0 to 1) the name of a variable is to one of ours that was probably meant.
ALIKE = 0.85


class Flow:
    """One command with the options that were given to it, by their declared names."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._terminal = Terminal(as_json=arguments.pop("as_json", False))
        self._progress = ProgressView(self._terminal.err)
        self._yes: bool = arguments.pop("yes", False)
        self._dry_run: bool = arguments.pop("dry_run", False)
        self._estimate: bool = arguments.pop("estimate", False)
        self._status: bool = arguments.pop("status", False)
        self._every: timedelta | None = arguments.pop("every", None)
        flags = [spec.name for spec in options_of(RunSettings) if spec.flags]
        given = {name: arguments.pop(name, None) for name in flags}
        self._options: dict[str, Any] = {
            **arguments,
            "settings": {name: value for name, value in given.items() if value is not None},
            "on_progress": self._progress,
            "on_wait": self._progress.waiting,
            "on_notice": self._terminal.notice,
        }
        self._follow_ups = FollowUpOptions(**subset(arguments, FollowUpOptions))
        for name, meant in misspelt_variables(os.environ):
            text = f"Nothing reads the environment variable {name}: did you mean {meant}?"
            self._terminal.notice(Notice(text=text, is_warning=True))

    # -- commands --------------------------------------------------------------------------------

    def run(self, source: str) -> int:
        """Pull, analyse, write."""
        options = validated(RunOptions, self._options)
        require_options(source_text(source), options, is_estimate=self._estimate)
        adapter, _ = adapter_for(TraceSelection(source=source))
        if not can_annotate(adapter):
            self._note_unused_consent(source)
        elif not self._estimate:
            self._require_consent()
        with self._progress:
            run_id = pull(source, **subset(self._options, PullOptions)).run_id
        if self._estimate or self._dry_run:
            self._run(run_id).update(is_rehearsal=True)
        with noting_partial_work(lambda: True):
            return self._dealt_with(run_id)

    def _dealt_with(self, run_id: str) -> int:
        """Analyse and write what was pulled."""
        if self._estimate:
            return self._estimated(run_id)
        report = self._analyzed(run_id)
        common = subset(self._options, CommonOptions)
        annotated = self._write(run_id) if takes_annotations(run_id, common) else None
        return self._end(run_id, report, annotated)

    def pull(self, source: str) -> int:
        """Pull only."""
        with self._progress:
            pulled = pull(source, **self._options)
        self._terminal.pulled(self._run(pulled.run_id).record)
        self._terminal.failures(pulled.failures)
        return PARTIAL if pulled.failures else OK

    def analyze(self, run_id: str) -> int:
        """Analyse what was pulled."""
        if self._estimate:
            return self._estimated(run_id)
        return self._end(run_id, self._analyzed(run_id), None)

    def annotate(self, run_id: str) -> int:
        """Write what was found."""
        run = self._run(run_id)
        self._context.annotator_of(run)
        report = report_of(run)
        self._require_consent()
        return self._end(run.id, report, self._write(run.id))

    def undo(self, run_id: str) -> int:
        """Undo what was written."""
        run = self._run(run_id)
        planned = undo_preview(run.id, **self._options)
        if self._status or (planned.is_empty and planned.deleting):
            self._terminal.deletions(run.id, undo_status(run.id, **self._options))
            return OK
        if planned.is_empty:
            self._terminal.info(
                f"There is nothing to undo: nothing that run {run.id} wrote is left."
            )
            return OK
        self._require_consent("add --yes to remove what the run wrote.")
        if planned.cost:
            self._terminal.info(planned.cost)
        if not self._confirmed(undo_question(planned)):
            return OK
        with self._progress:
            undone = undo(run.id, **self._options)
        self._terminal.undone(run.id, undone)
        self._terminal.failures(undone.failures)
        return PARTIAL if undone.failures else OK

    def report(self, run_id: str, output: RenderedOutput) -> int:
        """Print a report, or write it into files."""
        output.require_possible()
        run = self._run(run_id)
        report, info, renderers = report_of(run), info_of(run), load_renderers()
        output.write(lambda name: renderers[name](report, info))
        if output.files:
            self._terminal.info(f"Written to {', '.join(map(str, output.files))}")
        else:
            name = output.printed or "md"
            self._terminal.content(renderers[name](report, info), name)
        return OK

    def index(self) -> int:
        """Write the list of runs as a page."""
        self._terminal.info(f"Index: {write_index(self._context.runs)}")
        return OK

    def runs(self) -> int:
        """List the runs."""
        records: list[RunRecord] = []
        for run in self._context.runs.all():
            try:
                records.append(record_so_far(run))
            except StorageError as error:
                self._terminal.notice(Notice(text=f"Run {run.id}: {error}", is_warning=True))
        self._terminal.runs(records)
        return OK

    def watch(self, source: str) -> int:
        """One pass over what is new, or one after another."""
        if self._every is None:
            options = self._watch_options(self._options)
            with watching(source_text(source), options) as selection:
                return self._watched(selection, options)
        return self._watch_on(source_text(source), self._every)

    def _watch_on(self, source: str, every: timedelta) -> int:
        """One pass after another, until Ctrl-C or SIGTERM."""
        if "fail_on" in self._options["settings"]:
            raise click.UsageError("--fail-on is about one pass, and --every makes many.")
        watched: list[TraceSelection] = []
        with StopRequest() as stop, ExitStack() as stack:

            def on_progress(progress: Progress) -> None:
                self._progress(progress)
                stop.check()

            options = self._watch_options({**self._options, "on_progress": on_progress})

            def attempt() -> None:
                try:
                    watched[:] = watched or [stack.enter_context(watching(source, options))]
                    self._watched(watched[0], options)
                except HaloError as error:
                    if not (watched or isinstance(error, AdapterError)):
                        raise  # a mistake, or another watch
                    self._terminal.failed_pass(error)

            repeat(attempt, every.total_seconds(), stop)
        self._terminal.info("Stopped. The next `watch` goes on from here.")
        return OK

    def _watch_options(self, given: Mapping[str, Any]) -> WatchOptions:
        return validated(WatchOptions, {**given, "annotate": self._yes})

    def _watched(self, selection: TraceSelection, options: WatchOptions) -> int:
        """One pass, and what it gives."""
        with self._progress:
            watched = one_pass(selection, options)
        self._terminal.watched(watched)
        annotated = watched.annotated
        failures = (*watched.report.failures, *(annotated.failures if annotated else ()))
        self._terminal.failures(failures)
        self._terminal.info(f"Report: {self._run(watched.run_id).report_path_of('html')}")
        return most_important(self._exit_codes(watched.report, failures, annotated))

    def compare(self, base: str, head: str, output: RenderedOutput) -> int:
        """Compare two sides."""
        output.require_possible()
        with self._progress:
            compared = compare(base, head, **self._options)
        info = comparison_info(base, head, **subset(self._options, CommonOptions))

        def render(name: str) -> bytes:
            return load_comparison_renderer(name)(compared, info)

        output.write(render)
        if output.printed:
            self._terminal.content(render(output.printed), output.printed)
        else:
            self._terminal.comparison(compared)
        self._terminal.failures(compared.failures)
        limit = self._options.get("fail_on_change")
        reasons = [FOUND] if limit and compared.reasons_to_fail(limit) else []
        return most_important([*reasons, *([PARTIAL] if compared.failures else [])])

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

    def detectors(self) -> int:
        """List the detectors."""
        settings = self._context.detector_settings()
        configure(installed := load_detectors(), settings)
        self._terminal.detectors(installed, settings)
        return OK

    def config(self, source: str | None) -> int:
        """Show the settings."""
        project = {"project": self._options.get("project")}
        adapter = source or default_platform()
        self._context.require_used(adapter)
        values = [
            *self._context.run_settings.values(),
            *self._context.privacy_settings.values(),
            *self._context.adapter_settings(adapter, project).values(),
            *self._context.model_settings.values(),
            *self._context.watch_settings.values(),
        ]
        self._terminal.values(values)
        return OK

    def doctor(self, source: str | None) -> int:
        """Check everything that a run needs."""
        project = self._options.get("project")
        selection = TraceSelection(source=source or default_platform(), project=project)
        checks: list[HealthCheck] = []
        for check in self._checks(selection):
            self._terminal.check(check)
            checks.append(check)
        self._terminal.json(checks)
        return USAGE if any(c.status is HealthStatus.FAILED for c in checks) else OK

    def _checks(self, selection: TraceSelection) -> Iterator[HealthCheck]:
        yield writable_check(self._context.runs.home)
        for reason in unusable_platforms():
            yield HealthCheck(what="adapters", status=HealthStatus.WARNING, found=reason)
        try:
            adapter, _ = adapter_for(selection)
            self._context.require_used(adapter)
            yield from self._context.source_for(selection).health_checks()
            yield from map(loss_check, losses_of(adapter))
        except HaloError as error:
            what = error.platform if isinstance(error, AdapterError) else "settings"
            yield HealthCheck(what=what, status=HealthStatus.FAILED, found=str(error))
        yield from model_health(self._context.model_settings.settings)

    # -- steps -----------------------------------------------------------------------------------

    @property
    def _context(self) -> Context:
        return Context(PlatformOptions(**subset(self._options, PlatformOptions)))

    def _run(self, run_id: str) -> Run:
        return self._context.run(run_id)

    def _estimated(self, run_id: str) -> int:
        """Show what a model would cost, and no more."""
        self._terminal.estimate(estimate(run_id, **subset(self._options, AnalyzeOptions)))
        return OK

    def _analyzed(self, run_id: str) -> Report:
        with self._progress:
            report = analyze(run_id, **subset(self._options, AnalyzeOptions))
        run = self._run(run_id)
        self._terminal.report(report, run.info.url, run.record.query)
        return report

    def _write(self, run_id: str) -> Annotated | None:
        """Show what would be written, ask, and write."""
        common = subset(self._options, CommonOptions)
        planned = preview(run_id, **common)
        if not planned.total:
            if not self._dry_run:
                advance_watermark(self._context, self._run(run_id))
            return None
        self._terminal.preview(planned)
        adapter = self._context.annotator_of(self._run(run_id))
        permanent = getattr(adapter, "permanent_follow_ups", frozenset[FollowUpKind]())
        self._terminal.follow_ups(self._follow_ups, permanent)
        if self._dry_run:
            self._terminal.info("Dry run: nothing was written.")
            return None
        if not self._confirmed("Write them?"):
            run_id = self._run(run_id).id
            later = f"`halo-integrations annotate {run_id}`"
            self._terminal.info(f"Nothing was written. {later} writes them later.")
            return None
        with self._progress:
            annotated = annotate(run_id, **common)
        self._terminal.annotated(annotated)
        return self._followed_up(run_id, annotated)

    def _followed_up(self, run_id: str, annotated: Annotated) -> Annotated:
        """Create the follow-ups that were requested; their failures join those of ``annotated``."""
        if not self._follow_ups.has_follow_ups:
            return annotated
        with self._progress:
            followed_up = follow_up(run_id, **subset(self._options, AnnotateOptions))
        self._terminal.followed_up(followed_up)
        failures = (*annotated.failures, *followed_up.failures)
        return annotated.model_copy(update={"failures": failures})

    def _end(self, run_id: str, report: Report, annotated: Annotated | None) -> int:
        """List what failed, show where everything is, and choose the exit code."""
        failures = (*report.failures, *(annotated.failures if annotated else ()))
        self._terminal.failures(failures)
        self._terminal.end(self._run(run_id), report, annotated)
        return most_important(self._exit_codes(report, failures, annotated))

    def _exit_codes(
        self, report: Report, failures: Sequence[Failure], annotated: Annotated | None
    ) -> Iterator[int]:
        """Every reason to end with another code than 0."""
        limit = self._context.run_settings.settings.fail_on
        worst = report.worst_failure()
        if limit and worst and worst.at_least(limit):
            yield FOUND
        analysis = report.analysis
        if analysis and analysis.is_out_of_budget:
            yield SPENT
        elif analysis and not analysis.is_complete:
            yield PARTIAL
        if failures or (annotated and not annotated.is_complete):
            yield PARTIAL

    # -- questions to the user -------------------------------------------------------------------

    def _confirmed(self, question: str) -> bool:
        return self._yes or self._terminal.confirm(question)

    def _note_unused_consent(self, source: str) -> None:
        """Say that nothing is written where that was asked for."""
        if self._yes:
            text = f"{source} takes no annotations, so --yes has no effect: it is analysed only."
            self._terminal.notice(Notice(text=text, is_warning=True))

    def _require_consent(
        self, way_out: str = "add --yes to write, or --dry-run to look only."
    ) -> None:
        """Raise ``UsageError`` where writing needs a confirmation that cannot be given."""
        if not (self._yes or self._dry_run or self._terminal.can_ask):
            raise click.UsageError(
                f"This writes to the platform, and there is no terminal to ask on: {way_out}"
            )


def record_so_far(run: Run) -> RunRecord:
    """The record of ``run``, with what an interrupted pull has read; the pull counts at its end."""
    record = run.record
    if record.stage is not Stage.PULLING:
        return record
    try:
        return record.model_copy(update={"traces": run.stored_traces()})
    except EngineError:  # the pull goes on in another process
        return record


def misspelt_variables(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each variable that is close to one of our own and is none, with the one that was meant."""
    known = [name for m in OWN_TABLES.values() for spec in options_of(m) for name in spec.env]
    for name in environment:
        if name.startswith("HALO_") and name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=ALIKE)
            yield from ((name, meant) for meant in close)


def undo_question(planned: UndoPreview) -> str:
    """What to confirm before an undo."""
    items = plural(planned.annotations, "annotation")
    if planned.follow_ups:
        items += f" and {plural(planned.follow_ups, 'follow-up')}"
    return f"Remove {items} at {planned.destination}?"
