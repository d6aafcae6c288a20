"""How an analysis by a model went, besides its findings."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import model_validator

from halo_engine.findings.billing import Billing, Cost
from halo_engine.schema import FrozenModel


class AnalysisEnding(StrEnum):
    """Why the analysis by a model ended. ``ModelAnalysis.ending_detail`` has the specifics.

    ``FINISHED``: the model called ``finish``, and not because its last turn was announced for lack
    of budget or turns. ``BUDGET_EXHAUSTED``: a limit on USD, tokens, calls or time was reached, or
    was too close for another turn. ``TURN_LIMIT``: all turns were used. ``IDLE``: several turns in a
    row had no result. ``LAST_TURN``: the announced last turn was used, although the reason for its
    announcement no longer applied. ``MODEL_FAILED``: the model could not be called.
    ``SANDBOX_LOST``: the sandbox could not be restored. ``INTERNAL_ERROR``: an error of this
    package, of which the events of the run hold the traceback.
    """

    FINISHED = "finished"
    BUDGET_EXHAUSTED = "budget_exhausted"
    TURN_LIMIT = "turn_limit"
    IDLE = "idle"
    LAST_TURN = "last_turn"
    MODEL_FAILED = "model_failed"
    SANDBOX_LOST = "sandbox_lost"
    INTERNAL_ERROR = "internal_error"

    @property
    def is_failure(self) -> bool:
        """Whether a fault caused it, so that the analysis can continue once that is fixed."""
        return self in (
            AnalysisEnding.MODEL_FAILED,
            AnalysisEnding.SANDBOX_LOST,
            AnalysisEnding.INTERNAL_ERROR,
        )


def ending_of(detail: str) -> AnalysisEnding:
    """The ending that a report of an earlier version describes in free text."""
    if detail == "finished":
        return AnalysisEnding.FINISHED
    if detail.startswith("the budget"):
        return AnalysisEnding.BUDGET_EXHAUSTED
    if detail.endswith("turns are over"):
        return AnalysisEnding.TURN_LIMIT
    if detail.endswith("turns in a row brought nothing"):
        return AnalysisEnding.IDLE
    return AnalysisEnding.MODEL_FAILED


class RejectedFinding(FrozenModel):
    """A finding that a model submitted and that was rejected, with the reason."""

    title: str
    reason: str


class ModelAnalysis(FrozenModel):
    """How the analysis by a model went, besides its findings.

    ``ending_detail`` explains ``ending`` to people. ``quotes_not_found`` counts the quotes of
    rejected submissions that are not in the traces, ``shortened`` the traces with at least one text
    that was shortened to fit into a prompt. ``prompts`` maps the name of each prompt to a hash of
    its text. ``survey`` says what the survey read and with what odds a rare failure is in it,
    ``investigations`` how many were given out.
    """

    model: str
    sub_model: str
    turns: int
    ending: AnalysisEnding
    ending_detail: str
    summary: str | None = None
    rejected: tuple[RejectedFinding, ...] = ()
    quotes_not_found: int = 0
    shortened: int = 0
    costs: tuple[Cost, ...] = ()
    billing: Billing = Billing()
    prompts: dict[str, str] = {}
    survey: str = ""
    investigations: int = 0

    @model_validator(mode="before")
    @classmethod
    def _from_earlier_version(cls, data: Any) -> Any:
        """Accept ``ending`` as free text: reports of earlier versions have no ``ending_detail``."""
        if not isinstance(data, dict) or "ending_detail" in data or "ending" not in data:
            return data
        return {**data, "ending": ending_of(data["ending"]), "ending_detail": data["ending"]}

    @property
    def is_complete(self) -> bool:
        """Whether the model finished the analysis itself."""
        return self.ending is AnalysisEnding.FINISHED

    @property
    def is_out_of_budget(self) -> bool:
        """Whether a limit of the budget ended the analysis, or was passed by what was billed."""
        return self.ending is AnalysisEnding.BUDGET_EXHAUSTED or bool(self.billing.passed)
