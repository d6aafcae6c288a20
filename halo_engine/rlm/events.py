"""Events of an analysis by a model, reported as they happen."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from halo_engine.schema import FrozenModel


class AnalysisEventKind(StrEnum):
    """The kind of an event, which determines the keys of its ``data``."""

    STARTED = "started"
    ANSWERED = "answered"
    RAN = "ran"
    SUBMITTED = "submitted"
    COMPACTED = "compacted"
    REVIEWED = "reviewed"
    LABELLED = "labelled"
    ENDED = "ended"


class AnalysisEvent(FrozenModel):
    """An event at the time ``at`` (UTC) in ``turn``, which is 0 outside of the loop."""

    at: datetime
    kind: AnalysisEventKind
    turn: int = 0
    data: dict[str, Any] = {}


OnEvent = Callable[[AnalysisEvent], None]


def analysis_event(kind: AnalysisEventKind, turn: int = 0, **data: Any) -> AnalysisEvent:
    """An event with the current time."""
    return AnalysisEvent(at=datetime.now(UTC), kind=kind, turn=turn, data=data)


def ignore_event(_: AnalysisEvent) -> None:
    """An ``OnEvent`` that does nothing."""
