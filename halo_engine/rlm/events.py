"""Events of an analysis by a model, reported as they happen; its unexpected errors among them."""

from __future__ import annotations

import copy
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from halo_engine.schema import Failure, FrozenModel
from halo_engine.text.redaction import redact_visible

STAGE = "analysis by a model"
ERROR_CHARS = 600


class AnalysisEventKind(StrEnum):
    """The kind of an event, which determines the keys of its ``data``."""

    COMPARED = "compared"
    SURVEYED = "surveyed"
    READ = "read"
    STARTED = "started"
    ANSWERED = "answered"
    RAN = "ran"
    SUBMITTED = "submitted"
    COMPACTED = "compacted"
    REVIEWED = "reviewed"
    LABELLED = "labelled"
    FAILED = "failed"
    ENDED = "ended"


class AnalysisEvent(FrozenModel):
    """An event at the time ``at`` (UTC) in ``turn``, which is 0 outside of a loop.

    ``part`` is the investigation that it is of, empty for the one that gives out the others.
    """

    at: datetime
    kind: AnalysisEventKind
    turn: int = 0
    part: str = ""
    data: dict[str, Any] = {}


OnEvent = Callable[[AnalysisEvent], None]


def ignore_event(_: AnalysisEvent) -> None:
    """An ``OnEvent`` that does nothing."""


class EventLog:
    """Reports events to ``listener``, and keeps the errors that nobody expected in ``failures``.

    An analysis that was paid for goes on after an error of the listener, which is one of them. Events
    may come from several threads; the listener gets one at a time.
    """

    def __init__(self, listener: OnEvent = ignore_event) -> None:
        self._listener = listener
        self._part = ""
        self._lock = threading.RLock()
        self.failures: list[Failure] = []

    def of_part(self, name: str) -> EventLog:
        """The log of the investigation called ``name``, which adds to this one."""
        log = copy.copy(self)
        log._part = name
        return log

    def emit(self, kind: AnalysisEventKind, turn: int = 0, **data: Any) -> None:
        """Report an event with the current time."""
        event = AnalysisEvent(
            at=datetime.now(UTC), kind=kind, turn=turn, part=self._part, data=data
        )
        try:
            with self._lock:
                self._listener(event)
        except Exception as error:  # noqa: BLE001 - recorded; the listener may be anybody's
            self._add("the listener of events", error)

    def record_error(self, where: str, error: Exception) -> Failure:
        """Record an ``error`` that is a fault of this package, with its traceback as an event."""
        lines = traceback.format_exception(error)
        self.emit(
            AnalysisEventKind.FAILED,
            where=where,
            error=one_line_error(error),
            traceback=redact_visible("".join(lines)),
        )
        return self._add(where, error)

    def _add(self, where: str, error: Exception) -> Failure:
        failure = Failure(stage=STAGE, where=where, what=one_line_error(error))
        if failure not in self.failures:
            self.failures.append(failure)
        return failure


class ReadingCounter:
    """Tells ``log`` how far a reading of ``total`` traces for one ``purpose`` is; thread-safe."""

    def __init__(self, log: EventLog, purpose: str, total: int) -> None:
        self._log = log
        self._purpose = purpose
        self._total = total
        self._done = 0
        self._lock = threading.Lock()

    def add(self, traces: int) -> None:
        """Report that so many more traces have been read."""
        with self._lock:  # until it is reported: no later event tells of fewer traces
            self._done += traces
            self._log.emit(
                AnalysisEventKind.READ,
                purpose=self._purpose,
                done=self._done,
                total=self._total,
            )


def one_line_error(error: Exception) -> str:
    """The class name and the first line of the message of ``error``, without secrets."""
    lines = "".join(traceback.format_exception_only(error)).splitlines()
    return redact_visible(lines[0])[:ERROR_CHARS]
