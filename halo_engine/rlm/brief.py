"""The user's request to the analysis by a model, in a module that is imported fast."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class InvestigationBrief:
    """The user's request to the analysis by a model; every part is optional.

    ``background`` describes the agent and its purpose. ``root_causes`` requests the root cause of
    each failed trace. ``code`` is the folder with the agent's source, in which the model can look
    up causes. ``seed`` determines the random samples.
    """

    question: str | None = None
    background: str | None = None
    root_causes: bool = False
    code: str | None = None
    seed: int = 0
