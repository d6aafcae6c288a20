"""What happens in an analysis by a model, as it happens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from halo_engine.schema import FrozenModel


class AnalysisEventKind(StrEnum):
    """What happened."""

    STARTED = "started"
    ANSWERED = "answered"
    RAN = "ran"
    SUBMITTED = "submitted"
    COMPACTED = "compacted"
    REVIEWED = "reviewed"
    LABELLED = "labelled"
    ENDED = "ended"


class AnalysisEvent(FrozenModel):
    """One thing that happened, in ``turn`` (0: outside of turns), with what belongs to it."""

    at: datetime
    kind: AnalysisEventKind
    turn: int = 0
    data: dict[str, Any] = {}


OnEvent = Callable[[AnalysisEvent], None]


def analysis_event(kind: AnalysisEventKind, turn: int = 0, **data: Any) -> AnalysisEvent:
    """An event of now."""
    return AnalysisEvent(at=datetime.now(UTC), kind=kind, turn=turn, data=data)


def ignore_event(_: AnalysisEvent) -> None:
    """Tell nobody."""
