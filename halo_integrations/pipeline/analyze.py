"""The traces of a run to its report, by detectors and by a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import takewhile

from halo_engine.detectors import DETECTORS, Detector
from halo_engine.detectors.runner import run_detectors
from halo_engine.errors import ConfigError
from halo_engine.findings import Finding, Report
from halo_engine.llm import Budget, Ledger, Limits, ModelClient
from halo_engine.llm.chat import TokenUsage
from halo_engine.llm.client import OnBusy, spent_of
from halo_engine.report.html import to_html
from halo_engine.report.markdown import to_markdown
from halo_engine.rlm.events import AnalysisEvent
from halo_engine.rlm.investigation import EXPLORE, Investigation
from halo_engine.rlm.mapping import PAGE_TRACES
from halo_engine.rlm.read_budget import ReadBudget, reading_sizes
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.store import TraceStore
from halo_integrations.options.model import Analyst, Estimate, as_json, sandbox
from halo_integrations.pipeline.progress import OnProgress, Progress, silent
from halo_integrations.runs import Run, Stage

Link = Callable[[str, str | None], str | None]

# A turn adds about this many tokens to the conversation, which is sent again with every turn; an
# analysis takes about so many of them.
TURN_TOKENS = 2500
LIKELY_TURNS = 15
# The first two prompts of an analysis, at the most tokens that their bytes can be.
FIRST_PROMPT_BYTES = 60_000


def analyze(
    run: Run,
    detectors: Sequence[Detector] = DETECTORS,
    link: Link | None = None,
    on_progress: OnProgress = silent,
    *,
    analyst: Analyst | None = None,
    earlier: Sequence[Finding] = (),
    on_busy: OnBusy | None = None,
) -> Report:
    """Analyse the traces of ``run`` and write its report; ``link`` gives addresses in a UI.

    With an ``analyst`` its model looks for what no rule can see. An analysis of ``run`` by the same
    model that was cut off goes on, and nothing is paid for twice. Its findings take the names that
    the same ones have in ``earlier`` runs.
    """
    if run.record.stage is Stage.PULLING:
        raise ConfigError(
            f"Run {run.id} was cut off while reading. Give the same `run` or `pull` command again "
            f"to go on with it."
        )

    def tell(done: int, total: int) -> None:
        on_progress(Progress(step="Analysing", done=done, total=total, unit="traces"))

    with TraceStore(run.store_path, read_only=True) as store:
        found = run_detectors(store, detectors, progress=tell)
        if analyst:
            found = investigate(run, store, found, analyst, earlier, on_progress, on_busy)
    report = found.model_copy(update={"failures": (*run.failures(), *found.failures)})
    run.save_report(report, to_markdown(report, run.id, link), to_html(report, run.id, link))
    run.update(stage=Stage.ANALYZED, findings=len(report.findings))
    return report


def investigate(
    run: Run,
    store: TraceStore,
    signals: Report,
    analyst: Analyst,
    earlier: Sequence[Finding],
    on_progress: OnProgress,
    on_busy: OnBusy | None,
) -> Report:
    """Have a model look; every call, step and event is on disk before the next."""
    from halo_integrations.analysis_trace import traced  # OpenTelemetry takes its time to import

    limits = analyst.settings.limits
    budget = Budget(limits)

    def told(event: AnalysisEvent) -> None:
        run.add_event(event)
        analyst.on_event(event)
        if trace:
            trace.on_event(event)
        on_progress(turn_progress(event, limits, budget))

    with (
        Ledger(run.ledger_path) as ledger,
        closing(sandbox(analyst.settings.sandbox)) as box,
        traced(analyst.exporter, run.id, analyst.brief.question) as trace,
    ):
        calls = ModelClient(
            budget,
            ledger,
            concurrency=analyst.settings.parallel,
            retry_timeout=analyst.settings.retry_timeout,
            on_busy=on_busy,
            on_call=trace.on_call if trace else None,
        )
        asked = as_json(analyst.asked())
        if ledger.asked_before(asked):
            require_means(run, analyst, budget)
        ledger.begin_analysis(asked, limits.model_dump_json())
        models = analyst.model, analyst.sub_model
        return Investigation(
            store, signals, calls, *models, box, analyst.brief, told, earlier
        ).run()


def require_means(run: Run, analyst: Analyst, budget: Budget) -> None:
    """Refuse a new question that earlier ones have left too little for, before anything is lost."""
    turns = TokenUsage(prompt=FIRST_PROMPT_BYTES, completion=TURN_TOKENS)
    with budget.up_to(EXPLORE):
        is_enough = budget.fits(spent_of(analyst.model, turns))
    if not is_enough:
        used = budget.spent
        cost = f"{used.tokens:,} tokens" if used.usd is None else f"{used.usd:.2f} USD"
        raise ConfigError(
            f"Run {run.id} was asked something else before, which took {cost}, and a budget is for "
            f"all of a run. Give a larger one, or pull the traces into a run of their own. The "
            f"report stays as it is."
        )


def estimate(run: Run, analyst: Analyst) -> Estimate:
    """About what an analysis takes: a number of usual turns, and every trace read once."""
    limits, budget = analyst.settings.limits, Budget(analyst.settings.limits)
    turns = min(limits.turns, LIKELY_TURNS)
    explore = TokenUsage(
        prompt=TURN_TOKENS * turns * (turns + 1) // 2, completion=TURN_TOKENS * turns // 4
    )
    with TraceStore(run.store_path, read_only=True) as store:
        sizes = reading_sizes(store, ShortIds(store))
    price = analyst.sub_model.price
    purse = ReadBudget(budget, price, sizes, findings=5)
    reached = list(takewhile(lambda trace_id: purse.take(trace_id, keep=EXPLORE), sizes))
    reading = purse.usage(sizes)
    usd = None
    if price and analyst.model.price:
        usd = analyst.model.price.of(explore) + price.of(reading)
    return Estimate(
        traces=len(sizes),
        reached=len(reached),
        calls=turns + len(sizes) // PAGE_TRACES + 1,
        tokens=explore.total + reading.total,
        usd=usd,
        explore_tokens=explore.total,
        limits=limits,
    )


def turn_progress(event: AnalysisEvent, limits: Limits, budget: Budget) -> Progress:
    """How far the model is: its turns, and what was spent."""
    spent = budget.spent
    money = f"{spent.tokens:,} tokens" if spent.usd is None else f"{spent.usd:.2f} USD"
    unit = f"turns, {money}"
    return Progress(step="Investigating", done=event.turn, total=limits.turns, unit=unit)
