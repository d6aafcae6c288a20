"""What happens in an analysis by a model, as it happens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from halo_engine.schema import Model


class EventKind(StrEnum):
    """What happened."""

    STARTED = "started"
    ANSWERED = "answered"
    RAN = "ran"
    SUBMITTED = "submitted"
    COMPACTED = "compacted"
    REVIEWED = "reviewed"
    LABELLED = "labelled"
    ENDED = "ended"


class Event(Model):
    """One thing that happened, in ``turn`` (0: outside of turns), with what belongs to it."""

    at: datetime
    kind: EventKind
    turn: int = 0
    data: dict[str, Any] = {}


OnEvent = Callable[[Event], None]


def event(kind: EventKind, turn: int = 0, **data: Any) -> Event:
    """An event of now."""
    return Event(at=datetime.now(UTC), kind=kind, turn=turn, data=data)


def nobody(_: Event) -> None:
    """Tell nobody."""
