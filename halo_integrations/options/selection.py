"""What a user asks for, in the user's words, and the query it comes to."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field

from halo_adapters.base import TraceQuery
from halo_engine.errors import ConfigError
from halo_engine.schema import FrozenModel

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
AGE = re.compile(r"(\d+)\s*([smhdw])", re.IGNORECASE)

LAST = "last"
# Spans may arrive late: an incremental pull reads this much of the former window again.
OVERLAP = timedelta(minutes=15)


class TraceSelection(FrozenModel):
    """Which traces to look at.

    ``since`` and ``until`` are an age (``90m``, ``24h``, ``7d``) or an ISO 8601 time (without an
    offset: UTC); ``since`` may be ``last``, for what came after the last pull of the same question.
    """

    source: str
    project: str | None = None
    since: str | None = None
    until: str | None = None
    trace_ids: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    session_id: str | None = None
    user_id: str | None = None
    release: str | None = None
    version: str | None = None
    errors_only: bool = False
    metadata: dict[str, str] = {}
    limit: int | None = Field(None, gt=0)
    sample: int | None = Field(None, gt=0)
    seed: int = 0

    def query(self, now: datetime, watermark: datetime | None) -> TraceQuery:
        """The query at the time ``now``; ``watermark`` is when this was last asked."""
        since = watermark if self.since == LAST else moment("since", self.since, now)
        until = moment("until", self.until, now)
        if since and until and since >= until:
            raise ConfigError(f"--since ({since:%c}) is not before --until ({until:%c}).")
        if self.limit is not None and self.sample is not None:
            raise ConfigError("Give --limit (the newest) or --sample (at random), not both.")
        return TraceQuery(
            since=since - OVERLAP if self.since == LAST and since else since,
            until=until,
            **self.model_dump(exclude={"source", "since", "until"}),
        )

    def given(self) -> list[str]:
        """The filters that were given, by their names in ``TraceQuery``."""
        plain = TraceSelection(source=self.source)
        names = TraceQuery.model_fields.keys() - {"already_stored", "seed"}
        return sorted(name for name in names if getattr(self, name) != getattr(plain, name))

    @property
    def is_partial(self) -> bool:
        """Whether it leaves out some of what is new, so that the next one cannot go on from it."""
        return any(part is not None for part in (self.limit, self.sample, self.until))

    def subject(self, settings: dict[str, Any]) -> str:
        """What a watermark belongs to: the question without its window, and the adapter."""
        outside = {"since", "until", "limit", "sample", "seed"}
        asked = self.model_dump(exclude=outside, mode="json")
        return repr(sorted({**asked, **settings}.items()))


def moment(name: str, text: str | None, now: datetime) -> datetime | None:
    """An age before ``now`` or an ISO time, aware; None for no text."""
    if text is None:
        return None
    if age := AGE.fullmatch(text.strip()):
        return now - timedelta(**{UNITS[age[2].lower()]: int(age[1])})
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"--{name} {text!r} is not a time. Write an age (90m, 24h, 7d) or an ISO time "
            f"(2026-01-31 or 2026-01-31T14:00:00+01:00)."
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
