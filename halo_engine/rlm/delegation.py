"""Investigations that the root gives out: loops of their own, side by side, each within a share.

Depth is one: an investigation gives out none. Each has its own notebook, session and part of the
ledger, so that it resumes by itself when the step of the root that gave it out is repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from halo_engine.llm import ChatModel, Limits, ModelClient, Remaining
from halo_engine.llm.chat import TokenUsage
from halo_engine.rlm.candidates import Candidate
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.events import EventLog, one_line_error
from halo_engine.rlm.host import Host, Notebook
from halo_engine.rlm.host.delegate import MAX_ASSIGNMENTS, InvestigationResult, NamedAssignment
from halo_engine.rlm.loop import INTERNAL_ERROR, Loop, LoopState, stored_state
from halo_engine.rlm.opening import Scope, opening_conversation
from halo_engine.rlm.sandbox.base import HostError, Sandbox

# The part of what is left that investigations given out together may use: the root goes on with the
# rest. And the turns of each.
DELEGATED_SHARE = 0.7
PART_TURNS = 20
# What a few turns take: with less, an investigation ends before it has found anything.
LEAST_USAGE, LEAST_CALLS = TokenUsage(prompt=45_000, completion=5_000), 4
TOO_LITTLE = "The budget has too little left for an investigation: go on by yourself."
FEWER = (
    "What is left suffices for {number} of these investigations. Give out those of the segments with "
    "most in their drafts and departures, and amend the drafts of the others yourself."
)

NewHost = Callable[[ModelClient, EventLog, Sequence[Candidate]], Host]
NewSandbox = Callable[[], Sandbox]


@dataclass(frozen=True)
class Delegation:
    """Runs investigations for the root, by ``model``, each in a sandbox of its own."""

    client: ModelClient
    model: ChatModel
    delimiter: DataDelimiter
    scope: Scope
    new_host: NewHost
    new_sandbox: NewSandbox
    log: EventLog

    def __call__(self, assignments: Sequence[NamedAssignment]) -> list[InvestigationResult]:
        """The results of ``assignments``, run side by side.

        Raises ``HostError`` where too little is left for all of them.
        """
        affordable = self._affordable()
        ledger = self.client.ledger
        is_known = any(ledger.last_checkpoint(each.name) is not None for each in assignments)
        if affordable < len(assignments) and not is_known:
            raise HostError(FEWER.format(number=affordable) if affordable else TOO_LITTLE)
        share = DELEGATED_SHARE / len(assignments)
        allotted = [(named, self._limits(named.name, share)) for named in assignments]
        return list(self.client.map(lambda item: self._result(*item), allotted))

    def _affordable(self) -> int:
        """For how many investigations of a few turns what is left suffices."""
        left, price = self.client.budget.left(), self.model.price
        shares = [
            most * DELEGATED_SHARE / least
            for most, least in (
                (left.tokens, LEAST_USAGE.total),
                (left.usd, price.of(LEAST_USAGE) if price else None),
                (left.calls, LEAST_CALLS),
            )
            if most is not None and least
        ]
        return int(min(shares, default=MAX_ASSIGNMENTS))

    def _limits(self, name: str, share: float) -> Limits | None:
        """The limits of an investigation, if anything is left for it.

        One that was interrupted keeps those that it had.
        """
        checkpoint = self.client.ledger.last_checkpoint(name)
        if checkpoint:
            return stored_state(checkpoint).limits
        budget = self.client.budget
        return limits_within(budget.left(), share, budget.limits.turns)

    def _result(self, named: NamedAssignment, limits: Limits | None) -> InvestigationResult:
        """What an investigation brought; one that cannot be run does not end the others."""
        name, unchanged = named.name, Notebook(candidates=named.drafts)
        if limits is None:
            return InvestigationResult(name=name, ending=TOO_LITTLE, notebook=unchanged)
        log = self.log.of_part(name)
        try:
            state = self._run(self.client.part(name, limits), named, log)
        except Exception as error:  # noqa: BLE001 - recorded; the others go on
            log.record_error(f"investigation {name}", error)
            ending = INTERNAL_ERROR.format(one_line_error(error))
            return InvestigationResult(name=name, ending=ending, notebook=unchanged)
        return InvestigationResult(
            name=name, ending=state.ending_detail, notebook=state.notebook, turns=state.turn
        )

    def _run(self, client: ModelClient, named: NamedAssignment, log: EventLog) -> LoopState:
        """The loop of one investigation, run to its end."""
        host = self.new_host(client, log, named.drafts)
        question, segment = named.assignment.question, named.assignment.segment
        scope = replace(self.scope, question=question, segment=segment)
        max_turns = client.budget.limits.turns
        opening = opening_conversation(host, self.delimiter, scope, max_turns=max_turns)
        with closing(self.new_sandbox()) as sandbox:
            return Loop(host, sandbox, client, self.model, self.delimiter, opening, log=log).run()


def limits_within(left: Remaining, share: float, turns: int) -> Limits | None:
    """``share`` of what is ``left``; None where that is nothing."""
    amounts = {
        "usd": None if left.usd is None else left.usd * share,
        "tokens": None if left.tokens is None else int(left.tokens * share),
        "calls": None if left.calls is None else int(left.calls * share),
    }
    if any(amount is not None and amount <= 0 for amount in amounts.values()):
        return None
    return Limits(**amounts, turns=min(turns, PART_TURNS))
