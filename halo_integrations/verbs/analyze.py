"""Analyze: the traces of a run to its report, by detectors and by a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from halo_adapters.base import Annotator
from halo_engine.detectors import Detector
from halo_engine.detectors.runner import KeptVerdicts, run_detectors
from halo_engine.errors import ConfigError, EngineError
from halo_engine.executors import IN_PROCESS, Executor
from halo_engine.findings import Privacy, Report
from halo_engine.issues import Issue
from halo_engine.issues.checked import CheckedIssues
from halo_engine.report.collecting import collect_context
from halo_engine.report.context import ReportContext
from halo_engine.report.json import report_pieces
from halo_engine.report.registry import load_renderers
from halo_engine.schema import Failure
from halo_engine.source import SourceFiles
from halo_engine.source.definitions import with_definitions
from halo_engine.store import TraceStore
from halo_engine.text.redaction import Redactor, redact
from halo_engine.timings import Timings
from halo_integrations.context import Context
from halo_integrations.incremental import advance_watermark
from halo_integrations.model_choice import chosen_setup
from halo_integrations.options.callbacks import (
    OnProgress,
    OnWait,
    Progress,
    no_progress,
    no_wait,
)
from halo_integrations.options.keywords import run_verb
from halo_integrations.options.model import code_folder
from halo_integrations.options.run import AnalyzeOptions
from halo_integrations.protection import (
    FOR_MODEL,
    are_texts_withheld,
    privacy_of,
    redactor_of,
    require_stored_texts,
    require_texts,
)
from halo_integrations.sources import losses_of
from halo_integrations.state.ownership import run_ownership
from halo_integrations.state.run import Run, require_pulled
from halo_integrations.state.values import Step
from halo_integrations.tracking import NOT_ASKED, IssueTracker, project_of

if TYPE_CHECKING:
    from halo_integrations.model_setup import ModelSetup
    from halo_integrations.verbs.model_analysis import Estimate

JSON = "json"

Judge = Callable[[Run, Sequence[Issue], TraceStore, Report], CheckedIssues]


@run_verb(AnalyzeOptions)
def analyze(run_id: str, options: AnalyzeOptions) -> Report:
    """Find what recurs in the traces of a run, and write its report into the run folder.

    With a ``model`` it also finds what no rule can detect. An interrupted analysis with the same
    options is resumed, and no call is paid for twice. Raises ``ConfigError`` for a model whose
    price is not known under a limit in USD, and for one whose provider's key is not set.
    """
    return analyze_pulled(run_id, options)


def analyze_pulled(
    run_id: str, options: AnalyzeOptions, kept: KeptVerdicts | None = None
) -> Report:
    """As ``analyze``; ``kept`` are verdicts on traces that were judged while they were read."""
    context = Context(options)
    run = context.run(run_id)
    setup = chosen_setup(context, options, run.record.source)
    code = code_folder(options)
    if setup:
        setup.require_key()
    with run_ownership(run, "analyze"):
        if setup:
            for notice in setup.notices():
                context.on_notice(notice)
            limits = setup.limits.model_dump(exclude_none=True)
            run.update(model={**setup.resume_key(), "limits": limits})
        report = analyze_run(
            run,
            context.detectors(options.detectors),
            setup,
            code=code,
            tracker=issue_tracker(context, run),
            executor=context.executor,
            kept=kept,
            timings=context.timings,
            on_progress=context.on_progress,
            on_wait=context.on_wait,
        )
        context.tell_timings()
        if not (isinstance(context.source_of(run), Annotator) or run.record.is_rehearsal):
            advance_watermark(context, run, report)
    return report


@run_verb(AnalyzeOptions)
def estimate(run_id: str, options: AnalyzeOptions) -> Estimate:
    """About what ``analyze`` with a model would take: no call is made.

    Assumes a typical number of turns, and every trace read once. Raises ``ConfigError`` where no
    model is set.
    """
    context = Context(options)
    run = context.run(run_id)
    setup = chosen_setup(context, options, run.record.source)
    if setup is None:
        raise ConfigError("--estimate is about a model: name one with --model.")
    for notice in (*setup.notices(), *setup.feature_notices()):
        context.on_notice(notice)
    from halo_integrations.verbs.model_analysis import estimate_run

    return estimate_run(run, setup)


def issue_tracker(context: Context, run: Run) -> IssueTracker:
    """The tracker of the issues of the project that ``run`` is of."""
    is_recorded = not run.record.is_rehearsal
    return IssueTracker(context.runs, project_of(context, run), is_recorded=is_recorded)


# -- the step ------------------------------------------------------------------------------------


def analyze_run(
    run: Run,
    detectors: Sequence[Detector],
    setup: ModelSetup | None = None,
    *,
    code: Path | None = None,
    tracker: IssueTracker | None = None,
    judge: Judge | None = None,
    executor: Executor = IN_PROCESS,
    kept: KeptVerdicts | None = None,
    timings: Timings | None = None,
    on_progress: OnProgress = no_progress,
    on_wait: OnWait = no_wait,
) -> Report:
    """Analyse the traces of ``run`` and write its report in every installed format.

    The report of the detectors is on disk before the model is asked, unless there is an earlier
    report to keep. What findings name is looked up in the folder ``code`` of the agent's source.
    Which known issues they are, and how these stand, is kept by ``tracker``. The questions of known
    issues are put along with those of the model's findings; without a model, by ``judge``. Where
    there are many traces, ``executor`` judges them, but for what is ``kept`` from when they were
    read. What it takes is added to ``timings``.
    """
    require_pulled(run)

    def show(done: int, total: int) -> None:
        on_progress(Progress(step="Analysing", done=done, total=total, unit="traces"))

    privacy = privacy_of(run)
    if setup:
        require_texts(privacy, FOR_MODEL)
    with TraceStore(run.store_path, read_only=True) as store:
        if setup:
            require_stored_texts(store, FOR_MODEL)
        read_at = run.record.created_at
        found = run_detectors(
            store,
            detectors,
            read_at=read_at,
            progress=show,
            reads_texts=not privacy.metadata_only,
            executor=executor,
            kept=kept,
            timings=timings,
        )
        unread, spans = store.unread_spans(), store.overview().spans
        report = found.model_copy(
            update={
                "failures": (*run.failures(), *found.failures),
                "unread": unread,
                "is_understood": not spans or sum(group.spans for group in unread) < spans,
                "losses": losses_of(run.record.source),
                "privacy": Privacy(**privacy.model_dump(), masked=store.masked_secrets()),
            }
        )
        report = located(report, code)
        if setup and not run.has_report:
            save_report(run, report, collect_context(store, report))
        known, muted = tracker.questions(run) if tracker else ((), ())
        answers = NOT_ASKED
        if setup:
            # Imported here, since it takes as long as everything else.
            from halo_integrations.verbs.model_analysis import investigate

            told = on_progress, on_wait
            report, answers = investigate(run, store, report, setup, known, muted, *told)
            report = located(report, code)
        elif judge and not are_texts_withheld(store):
            answers = judge(run, known, store, report)
        if tracker:
            report = tracker.tracked(run, store, report, answers)
        issues = tracker.issues_of(report) if tracker else ()
        reads_texts = not privacy.metadata_only
        with (timings or Timings()).of("report"):
            context = collect_context(store, report, issues, reads_texts=reads_texts)
            saved = save_report(run, report, context)
    run.complete(Step.ANALYZE, findings=len(saved.groups))
    return saved


def located(report: Report, code: Path | None) -> Report:
    """``report`` with the places in the folder ``code`` of what its findings name.

    Where the folder cannot be read that is a failure in the report.
    """
    if code is None:
        return report
    try:
        return with_definitions(report, SourceFiles(code))
    except (EngineError, OSError) as error:
        failure = Failure(stage="source code", where=str(code), what=redact(str(error)))
        return report.model_copy(update={"failures": (*report.failures, failure)})


def save_report(run: Run, report: Report, context: ReportContext) -> Report:
    """Write ``report`` in every installed format; one that cannot be written is a failure in it.

    Its ``context`` is kept too, so that it can be rendered again without the traces.
    """
    redactor = redactor_of(run)
    report, context = redacted_report(report, redactor), redactor.model(context)
    run.save_context(context)
    info = replace(run.info, context=context)
    rendered: dict[str, Iterable[bytes]] = {}
    failures: list[Failure] = []
    renderers = {name: render for name, render in load_renderers().items() if name != JSON}
    for name, render in renderers.items():
        try:
            rendered[name] = [require_bytes(render(report, info))]
        except Exception as error:  # noqa: BLE001 - a third-party renderer must not lose the report
            what = redact(f"not written: {type(error).__name__}: {error}")
            failures.append(Failure(stage="report", where=name, what=what))
    report = report.model_copy(update={"failures": (*report.failures, *failures)})
    run.save_report({**rendered, JSON: report_pieces(report)})  # with all failures
    return report


def redacted_report(report: Report, redactor: Redactor) -> Report:
    """``report`` redacted, a finding at a time: to search it for secrets it is made JSON."""
    findings = tuple(map(redactor.model, report.findings))
    rest = redactor.model(report.model_copy(update={"findings": ()}))
    return rest.model_copy(update={"findings": findings})


def require_bytes(content: object) -> bytes:
    """What a renderer returned; ``TypeError`` where it is something else."""
    if not isinstance(content, bytes):
        raise TypeError(f"a renderer returns bytes, not {type(content).__name__}")
    return content
