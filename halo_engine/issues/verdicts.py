"""What people say of an issue on the platform."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from halo_engine.findings import PeopleVerdicts
from halo_engine.schema import FrozenModel

REFUSED = "{refused} of {judged} verdicts on its marks refuse it"
CONFIRMED = "{confirmed} of {judged} verdicts on its marks confirm it"


class PersonVerdict(FrozenModel):
    """Whether a person ``confirms`` an issue at one mark of it.

    ``at`` is when they said so or, where the platform does not tell, when it was read; ``by`` is who,
    "" where it does not tell.
    """

    trace_id: str
    span_id: str | None = None
    confirms: bool
    by: str = ""
    at: datetime


def people_say(verdicts: Sequence[PersonVerdict]) -> PeopleVerdicts | None:
    """The verdicts in numbers: of each person on each mark the last one; None without any."""
    last = {(v.trace_id, v.span_id, v.by): v for v in sorted(verdicts, key=lambda v: v.at)}
    if not last:
        return None
    return PeopleVerdicts(confirmed=sum(v.confirms for v in last.values()), judged=len(last))
