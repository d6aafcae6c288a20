"""Watch: what is new on a platform, by detectors and by the checks of known issues."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from halo_adapters.base import Annotator
from halo_engine.detectors import Detector
from halo_engine.detectors.runner import KeptVerdicts
from halo_engine.errors import noting_partial_work
from halo_engine.findings import Report
from halo_engine.issues import IssueChanges, changes_by
from halo_engine.schema import FrozenModel
from halo_integrations.context import Context
from halo_integrations.daily_judging import JUDGE_SHARE, daily_judge
from halo_integrations.incremental import advance_watermark
from halo_integrations.options.declaration import subset
from halo_integrations.options.keywords import source_verb
from halo_integrations.options.run import CommonOptions, WatchOptions
from halo_integrations.options.selection import LAST, TraceCriteria, TraceSelection
from halo_integrations.protection import FOR_MODEL, require_texts
from halo_integrations.report_annotations import Preview
from halo_integrations.sources import adapter_for, require_annotations
from halo_integrations.state.issues import Issues
from halo_integrations.state.ownership import watch_ownership
from halo_integrations.state.run import Run
from halo_integrations.state.values import Step
from halo_integrations.verbs.analyze import analyze_run, issue_tracker
from halo_integrations.verbs.annotate import Annotated, annotate, preview
from halo_integrations.verbs.pull import owned_run, read_run


class Watched(FrozenModel):
    """One pass over what is new: what ``changed`` of the issues of ``project`` by it.

    What was not looked for, and why, is in the ``report``. ``judged_share`` is the share of the
    traces that questions were put about, None where no model was asked. ``preview`` is None where the
    source takes no annotations, ``annotated`` where none were to be written.
    """

    run_id: str
    folder: Path
    project: str
    report: Report
    changed: IssueChanges
    judged_share: float | None = None
    preview: Preview | None = None
    annotated: Annotated | None = None


@source_verb(WatchOptions)
def watch(source: str, options: WatchOptions) -> Watched:
    """Look once at what is new since the last pass, without exploring.

    Detectors and the rules of known issues are applied, and the issues are updated. Where a model is
    set, questions of known issues are put to it about a random share of the traces, within what the
    day may take. With ``annotate=True`` the findings are written. A pass that was interrupted is
    resumed. Sources and errors as for ``pull`` and ``annotate``; raises ``StorageError`` while
    another process watches the same project with the same home.
    """
    with watching(source, options) as selection:
        return one_pass(selection, options)


@contextmanager
def watching(source: str, options: WatchOptions) -> Iterator[TraceSelection]:
    """What is watched, which no other process does until the end of the block.

    Raises ``ConfigError`` for what cannot work later, before anything is read.
    """
    criteria = {name: getattr(options, name) for name in TraceCriteria.model_fields}
    selection = TraceSelection(source=source, project=options.project, since=LAST, **criteria)
    context = Context(options)
    if options.annotate:
        require_annotations(adapter_for(selection)[0])
    context.detectors(options.detectors)
    if daily_judge(context, options):
        require_texts(context.privacy_settings.settings, FOR_MODEL)
    with watch_ownership(context.runs.home, watched_project(context, selection)):
        yield selection


def watched_project(context: Context, selection: TraceSelection) -> str:
    """The project whose issues are watched."""
    named = context.run_settings.settings.issue_project
    return named or context.source_for(selection).location()


# -- the step ------------------------------------------------------------------------------------


def one_pass(selection: TraceSelection, options: WatchOptions) -> Watched:
    """Read what is new, or go on where an interrupted pass stopped; analyse it and write."""
    context, kept = Context(options), None
    detectors = context.detectors(options.detectors)
    with owned_run(context, selection, last=Step.WATCH) as run:
        if run.completed(Step.PULL) is None:
            kept = read_run(context, run, detectors)
        with noting_partial_work(lambda: True):
            watched = analysed(context, run, options, detectors, kept)
    context.tell_timings()
    watched = with_marks(context, run, watched, options)
    run.complete(Step.WATCH)
    return watched


def analysed(
    context: Context,
    run: Run,
    options: WatchOptions,
    detectors: Sequence[Detector],
    kept: KeptVerdicts | None,
) -> Watched:
    """What detectors and the checks of known issues say of a run."""
    tracker = issue_tracker(context, run)
    report = analyze_run(
        run,
        detectors,
        tracker=tracker,
        judge=daily_judge(context, options),
        executor=context.executor,
        kept=kept,
        timings=context.timings,
        on_progress=context.on_progress,
    )
    known = Issues(run.home).all(tracker.project)
    return Watched(
        run_id=run.id,
        folder=run.folder,
        project=tracker.project,
        report=report,
        changed=changes_by(run.id, known),
        judged_share=(run.record.model or {}).get(JUDGE_SHARE),
    )


def with_marks(context: Context, run: Run, watched: Watched, options: WatchOptions) -> Watched:
    """``watched`` after its findings were written, or, without ``annotate``, counted."""
    if not isinstance(context.source_of(run), Annotator):
        advance_watermark(context, run, watched.report)
        return watched
    given = {name: getattr(options, name) for name in options.model_fields_set}
    common: dict[str, Any] = subset(given, CommonOptions)
    changes: dict[str, Any] = {"preview": preview(run.id, **common)}
    if options.annotate:
        changes["annotated"] = annotate(run.id, **common)
    else:
        advance_watermark(context, run, watched.report)
    return watched.model_copy(update=changes)
