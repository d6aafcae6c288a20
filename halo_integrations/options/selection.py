"""Which traces to read, as a user writes it, and the query for an adapter that follows from it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from pydantic import Field, field_validator

from halo_adapters.base import TraceQuery
from halo_engine.errors import ConfigError
from halo_engine.schema import FrozenModel
from halo_integrations.options.declaration import flag_of, option

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
AGE = re.compile(r"(\d+)\s*([smhdw])", re.IGNORECASE)

# A point in time as a caller gives it; see ``TraceWindow``.
When = str | datetime | date | timedelta

LAST = "last"
ALL = "all"
# What is read of a platform without a word about how much.
DEFAULT_LIMIT = 1000
# Spans can be exported late: an incremental pull reads this much of the previous window again. All of
# it is listed, read and analysed at each pull, so it is not as long as the longest run.
OVERLAP = timedelta(minutes=15)


class TraceWindow(FrozenModel):
    """How much to read.

    ``since`` and ``until`` are an age (``90m``, ``24h``, ``7d``, a ``timedelta``) or a time (ISO
    8601, a ``datetime``, a ``date`` for its first moment), UTC where it has no offset.
    ``since="last"`` is ``OVERLAP`` before the start of the previous pull with the same filters: a
    trace of which nothing is stored so long after its start can be missed. Of a platform, where
    nothing tells how much to read, the newest ``DEFAULT_LIMIT`` traces are read; ``since="all"`` is
    everything.
    """

    since: When | None = Field(
        default=None,
        description="Traces from then on: 24h, 7d, an ISO time, `all`, or `last`: from "
        f"{OVERLAP // timedelta(minutes=1)} minutes before the last run.",
        json_schema_extra=option("--since", metavar="WHEN"),
    )
    until: When | None = Field(
        default=None,
        description="Traces before then: an age or an ISO time.",
        json_schema_extra=option("--until", metavar="WHEN"),
    )
    limit: int | None = Field(
        default=None,
        gt=0,
        description="The N newest traces, whole [1000 of a platform where no window is given].",
        json_schema_extra=option("--limit", metavar="N"),
    )
    sample: int | None = Field(
        default=None,
        gt=0,
        description="N traces at random, whole.",
        json_schema_extra=option("--sample", metavar="N"),
    )
    seed: int = Field(
        default=0,
        description="Seed of the sample: the same seed draws the same traces [0].",
        json_schema_extra=option("--seed", metavar="S"),
    )

    @field_validator("since", "until", mode="before")
    @classmethod
    def _is_age_or_time(cls, when: Any) -> Any:
        if when is not None and not isinstance(when, When):
            raise ValueError(
                f"it is an age ('24h', a timedelta) or a time (ISO 8601, a datetime, a date), not "
                f"a {type(when).__name__}"
            )
        return when


class TraceCriteria(FrozenModel):
    """What traces must be like to be read; every given criterion must match."""

    errors_only: bool = Field(
        default=False,
        description="Only traces in which a span failed.",
        json_schema_extra=option("--errors-only"),
    )
    environments: Sequence[str] = Field(
        default=(),
        description="Only traces of this environment (repeatable).",
        json_schema_extra=option("--environment", metavar="NAME"),
    )
    names: Sequence[str] = Field(
        default=(),
        description="Only traces of this name (repeatable).",
        json_schema_extra=option("--trace-name", metavar="NAME"),
    )
    tags: Sequence[str] = Field(
        default=(),
        description="Only traces with this tag (repeatable: with all of them).",
        json_schema_extra=option("--tag", metavar="TAG"),
    )
    session_id: str | None = Field(
        default=None,
        description="Only traces of this session.",
        json_schema_extra=option("--session", metavar="ID"),
    )
    user_id: str | None = Field(
        default=None,
        description="Only traces of this user.",
        json_schema_extra=option("--user", metavar="ID"),
    )
    release: str | None = Field(
        default=None,
        description="Only traces of this release.",
        json_schema_extra=option("--release", metavar="NAME"),
    )
    version: str | None = Field(
        default=None,
        description="Only traces of this version of the app.",
        json_schema_extra=option("--app-version", metavar="NAME"),
    )
    trace_ids: Sequence[str] = Field(
        default=(),
        description="Only this trace (repeatable).",
        json_schema_extra=option("--trace", metavar="ID"),
    )
    metadata: Mapping[str, str] = Field(
        default={},
        description="Only traces with this span attribute (repeatable).",
        json_schema_extra=option("--metadata", metavar="KEY=VALUE"),
    )


class TraceFilters(TraceCriteria, TraceWindow):
    """Which traces to read: how much, and of what kind."""


class TraceSelection(TraceFilters):
    """A source and the traces of it to read.

    ``source`` is the name of a platform, a path, or ``-`` for standard input.
    """

    source: str
    project: str | None = None

    def query(self, now: datetime, watermark: datetime | None) -> TraceQuery:
        """The query at the time ``now``; ``watermark`` is the start of the previous pull.

        Raises ``ConfigError`` for a time that cannot be parsed, an empty window, or a limit and a
        sample together.
        """
        relative = {LAST: watermark, ALL: None}
        is_relative = isinstance(self.since, str) and self.since in relative
        since = relative[str(self.since)] if is_relative else moment("since", self.since, now)
        until = moment("until", self.until, now)
        if since and until and since >= until:
            raise ConfigError(f"--since ({since:%c}) is not before --until ({until:%c}).")
        if self.limit is not None and self.sample is not None:
            raise ConfigError("Give --limit (the newest) or --sample (at random), not both.")
        if self.seed and self.sample is None:
            raise ConfigError("--seed is about --sample, which is not given: leave --seed out.")
        return TraceQuery(
            since=since - OVERLAP if self.since == LAST and since else since,
            until=until,
            **self.model_dump(exclude={"source", "since", "until"}),
        )

    def given(self) -> list[str]:
        """The filters that were given, by their names in ``TraceQuery``."""
        names = TraceQuery.model_fields.keys() - {"already_stored", "seed"}
        return sorted(name for name in names if getattr(self, name))

    def is_boundless(self, query: TraceQuery) -> bool:
        """Whether ``query``, made of it, reads everything though nobody has said so."""
        bounds = (query.since, query.limit, query.sample, query.trace_ids or None)
        return self.since != ALL and all(bound is None for bound in bounds)

    @property
    def is_partial(self) -> bool:
        """Whether it leaves out some of the new traces, so that no later pull can start from it."""
        return any(part is not None for part in (self.limit, self.sample, self.until))

    def watermark_key(self, location: str) -> str:
        """What a watermark belongs to: the filters without the window, and what they are asked of.

        Not how it is reached: with other keys or time-outs the same traces are new.
        """
        window = {"source", "project", "since", "until", "limit", "sample", "seed"}
        filters = self.model_dump(exclude=window, mode="json")
        given = {name: value for name, value in filters.items() if value}
        return json.dumps([location, given], sort_keys=True)


def filters_text(query: TraceQuery) -> str:
    """The filters of ``query`` as they are written on the command line; "" where it has none."""
    numbers = ("limit", "sample", "seed")
    return " ".join(
        f"{flag_of(TraceFilters, name)} {text}".rstrip()
        for name in TraceFilters.model_fields
        if name not in numbers and getattr(query, name)
        for text in flag_values(getattr(query, name))
    )


def flag_values(value: Any) -> list[str]:
    """The value of a filter as texts, one for each time that its flag is given."""
    if isinstance(value, datetime):
        return [value.isoformat(timespec="minutes")]
    if isinstance(value, Mapping):
        return [f"{key}={text}" for key, text in value.items()]
    if isinstance(value, bool):
        return [""]
    return [value] if isinstance(value, str) else list(value)


def moment(name: str, when: When | None, now: datetime) -> datetime | None:
    """An age before ``now`` or a time, aware; None for None.

    Raises ``ConfigError`` for anything else; ``name`` is the option it came from.
    """
    if when is None:
        return None
    try:
        return now - when if isinstance(when, timedelta) else time_of(when, now)
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            f"--{name} {str(when)!r} is not a time. Write an age (90m, 24h, 7d) or an ISO time "
            f"(2026-01-31 or 2026-01-31T14:00:00+01:00)."
        ) from error


def moment_ahead(name: str, when: When | None, now: datetime) -> datetime | None:
    """As ``moment``, but an age is that long after ``now``; ``ConfigError`` for what has passed."""
    if when is None:
        return None
    found = moment(name, when, now)
    assert found is not None
    is_age = isinstance(when, timedelta) or (isinstance(when, str) and age_of(when) is not None)
    ahead = now + (now - found) if is_age else found
    if ahead <= now:
        raise ConfigError(
            f"--{name} {str(when)!r} has passed: write how long (14d) or a later time."
        )
    return ahead


def age_of(text: str) -> timedelta | None:
    """A text such as 90m as a time span; None for any other. Raises ``OverflowError``."""
    found = AGE.fullmatch(text.strip())
    return timedelta(**{UNITS[found[2].lower()]: int(found[1])}) if found else None


def time_of(when: str | date, now: datetime) -> datetime:
    """``when``, aware: in UTC where it has no offset; a text may be an age before ``now``."""
    if isinstance(when, str):
        age = age_of(when)
        if age is not None:
            return now - age
        when = datetime.fromisoformat(when)
    found = when if isinstance(when, datetime) else datetime.combine(when, time.min)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
