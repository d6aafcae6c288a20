"""An issue: a failure mode of one project that was found, seen again, and decided about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from halo_engine.findings import DecisionKind, Finding, IssueMark
from halo_engine.issues.states import IssueStatus, Observation, status_of
from halo_engine.schema import FrozenModel


class Decision(FrozenModel):
    """A decision at the time ``at``, with its reason; it holds ``until`` then (None: for good).

    ``by`` is who decided, as the system or the platform names them.
    """

    kind: DecisionKind
    at: datetime
    reason: str = ""
    until: datetime | None = None
    by: str = ""


class Issue(FrozenModel):
    """A failure of one ``project``, under a short ``id`` that is unique in a home.

    ``finding`` is what was last found, in run ``run_id``. Observations and decisions are in the order
    in which they were made.
    """

    id: str
    project: str
    finding: Finding
    run_id: str
    created_at: datetime
    observations: Sequence[Observation] = ()
    decisions: Sequence[Decision] = ()

    @property
    def number(self) -> int:
        """The number in its id."""
        return int(self.id.rpartition("-")[2])

    def decision(self, now: datetime) -> Decision | None:
        """The decision that holds at ``now``: to mute or to accept it; None where it is open."""
        last = self.decisions[-1] if self.decisions else None
        if last is None or last.kind is DecisionKind.REOPENED:
            return None
        return last if last.until is None or now < last.until else None

    @property
    def status(self) -> IssueStatus:
        """How it stands, by what was observed."""
        return status_of(self.observations)

    def mark(self, now: datetime) -> IssueMark:
        """What a finding says of it."""
        decision = self.decision(now)
        return IssueMark(
            id=self.id, state=self.status.state, decision=decision.kind if decision else None
        )
