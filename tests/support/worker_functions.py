"""What workers are given to do in tests: functions that their processes can import."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from halo_engine.schema import Trace


def doubled(number: int) -> int:
    """A function that fails for one number."""
    if number == 13:
        raise ValueError("thirteen is not doubled")
    return number * 2


def dies_at_first(place: Path) -> str:
    """The name of ``place``; the process that is the first to work on it is killed."""
    try:
        (place / "begun").touch(exist_ok=False)
    except FileExistsError:
        return place.name
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def dies(number: int) -> int:
    """Kill the process for one number."""
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def process_id(number: int) -> int:
    """The process that works on ``number``."""
    return os.getpid()


def process_id_later(number: int) -> int:
    """The process that works on ``number``, after a moment."""
    time.sleep(0.02)
    return os.getpid()


def objects_between_searches(number: int) -> int:
    """How many objects the process makes between two searches for cycles."""
    return gc.get_threshold()[0]


def sleeps(number: int) -> int:
    """``number``, after a moment."""
    time.sleep(0.2)
    return number


def process_packing(traces: Sequence[Trace]) -> int:
    """The process that packs ``traces``."""
    return os.getpid()


class OddError(Exception):
    """An error that no other process can make."""

    def __init__(self, *, number: int) -> None:
        super().__init__(f"{number} is odd")


def fails_oddly(number: int) -> int:
    """Fail for one number with an error of one's own."""
    if number == 3:
        raise OddError(number=number)
    return number
