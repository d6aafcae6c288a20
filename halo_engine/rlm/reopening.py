"""Which analyses that have ended are continued when they are requested again.

A finished analysis is not asked again: what is stored of it is the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from halo_engine.findings import AnalysisEnding
from halo_engine.llm import Limits


class Reopening(StrEnum):
    """What continues an analysis that has ended.

    ``ALWAYS``: the request alone, as what stopped it may be repaired. ``MORE_BUDGET``: a larger
    limit of USD, tokens, calls or seconds. ``MORE_TURNS``: a larger limit of turns. ``NEVER``: it has
    come to its end.
    """

    ALWAYS = "always"
    MORE_BUDGET = "more_budget"
    MORE_TURNS = "more_turns"
    NEVER = "never"


REOPENED_BY: Mapping[AnalysisEnding, Reopening] = {
    AnalysisEnding.FINISHED: Reopening.NEVER,
    AnalysisEnding.BUDGET_EXHAUSTED: Reopening.MORE_BUDGET,
    AnalysisEnding.TURN_LIMIT: Reopening.MORE_TURNS,
    AnalysisEnding.IDLE: Reopening.NEVER,
    AnalysisEnding.LAST_TURN: Reopening.NEVER,
    AnalysisEnding.MODEL_FAILED: Reopening.ALWAYS,
    AnalysisEnding.SANDBOX_LOST: Reopening.ALWAYS,
    AnalysisEnding.INTERNAL_ERROR: Reopening.ALWAYS,
}


def is_reopened(ending: AnalysisEnding, before: Limits, now: Limits) -> bool:
    """Whether an analysis that ended under the limits ``before`` continues under those of ``now``."""
    reopening = REOPENED_BY[ending]
    if reopening is Reopening.MORE_BUDGET:
        return has_more_budget(before, now)
    if reopening is Reopening.MORE_TURNS:
        return now.turns > before.turns
    return reopening is Reopening.ALWAYS


def has_more_budget(before: Limits, now: Limits) -> bool:
    """Whether any limit but that of turns is larger than it was, or gone."""
    limits = (
        (before.usd, now.usd),
        (before.tokens, now.tokens),
        (before.calls, now.calls),
        (before.seconds, now.seconds),
    )
    return any(old is not None and (new is None or new > old) for old, new in limits)
