"""The questions of known issues, put to a model within what a day may take."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from halo_engine.errors import ConfigError
from halo_engine.findings import Report
from halo_engine.issues import Issue
from halo_engine.issues.checked import CheckedIssues, WhyUnchecked
from halo_engine.issues.judging import IssueJudge, with_room
from halo_engine.llm import Budget, ChatModel, Ledger, Limits, ModelClient
from halo_engine.llm.budget import Spend
from halo_engine.locks import private_lock
from halo_engine.statistics.sampling import seeded_order
from halo_engine.store import TraceStore
from halo_integrations.context import Context
from halo_integrations.issue_judging import judging_model
from halo_integrations.options.callbacks import Notice, OnNotice, OnWait
from halo_integrations.options.model import DAILY_USD, ModelSettings, WatchSettings
from halo_integrations.options.run import WatchOptions
from halo_integrations.protection import redactor_of
from halo_integrations.state.home import Runs, record_or_none
from halo_integrations.state.run import Run
from halo_integrations.state.values import Step

SPENT = WhyUnchecked(
    "its check asks a model, and what that may take on this day is spent",
    "Give a larger --daily-budget or --daily-token-budget, or wait for the next day (UTC).",
)
NO_ANSWER = WhyUnchecked(
    "its check asks a model, which answered about none of the traces that the day allows",
    "See what failed, or give a larger --daily-budget or --daily-token-budget.",
)
# In the record of a run: the share of its traces that questions were put about.
JUDGE_SHARE = "judge_share"
SEED = 0
DAY_CHARS = len("20260131")


@dataclass(frozen=True)
class DailyJudge:
    """Puts questions to ``model`` about a random share of the traces of a run.

    All watches of a home share what a day may take: one of them asks at a time, and what the runs
    begun on the same day (UTC) spent is in their ledgers, also where they were killed.
    """

    model: ChatModel
    settings: ModelSettings
    limits: WatchSettings
    runs: Runs
    on_notice: OnNotice
    on_wait: OnWait

    def __call__(
        self, run: Run, issues: Sequence[Issue], store: TraceStore, report: Report
    ) -> CheckedIssues:
        """What the questions that are the checks of ``issues`` find."""
        if not issues:
            return CheckedIssues()
        with private_lock(self.runs.home / "judging.lock"):
            limits = self._left(run)
            if limits is None:
                return CheckedIssues(why_not_asked=SPENT)
            self._announce(len(with_room(issues, self.model)), limits)
            run.update(model={"judge": self.model.name, JUDGE_SHARE: self.limits.judge_share})
            with Ledger(run.state_path) as ledger:
                client = ModelClient(
                    Budget(limits),
                    ledger,
                    concurrency=self.settings.parallel,
                    retry_timeout=self.settings.retry_timeout,
                    on_busy=self.on_wait,
                    redact=redactor_of(run).text,
                )
                parts = {JUDGE_SHARE: self._drawn(store)}
                judged = IssueJudge(client, self.model).judge(issues, store, report, parts)
        return CheckedIssues(judged.findings, judged.failures, NO_ANSWER, judged.no_room)

    def _drawn(self, store: TraceStore) -> frozenset[str]:
        """The share of the traces, at least one, that questions are put about."""
        order = seeded_order(store.trace_ids(), SEED)
        return frozenset(order[: math.ceil(len(order) * self.limits.judge_share)])

    def _left(self, run: Run) -> Limits | None:
        """What ``run`` may use: all of its day but what others spent; None if that is all."""
        spent = sum(spends_of_day(self.runs, run), Spend())
        daily = self.limits
        usd, tokens = daily_usd(daily), daily.daily_token_budget
        left_usd = None if usd is None else usd - (spent.usd or 0.0)
        left_tokens = None if tokens is None else tokens - spent.tokens
        if any(left is not None and left <= 0 for left in (left_usd, left_tokens)):
            return None
        return Limits(usd=left_usd, tokens=left_tokens)

    def _announce(self, questions: int, limits: Limits) -> None:
        caps = {"USD": limits.usd, "tokens": limits.tokens}
        most = ", ".join(f"{left:,.4g} {name}" for name, left in caps.items() if left is not None)
        destination = getattr(self.model, "destination", self.model.name)
        text = (
            f"{questions} questions about {self.limits.judge_share:.0%} of the traces go to "
            f"{destination}; at most {most} are left of this day."
        )
        self.on_notice(Notice(text=text))


def spends_of_day(runs: Runs, run: Run) -> Iterator[Spend]:
    """What the questions of other watches that were begun on the day of ``run`` took."""
    day = run.id[:DAY_CHARS]
    for other in runs.all():
        if other.id == run.id or not other.id.startswith(day):
            continue
        record = record_or_none(other)
        if record and record.model and record.request.get("last_step") == Step.WATCH:
            with Ledger(other.state_path) as ledger:
                yield sum(ledger.spent().values(), Spend())


def daily_usd(limits: WatchSettings) -> float | None:
    """The most that questions may cost on a day; None where only tokens are limited."""
    return limits.daily_budget or (None if limits.daily_token_budget else DAILY_USD)


def daily_judge(context: Context, options: WatchOptions) -> DailyJudge | None:
    """The judge by the settings; None where no model is set, or with ``no_llm``.

    It is the cheaper of two models. Raises ``ConfigError`` for a model whose key is not set, and for
    one whose price is not known where the day is limited in USD.
    """
    model = None if options.no_llm else judging_model(context)
    if model is None:
        return None
    settings, limits = context.model_settings.settings, context.watch_settings.settings
    if daily_usd(limits) is not None and model.price is None:
        raise ConfigError(
            f"The price of {model.name} is not known, so a budget in USD cannot be enforced. Give "
            f"--price PROMPT,COMPLETION in USD for a million tokens, or --daily-token-budget."
        )
    return DailyJudge(model, settings, limits, context.runs, context.on_notice, context.on_wait)
