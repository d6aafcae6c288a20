"""An issue: a failure mode of one project that was found, seen again, and decided about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from halo_engine.findings import DecisionKind, Finding, IssueMark, PeopleVerdicts
from halo_engine.issues.states import IssueStatus, Observation, status_of
from halo_engine.issues.verdicts import CONFIRMED, REFUSED, PersonVerdict, people_say
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
    in which they were made; ``verdicts`` are those of people on the platform.
    """

    id: str
    project: str
    finding: Finding
    run_id: str
    created_at: datetime
    observations: Sequence[Observation] = ()
    decisions: Sequence[Decision] = ()
    verdicts: Sequence[PersonVerdict] = ()

    @property
    def number(self) -> int:
        """The number in its id."""
        return int(self.id.rpartition("-")[2])

    def decision(self, now: datetime) -> Decision | None:
        """The decision that holds at ``now``: to mute or to accept it; None where it is open.

        Where the time of one has ended, the one before it holds.
        """
        last = next((d for d in reversed(self.decisions) if d.until is None or now < d.until), None)
        return None if last is None or last.kind is DecisionKind.REOPENED else last

    def is_muted(self, now: datetime) -> bool:
        """Whether a decision to mute it holds at ``now``."""
        decision = self.decision(now)
        return decision is not None and decision.kind is DecisionKind.MUTED

    @property
    def status(self) -> IssueStatus:
        """How it stands, by what was observed."""
        return status_of(self.observations)

    @property
    def people(self) -> PeopleVerdicts | None:
        """What people say of its marks; None where they say nothing."""
        return people_say(self.verdicts)

    def decision_of_people(self, by: str, now: datetime) -> Decision | None:
        """What ``by``, the people, decide about it by their verdicts, where that is another thing.

        What they refuse is muted, unless somebody decided after their last verdict; what they had
        muted, and do not refuse any more, is open again.
        """
        people, standing = self.people, self.decision(now)
        if people is None:
            return None
        counts = people.model_dump() | {"refused": people.refused}
        is_news = not self.decisions or max(v.at for v in self.verdicts) > self.decisions[-1].at
        if people.is_refusal and standing is None and is_news:
            return Decision(
                kind=DecisionKind.MUTED, at=now, reason=REFUSED.format_map(counts), by=by
            )
        is_theirs = standing and standing.kind is DecisionKind.MUTED and standing.by == by
        if is_theirs and not people.is_refusal:
            return Decision(
                kind=DecisionKind.REOPENED, at=now, reason=CONFIRMED.format_map(counts), by=by
            )
        return None

    def mark(self, now: datetime) -> IssueMark:
        """What a finding says of it."""
        decision = self.decision(now)
        return IssueMark(
            id=self.id, state=self.status.state, decision=decision.kind if decision else None
        )
