"""Investigations that the root gives out: loops of their own, side by side, each within a share.

Depth is one: an investigation gives out none. Each has its own notebook, session and part of the
ledger, so that it resumes by itself when the step of the root that gave it out is repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from halo_engine.llm import ChatModel, Limits, ModelClient, Remaining
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.events import EventLog
from halo_engine.rlm.host import Host
from halo_engine.rlm.host.delegate import Assignment, InvestigationResult
from halo_engine.rlm.loop import Loop, LoopState
from halo_engine.rlm.opening import Scope, opening_conversation
from halo_engine.rlm.sandbox.base import HostError, Sandbox

# The part of what is left that investigations given out together may use: the root goes on with the
# rest. And the turns of each.
DELEGATED_SHARE = 0.8
PART_TURNS = 20

NewHost = Callable[[ModelClient, EventLog], Host]
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

    def __call__(self, assignments: Sequence[tuple[str, Assignment]]) -> list[InvestigationResult]:
        """The results of ``assignments``, each with its name, run side by side."""
        share = DELEGATED_SHARE / len(assignments)
        allotted = [
            (name, assignment, self._limits(name, share)) for name, assignment in assignments
        ]
        return list(self.client.map(lambda item: self._run(*item), allotted))

    def _limits(self, name: str, share: float) -> Limits:
        """The limits of an investigation; one that was interrupted keeps those that it had."""
        limits = limits_within(self.client.budget.left(), share, self.client.budget.limits.turns)
        stored = self.client.ledger.get_or_set(f"limits of {name}", limits.model_dump_json())
        return Limits.model_validate_json(stored)

    def _run(self, name: str, assignment: Assignment, limits: Limits) -> InvestigationResult:
        client, log = self.client.part(name, limits), self.log.of_part(name)
        host = self.new_host(client, log)
        scope = Scope(
            self.scope.corpus,
            self.scope.survey,
            assignment.question,
            self.scope.background,
            assignment.segment,
        )
        opening = opening_conversation(host, self.delimiter, scope, max_turns=limits.turns)
        with closing(self.new_sandbox()) as sandbox:
            loop = Loop(host, sandbox, client, self.model, self.delimiter, opening, log=log)
            return investigation_result(name, loop.run())


def limits_within(left: Remaining, share: float, turns: int) -> Limits:
    """``share`` of what is ``left``; raises ``HostError`` where that is nothing."""
    amounts = {
        "usd": None if left.usd is None else left.usd * share,
        "tokens": None if left.tokens is None else int(left.tokens * share),
        "calls": None if left.calls is None else int(left.calls * share),
    }
    if any(amount is not None and amount <= 0 for amount in amounts.values()):
        raise HostError("The budget has too little left for an investigation: finish by yourself.")
    return Limits(**amounts, turns=min(turns, PART_TURNS))


def investigation_result(name: str, state: LoopState) -> InvestigationResult:
    """What a loop brought."""
    return InvestigationResult(
        name=name,
        candidates=state.notebook.candidates,
        ending=state.ending_detail,
        summary=state.notebook.summary or "",
        turns=state.turn,
    )
