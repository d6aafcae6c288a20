"""Host functions that give out investigations, and put their findings together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from halo_engine.comparison.tables import segment_name
from halo_engine.rlm.candidates import Candidate
from halo_engine.rlm.host.context import HostContext
from halo_engine.rlm.host.results import Notebook, Results
from halo_engine.rlm.sandbox.base import HostError, HostFunction
from halo_engine.schema import FrozenModel

MAX_ASSIGNMENTS = 8


class Assignment(FrozenModel):
    """An investigation that is given out: a question about a segment (empty: about all runs)."""

    question: Annotated[str, Field(min_length=1, max_length=4000)]
    segment: Annotated[str, Field(max_length=20)] = ""


class NamedAssignment(NamedTuple):
    """An assignment with the name of its investigation, and the drafts of its segment."""

    name: str
    assignment: Assignment
    drafts: tuple[Candidate, ...] = ()


class InvestigationResult(FrozenModel):
    """What an investigation brought, and how it ended, in words."""

    name: str
    ending: str
    notebook: Notebook = Notebook()
    turns: int = 0


Assignments = Annotated[list[Assignment], Field(min_length=1, max_length=MAX_ASSIGNMENTS)]
# Raises ``HostError`` where nothing was run; an investigation that fails has a result, too.
Investigate = Callable[[Sequence[NamedAssignment]], list[InvestigationResult]]


class Delegate:
    """The host functions of the root: ``investigate`` runs assignments, each by its name."""

    def __init__(self, context: HostContext, results: Results, investigate: Investigate) -> None:
        self._context = context
        self._results = results
        self._investigate = investigate
        self._segments = {segment_name(n) for n in context.corpus.segment_members}

    def functions(self) -> tuple[HostFunction, ...]:
        """The functions that code can call."""
        return (self.investigate,)

    def investigate(self, assignments: Assignments) -> list[dict[str, Any]]:
        """Run investigations side by side; their findings become findings of this one.

        Each is a dict of "question" and "segment". Raises ``HostError`` for an unknown segment, and
        where the budget has too little left.
        """
        for assignment in assignments:
            if assignment.segment and assignment.segment not in self._segments:
                known = ", ".join(sorted(self._segments))
                raise HostError(f"There is no segment {assignment.segment!r}: {known}.")
        named = self._named(assignments)
        results = self._investigate(named)
        self._results.count_investigations(len(named))
        drafts = {item.name: item.drafts for item in named}
        return [self._adopted(result, drafts[result.name]) for result in results]

    def _named(self, assignments: Sequence[Assignment]) -> list[NamedAssignment]:
        """The assignments with their names; the drafts of a segment go to the first about it."""
        first = self._results.notebook.investigations + 1
        left = [c for c in self._results.notebook.candidates if c.is_draft]
        named: list[NamedAssignment] = []
        for n, assignment in enumerate(assignments, start=first):
            own = [c for c in left if self._is_about(c, assignment.segment)]
            left = [c for c in left if c not in own]
            named.append(NamedAssignment(f"I{n}", assignment, tuple(own)))
        return named

    def _is_about(self, candidate: Candidate, segment: str) -> bool:
        """Whether all that a candidate cites is in ``segment``."""
        segments = self._context.corpus.segments
        return {segment_name(segments[t]) for t in candidate.trace_ids} == {segment}

    def _adopted(self, result: InvestigationResult, drafts: Sequence[Candidate]) -> dict[str, Any]:
        """The result as the root sees it: findings with counts, not how they were found."""
        adopted, left_out = self._results.adopt(result.notebook, drafts)
        return {
            "investigation": result.name,
            "ended": result.ending,
            "turns": result.turns,
            "summary": result.notebook.summary or "",
            "findings": [self._results.described(candidate) for candidate in adopted],
            **({"left_out": left_out} if left_out else {}),
        }
