"""Analyze: the traces of a run to its report, by detectors and by a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from halo_adapters.base import Annotator
from halo_engine.detectors import Detector
from halo_engine.detectors.runner import run_detectors
from halo_engine.errors import ConfigError, EngineError
from halo_engine.findings import Privacy, Report
from halo_engine.issues import Issue
from halo_engine.issues.checking import CheckedIssues, WhyUnchecked, candidate_of
from halo_engine.issues.judging import answered_questions
from halo_engine.llm import Budget, Ledger, Limits, ModelClient
from halo_engine.llm.chat import TokenUsage
from halo_engine.llm.client import spend_of
from halo_engine.report.collecting import collect_context
from halo_engine.report.context import ReportContext
from halo_engine.report.json import render_json
from halo_engine.report.registry import load_renderers
from halo_engine.rlm.candidates import Candidate
from halo_engine.rlm.delegation import PART_TURNS
from halo_engine.rlm.drawing import affordable_rounds
from halo_engine.rlm.events import AnalysisEvent, AnalysisEventKind
from halo_engine.rlm.investigation import EXPLORE_SHARE, SURVEY_SHARE, Investigation
from halo_engine.rlm.pages.batches import PAGE_TRACES
from halo_engine.rlm.pages.detail import Detail
from halo_engine.rlm.read_budget import ReadBudget, reading_sizes
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.schema import Failure, FrozenModel
from halo_engine.source import SourceFiles
from halo_engine.source.definitions import with_definitions
from halo_engine.store import TraceStore
from halo_engine.text.redaction import redact
from halo_integrations.context import Context
from halo_integrations.incremental import advance_watermark
from halo_integrations.model_setup import (
    ModelSetup,
    code_folder,
    feature_notices,
    model_notices,
    model_setup,
    open_sandbox,
)
from halo_integrations.options.callbacks import (
    OnProgress,
    OnWait,
    Progress,
    no_progress,
    no_wait,
)
from halo_integrations.options.keywords import run_verb
from halo_integrations.options.run import AnalyzeOptions
from halo_integrations.protection import FOR_MODEL, privacy_of, redactor_of, require_texts
from halo_integrations.sources import losses_of
from halo_integrations.state.ownership import run_ownership
from halo_integrations.state.run import Run, require_pulled
from halo_integrations.state.values import Step
from halo_integrations.tracking import NOT_ASKED, IssueTracker, project_of

NO_ANSWER = WhyUnchecked(
    "its check asks a model, which answered about no trace within the budget",
    "See what failed, or give a larger --budget or --token-budget.",
)
OF_TURNS = AnalysisEventKind.STARTED, AnalysisEventKind.ANSWERED, AnalysisEventKind.ENDED

# A turn adds about this many tokens to the conversation, which is sent again with every turn; an
# analysis takes about so many turns.
TURN_TOKENS = 2500
LIKELY_TURNS = 15
# The first two prompts of an analysis, at the most tokens that their bytes can be.
FIRST_PROMPT_BYTES = 60_000


Judge = Callable[[Run, Sequence[Issue], TraceStore, Report], CheckedIssues]


class Estimate(FrozenModel):
    """About what an analysis by a model takes: ``usd`` is None without a known price.

    ``reached`` of ``traces`` traces can be read one by one within the limits.
    """

    traces: int
    reached: int
    calls: int
    tokens: int
    usd: float | None
    explore_tokens: int
    limits: Limits


@run_verb(AnalyzeOptions)
def analyze(run_id: str, options: AnalyzeOptions) -> Report:
    """Find what recurs in the traces of a run, and write its report into the run folder.

    With a ``model`` it also finds what no rule can detect. An interrupted analysis with the same
    options is resumed, and no call is paid for twice. Raises ``ConfigError`` for a model whose
    price is not known under a limit in USD, and for one whose provider's key is not set.
    """
    context = Context(options)
    run = context.run(run_id)
    setup = model_setup(context, options, run.record.source)
    code = code_folder(options)
    if setup:
        setup.require_key()
    with run_ownership(run, "analyze"):
        if setup:
            for notice in model_notices(setup):
                context.on_notice(notice)
            limits = setup.limits.model_dump(exclude_none=True)
            run.update(model={**setup.resume_key(), "limits": limits})
        report = analyze_run(
            run,
            context.detectors(options.detectors),
            setup,
            code=code,
            tracker=issue_tracker(context, run),
            on_progress=context.on_progress,
            on_wait=context.on_wait,
        )
        if not (isinstance(context.source_of(run), Annotator) or run.record.is_rehearsal):
            advance_watermark(context, run)
    return report


@run_verb(AnalyzeOptions)
def estimate(run_id: str, options: AnalyzeOptions) -> Estimate:
    """About what ``analyze`` with a model would take: no call is made.

    Assumes a typical number of turns, and every trace read once. Raises ``ConfigError`` where no
    model is set.
    """
    context = Context(options)
    run = context.run(run_id)
    setup = model_setup(context, options, run.record.source)
    if setup is None:
        raise ConfigError("--estimate is about a model: name one with --model.")
    for notice in (*model_notices(setup), *feature_notices(setup)):
        context.on_notice(notice)
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
    on_progress: OnProgress = no_progress,
    on_wait: OnWait = no_wait,
) -> Report:
    """Analyse the traces of ``run`` and write its report in every installed format.

    The report of the detectors is on disk before the model is asked, unless there is an earlier
    report to keep. What findings name is looked up in the folder ``code`` of the agent's source.
    Which known issues they are, and how these stand, is kept by ``tracker``. The questions of known
    issues are put along with those of the model's findings; without a model, by ``judge``.
    """
    require_pulled(run)

    def show(done: int, total: int) -> None:
        on_progress(Progress(step="Analysing", done=done, total=total, unit="traces"))

    privacy = privacy_of(run)
    if setup:
        require_texts(privacy, FOR_MODEL)
    with TraceStore(run.store_path, read_only=True) as store:
        read_at = run.record.created_at
        found = run_detectors(
            store,
            detectors,
            read_at=read_at,
            progress=show,
            reads_texts=not privacy.metadata_only,
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
        known = tracker.questions(run) if tracker else ()
        answers = NOT_ASKED
        if setup:
            report, answers = investigate(run, store, report, setup, known, on_progress, on_wait)
        elif judge:
            answers = judge(run, known, store, report)
        if tracker:
            report = tracker.tracked(run, store, report, answers)
        issues = tracker.issues_of(report) if tracker else ()
        reads_texts = not privacy.metadata_only
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
    report, context = redactor.model(report), redactor.model(context)
    run.save_context(context)
    info = replace(run.info, context=context)
    rendered: dict[str, bytes] = {}
    failures: list[Failure] = []
    for name, render in load_renderers().items():
        try:
            rendered[name] = require_bytes(render(report, info))
        except Exception as error:  # noqa: BLE001 - a third-party renderer must not lose the report
            what = redact(f"not written: {type(error).__name__}: {error}")
            failures.append(Failure(stage="report", where=name, what=what))
    report = report.model_copy(update={"failures": (*report.failures, *failures)})
    run.save_report({**rendered, "json": render_json(report, info)})
    return report


def require_bytes(content: object) -> bytes:
    """What a renderer returned; ``TypeError`` where it is something else."""
    if not isinstance(content, bytes):
        raise TypeError(f"a renderer returns bytes, not {type(content).__name__}")
    return content


def investigate(
    run: Run,
    store: TraceStore,
    signals: Report,
    setup: ModelSetup,
    known: Sequence[Issue],
    on_progress: OnProgress,
    on_wait: OnWait,
) -> tuple[Report, CheckedIssues]:
    """The report with what a model finds, and its answers to the questions of ``known`` issues.

    Every call, step and event is on disk first.
    """
    from halo_integrations.analysis_trace import traced  # importing OpenTelemetry takes time

    limits = setup.limits
    budget = Budget(limits)

    redactor = redactor_of(run)

    def on_event(happened: AnalysisEvent) -> None:
        event = redactor.model(happened)
        run.add_event(event)
        setup.on_event(event)
        if trace:
            trace.on_event(event)
        progress = progress_of(event, limits, budget)
        if progress:
            on_progress(progress)

    with (
        Ledger(run.state_path) as ledger,
        closing(open_sandbox(setup.settings.sandbox)) as sandbox,
        traced(setup.exporter, run.id, setup.brief.question) as trace,
    ):
        client = ModelClient(
            budget,
            ledger,
            concurrency=setup.settings.parallel,
            retry_timeout=setup.settings.retry_timeout,
            on_busy=on_wait,
            on_call=trace.on_call if trace else None,
            redact=redactor.text,
        )
        key = sorted_json(setup.resume_key())
        if ledger.has_other_request(key):
            require_budget(run, setup, budget)
        ledger.begin_analysis(key)
        models = setup.model, setup.sub_model
        investigation = Investigation(
            store,
            signals,
            client,
            *models,
            sandbox,
            setup.brief,
            on_event,
            questions_once(ledger, key, known),
            new_sandbox=partial(open_sandbox, setup.settings.sandbox),
        )
        found = investigation.run()
    answers = answered_questions(known, investigation.known_labels, signals.traces)
    code = Path(setup.brief.code) if setup.brief.code else None
    return located(found, code), CheckedIssues(answers, why_not_asked=NO_ANSWER)


def questions_once(ledger: Ledger, key: str, known: Sequence[Issue]) -> list[Candidate]:
    """The questions of ``known`` issues, as they were when the analysis with this ``key`` was begun.

    They are a part of its prompts: an analysis that is resumed, or repeated, needs the same ones.
    """
    asked = [candidate_of(issue).model_dump(mode="json") for issue in known]
    stored = ledger.get_or_set(f"known issues of {key}", orjson.dumps(asked).decode())
    return [Candidate.model_validate(each) for each in orjson.loads(stored)]


def require_budget(run: Run, setup: ModelSetup, budget: Budget) -> None:
    """Raise ``ConfigError`` where earlier requests left too little for another one.

    So the report of the earlier request is not replaced by an empty one.
    """
    turns = TokenUsage(prompt=FIRST_PROMPT_BYTES, completion=TURN_TOKENS)
    with budget.up_to(EXPLORE_SHARE):
        is_enough = budget.fits(spend_of(setup.model, turns))
    if not is_enough:
        used = budget.spent
        cost = f"{used.tokens:,} tokens" if used.usd is None else f"{used.usd:.2f} USD"
        raise ConfigError(
            f"An earlier analysis of run {run.id} with other options took {cost}, and a budget "
            f"covers all of a run. Give a larger one, or pull the traces into a run of their own. "
            f"The report is unchanged."
        )


def estimate_run(run: Run, setup: ModelSetup) -> Estimate:
    """About what an analysis takes: a typical number of turns, and every trace read once."""
    limits = setup.limits
    turns = min(limits.turns, LIKELY_TURNS)
    explore = TokenUsage(
        prompt=TURN_TOKENS * turns * (turns + 1) // 2, completion=TURN_TOKENS * turns // 4
    )
    with TraceStore(run.store_path, read_only=True) as store:
        sizes = reading_sizes(store, ShortIds(store), Detail.DIGEST)[Detail.DIGEST]
    price = setup.sub_model.price
    read_budget = ReadBudget(Budget(limits).left(), price, sizes, findings=5)
    reached, _ = affordable_rounds([list(sizes)], (), read_budget, SURVEY_SHARE)
    reading = read_budget.usage(sizes)
    usd = None
    if price and setup.model.price:
        usd = setup.model.price.of(explore) + price.of(reading)
    return Estimate(
        traces=len(sizes),
        reached=reached,
        calls=turns + len(sizes) // PAGE_TRACES + 1,
        tokens=explore.total + reading.total,
        usd=usd,
        explore_tokens=explore.total,
        limits=limits,
    )


def progress_of(event: AnalysisEvent, limits: Limits, budget: Budget) -> Progress | None:
    """Progress in traces that were read or in turns, with what was spent; None of other events."""
    spent = budget.spent
    money = f"{spent.tokens:,} tokens" if spent.usd is None else f"{spent.usd:.2f} USD"
    if event.kind is AnalysisEventKind.READ:
        step = f"{event.data['purpose'].capitalize()} {event.part}".rstrip()
        done, total = event.data["done"], event.data["total"]
        return Progress(step=step, done=done, total=total, unit=f"traces, {money}")
    if event.kind not in OF_TURNS:
        return None
    most = min(limits.turns, PART_TURNS) if event.part else limits.turns
    return Progress(
        step=f"Investigation {event.part}" if event.part else "Investigating",
        done=event.turn,
        total=event.turn if event.kind is AnalysisEventKind.ENDED else most,
        unit=f"turns, {money}",
    )


def sorted_json(value: Any) -> str:
    """``value`` as JSON with sorted keys, for comparison."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
