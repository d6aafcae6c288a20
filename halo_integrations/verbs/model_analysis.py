"""The analysis of a run by a model: the step, and an estimate of what it takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import orjson

from halo_engine.errors import ConfigError
from halo_engine.findings import Report
from halo_engine.issues import Issue
from halo_engine.issues.checked import CheckedIssues, WhyUnchecked
from halo_engine.issues.checking import candidate_of
from halo_engine.issues.judging import answered_questions, ids_without, with_room
from halo_engine.llm import Budget, Ledger, Limits, ModelClient
from halo_engine.llm.chat import TokenUsage
from halo_engine.llm.client import spend_of
from halo_engine.rlm.candidates import Candidate
from halo_engine.rlm.delegation import PART_TURNS
from halo_engine.rlm.drawing import affordable_rounds
from halo_engine.rlm.events import AnalysisEvent, AnalysisEventKind
from halo_engine.rlm.investigation import EXPLORE_SHARE, SURVEY_SHARE, Investigation
from halo_engine.rlm.pages.batches import PAGE_TRACES
from halo_engine.rlm.pages.detail import Detail
from halo_engine.rlm.read_budget import ReadBudget, reading_sizes
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.schema import FrozenModel
from halo_engine.store import TraceStore
from halo_integrations.model_setup import ModelSetup, open_sandbox
from halo_integrations.options.callbacks import OnProgress, OnWait, Progress
from halo_integrations.protection import redactor_of
from halo_integrations.state.run import Run

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


def investigate(
    run: Run,
    store: TraceStore,
    signals: Report,
    setup: ModelSetup,
    known: Sequence[Issue],
    muted: Sequence[Issue],
    on_progress: OnProgress,
    on_wait: OnWait,
) -> tuple[Report, CheckedIssues]:
    """The report with what a model finds, and its answers to the questions of ``known`` issues.

    Those of ``muted`` ones are put where traces are read anyway: what is found again in new words is
    known by them. Every call, step and event is on disk first.
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
        put = with_room([*known, *muted], setup.sub_model)
        asked = questions_once(ledger, f"known issues of {key}", (i for i in put if i in known))
        along = questions_once(ledger, f"muted issues of {key}", (i for i in put if i in muted))
        investigation = Investigation(
            store,
            signals,
            client,
            *models,
            sandbox,
            setup.brief,
            on_event,
            asked,
            along,
            new_sandbox=partial(open_sandbox, setup.settings.sandbox),
        )
        found = investigation.run()
    answers = answered_questions([*known, *muted], investigation.known_labels, signals.traces)
    no_room = ids_without(known, (candidate.id for candidate in asked))
    return found, CheckedIssues(answers, why_not_asked=NO_ANSWER, no_room=no_room)


def questions_once(ledger: Ledger, key: str, issues: Iterable[Issue]) -> list[Candidate]:
    """The questions of ``issues``, as they were when the analysis of the ``key`` was begun.

    They are a part of its prompts: an analysis that is resumed, or repeated, needs the same ones.
    """
    asked = [candidate_of(issue).model_dump(mode="json") for issue in issues]
    stored = ledger.get_or_set(key, orjson.dumps(asked).decode())
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
