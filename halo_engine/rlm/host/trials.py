"""The host function that tries a check, and what a submission is told of its own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from halo_engine.failure_modes import OTHER
from halo_engine.findings import FindingCheck
from halo_engine.llm.budget import Spend
from halo_engine.rlm.candidates import Candidate, Impact
from halo_engine.rlm.checks import check_of
from halo_engine.rlm.host.arguments import Count, Names
from halo_engine.rlm.host.context import HostContext
from halo_engine.rlm.host.rule_examples import MAX_EXAMPLES, SEED, RuleExamples
from halo_engine.rlm.judging import judged_rows, judgement_in
from halo_engine.rlm.pages.detail import Detail
from halo_engine.rlm.read_budget import ReadBudget, reading_sizes
from halo_engine.rlm.sandbox.base import HostError, HostFunction
from halo_engine.statistics.sampling import sample_ids
from halo_engine.text.sanitize import strip_invisible

TRIAL = "test check"
PAID_FROM = "the part of the budget that is kept for labelling, not what is left for reading"


class Trials:
    """The host function that tries a check."""

    def __init__(self, context: HostContext) -> None:
        self._context = context
        self._rules = context.rules
        self.examples = RuleExamples(context).of
        self._short_ids = context.short_ids
        self._mapper = context.mapper()

    def functions(self) -> tuple[HostFunction, ...]:
        """The functions that code can call."""
        return (self.test_check,)

    def test_check(self, check: Any, n: Count = 5, known: Names | None = None) -> dict[str, Any]:
        """Where a check holds and where it nearly does; ``known`` traces are no examples.

        A question is put about ``n`` of its traces, which costs what it says.
        """
        parsed, problems = check_of(check, self._short_ids)
        if parsed is None:
            raise HostError(" ".join(problems))
        number = min(n, MAX_EXAMPLES)
        seen = {self._context.trace_id(trace) for trace in known or ()}
        found = self.examples(parsed, seen, number) if parsed.has_rule else {}
        return {**found, **(self._dry_run(parsed, number) if parsed.question else {})}

    def judging_cost(self, check: FindingCheck) -> dict[str, Any]:
        """The traces that its question is put about, if all are, and what that probably takes."""
        eligible = set(self._short_ids.trace_ids)
        if check.has_rule:
            eligible &= set(self._rules.matches(check))
        usage = ReadBudget(self._context.client.budget.left(), None, self._sizes, 1).usage(eligible)
        price = self._context.model.price
        usd = {"usd": round(price.of(usage), 4)} if price else {}
        return {"traces": len(eligible), "tokens": usage.total, **usd, "paid_from": PAID_FROM}

    @cached_property
    def _sizes(self) -> Mapping[str, float]:
        return reading_sizes(self._context.store, self._short_ids, Detail.FULL)[Detail.FULL]

    def _dry_run(self, check: FindingCheck, number: int) -> dict[str, Any]:
        """What a model says of some traces that the question would be put about."""
        eligible = self._rules.matches(check) if check.has_rule else self._short_ids.trace_ids
        candidate = trial_candidate(check)
        before = self._spent()
        with self._context.reading():
            rows = judged_rows(
                sample_ids(eligible, number, SEED),
                [candidate],
                self._mapper,
                self._short_ids,
                purpose=TRIAL,
            )
        after = self._spent()
        answers = {
            row["trace"]: judgement_in(row, candidate, self._short_ids)
            for row in rows
            if "error" not in row
        }
        shown = [answer.shows for answer in answers.values()]
        usd = None if after.usd is None or before.usd is None else after.usd - before.usd
        return {
            "judged": {
                "shows": shown.count(True),
                "does_not_show": shown.count(False),
                "cannot_tell": shown.count(None),
                "no_answer": len(rows) - len(answers),
            },
            "answers": [
                {
                    "trace": name,
                    "shows": answer.shows,
                    "quote": answer.evidence and strip_invisible(answer.evidence.quote),
                    "why": answer.why and strip_invisible(answer.why),
                }
                for name, answer in answers.items()
            ],
            "cost": {"tokens": after.tokens - before.tokens, "usd": usd},
        }

    def _spent(self) -> Spend:
        """What was spent on trials so far."""
        by_purpose = self._context.client.budget.by_purpose
        spent = Spend(usd=0.0)
        for purpose in (TRIAL, f"{TRIAL} repair"):
            spent = spent + by_purpose.get(purpose, Spend(usd=0.0))
        return spent


def trial_candidate(check: FindingCheck) -> Candidate:
    """A candidate of which nothing is known but its check."""
    return Candidate(
        id="F1",
        title="The failure that is asked about",
        failure_mode=OTHER,
        summary="",
        cause="",
        recommendation="",
        impact=Impact.DEGRADED,
        evidence=(),
        check=check,
    )
