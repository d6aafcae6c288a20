"""Previews of writes: what was shown in this session, and may be written once."""

from __future__ import annotations

import secrets
from typing import NamedTuple

from halo_engine.errors import ConfigError

TOKEN_BYTES = 9


class PlannedWrite(NamedTuple):
    """A write: the tool, the run or issue that it is about, and all that it would do, as text.

    ``sentence`` says it to a person.
    """

    tool: str
    target: str
    content: str
    sentence: str


class Previews:
    """The plans that were shown in this session, each under a random token.

    A text in a trace cannot know a token, and a token stands for one plan: whoever follows such a
    text can neither write at once nor anything that was not shown.
    """

    def __init__(self) -> None:
        self._plans: dict[str, PlannedWrite] = {}

    def offer(self, plan: PlannedWrite) -> str:
        """A token by which ``plan`` can be carried out, once."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        self._plans[token] = plan
        return token

    def shown(self, token: str) -> str | None:
        """What the plan of ``token`` would do, as a sentence; None where there is none."""
        plan = self._plans.get(token)
        return plan.sentence if plan else None

    def redeem(self, token: str, plan: PlannedWrite) -> None:
        """Use up ``token``; ``ConfigError`` unless it was given for this very plan."""
        shown = self._plans.pop(token, None)
        if shown is None:
            raise ConfigError(
                "No preview of this session has this token, or it was used: call without a token, "
                "and show your user the preview."
            )
        if shown[:2] != plan[:2]:
            raise ConfigError(f"This token is for: {shown.tool} {shown.target}. Nothing was done.")
        if shown != plan:
            raise ConfigError(
                "What would be written is no longer what the preview showed: call without a token "
                "for a new one. Nothing was done."
            )
