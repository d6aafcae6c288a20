"""What each command does: the verbs in order, with what is shown and asked between them."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import click

from halo_adapters.base import FollowUpKind
from halo_engine.detectors.registry import configure, load_detectors
from halo_engine.detectors.runner import KeptVerdicts
from halo_engine.errors import (
    EngineError,
    StorageError,
    noting_partial_work,
)
from halo_engine.findings import Report
from halo_engine.report.registry import load_renderers
from halo_engine.schema import Failure
from halo_integrations.cli.exits import FOUND, OK, PARTIAL, SPENT, most_important
from halo_integrations.cli.output import RenderedOutput
from halo_integrations.cli.progress import ProgressView
from halo_integrations.cli.terminal import Terminal
from halo_integrations.cli.texts import plural
from halo_integrations.context import OWN_TABLES, Context
from halo_integrations.incremental import advance_watermark
from halo_integrations.options.callbacks import Notice
from halo_integrations.options.declaration import options_of, subset
from halo_integrations.options.keywords import source_text, validated
from halo_integrations.options.run import (
    AnalyzeOptions,
    AnnotateOptions,
    CommonOptions,
    FollowUpOptions,
    PlatformOptions,
    ReadOptions,
    RunOptions,
    RunSettings,
)
from halo_integrations.options.selection import TraceSelection
from halo_integrations.protection import info_of, report_of
from halo_integrations.sources import adapter_for, can_annotate
from halo_integrations.state.run import Run
from halo_integrations.state.values import RunRecord, Stage
from halo_integrations.verbs.analyze import analyze_pulled, estimate
from halo_integrations.verbs.annotate import Annotated, annotate, preview
from halo_integrations.verbs.follow_up import follow_up
from halo_integrations.verbs.index import write_index
from halo_integrations.verbs.pull import pull, read_source
from halo_integrations.verbs.run import require_options, takes_annotations
from halo_integrations.verbs.undo import UndoPreview, undo, undo_preview, undo_status

# How alike (0 to 1) the name of a variable is to one of ours that was probably meant.
ALIKE = 0.85


class Flow:
    """One command with the options that were given to it, by their declared names.

    What a command needs that most others do not is in a flow of its own, imported for it alone.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        # ``debug`` belongs to ``main``.
        arguments = {
            name: value
            for name, value in options.items()
            if name != "debug" and value not in (None, (), {})
        }
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
        reading = validated(ReadOptions, subset(self._options, ReadOptions))
        detectors = () if self._estimate else self._context.detectors(options.detectors)
        with self._progress:
            run, kept = read_source(source_text(source), reading, detectors=detectors)
        if self._estimate or self._dry_run:
            run.update(is_rehearsal=True)
        with noting_partial_work(lambda: True):
            return self._dealt_with(run.id, kept)

    def _dealt_with(self, run_id: str, kept: KeptVerdicts | None) -> int:
        """Analyse and write what was pulled."""
        if self._estimate:
            return self._estimated(run_id)
        report = self._analyzed(run_id, kept)
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

    def detectors(self) -> int:
        """List the detectors."""
        settings = self._context.detector_settings()
        configure(installed := load_detectors(), settings)
        self._terminal.detectors(installed, settings)
        return OK

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

    def _analyzed(self, run_id: str, kept: KeptVerdicts | None = None) -> Report:
        options = validated(AnalyzeOptions, subset(self._options, AnalyzeOptions))
        with self._progress:
            report = analyze_pulled(run_id, options, kept)
        run = self._run(run_id)
        self._terminal.report(report, run.info.url, run.record.query)
        return report

    def _write(self, run_id: str) -> Annotated | None:
        """Show what would be written, ask, and write."""
        common = subset(self._options, CommonOptions)
        planned = preview(run_id, **common)
        if not planned.total:
            if not self._dry_run:
                run = self._run(run_id)
                advance_watermark(self._context, run, run.report)
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
