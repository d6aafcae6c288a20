"""The issue that a finding is, as it stood when the report was made."""

from __future__ import annotations

from enum import StrEnum

from halo_engine.schema import FrozenModel


class IssueState(StrEnum):
    """How an issue stands.

    ``NEW`` until a later run sees it again. ``RESOLVED``: enough later traces were judged, and it
    shows in none of them (``halo_engine.statistics.difference.clean_traces``). ``REGRESSED``: seen
    again after that.
    """

    NEW = "new"
    ONGOING = "ongoing"
    WORSE = "worse"
    REGRESSED = "regressed"
    RESOLVED = "resolved"


class DecisionKind(StrEnum):
    """What a person decided about an issue."""

    MUTED = "muted"
    ACCEPTED = "accepted"
    REOPENED = "reopened"


class IssueMark(FrozenModel):
    """The short ``id`` of an issue, its state, and the decision that holds (None: it is open)."""

    id: str
    state: IssueState
    decision: DecisionKind | None = None

    def decided(self, decision: DecisionKind | None) -> IssueMark:
        """The mark where this is decided of the issue."""
        return self.model_copy(update={"decision": decision})

    @property
    def standing(self) -> str:
        """The state, and the decision where there is one: ``worse``, ``worse, accepted``."""
        return f"{self.state}, {self.decision}" if self.decision else str(self.state)

    def __str__(self) -> str:
        return f"{self.id}, {self.standing}"
