"""Callbacks of the verbs: progress, waits and messages. The verbs themselves print nothing."""

from __future__ import annotations

from collections.abc import Callable

from halo_adapters.base import OnWait
from halo_engine.schema import FrozenModel

__all__ = [
    "Notice",
    "OnNotice",
    "OnProgress",
    "OnWait",
    "Progress",
    "no_notice",
    "no_progress",
    "no_wait",
]


class Progress(FrozenModel):
    """Progress of a step: ``done`` of ``total`` (None: not known yet), counted in ``unit``."""

    step: str
    done: int
    total: int | None
    unit: str


class Notice(FrozenModel):
    """A sentence for the user while a verb is at work."""

    text: str
    is_warning: bool = False


OnProgress = Callable[[Progress], None]
OnNotice = Callable[[Notice], None]


def no_progress(_: Progress) -> None:
    """Ignore progress."""


def no_wait(_reason: str, _seconds: float) -> None:
    """Ignore waits."""


def no_notice(_: Notice) -> None:
    """Ignore messages."""
