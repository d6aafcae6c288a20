"""A command that is repeated until Ctrl-C or SIGTERM, which end it where nothing is half done."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from halo_integrations.cli.interrupts import INTERRUPTS, STOPS


class StopRequest:
    """Within the block the first of ``STOPS`` is a request, and a second one ends at once.

    A request is noticed at the next ``check``, which raises ``KeyboardInterrupt``, or ends a pause.
    """

    def __init__(self) -> None:
        self._is_requested = False
        self._is_idle = False

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._requested) for number in STOPS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _requested(self, _number: int, _frame: FrameType | None) -> None:
        if not INTERRUPTS.is_request():
            return
        if self._is_requested or self._is_idle:
            raise KeyboardInterrupt
        self._is_requested = True

    def check(self) -> None:
        """Raise ``KeyboardInterrupt`` where it was asked to stop."""
        if self._is_requested:
            raise KeyboardInterrupt

    def pause(self, seconds: float) -> None:
        """Wait, until it is asked to stop."""
        self._is_idle = True
        try:
            self.check()
            time.sleep(seconds)
        finally:
            self._is_idle = False


def repeat(action: Callable[[], object], every: float, stop: StopRequest) -> None:
    """Call ``action`` every so many seconds, or as soon as it has ended, until ``stop``."""
    try:
        while True:
            begun = time.monotonic()
            action()
            stop.pause(max(0.0, begun + every - time.monotonic()))
    except KeyboardInterrupt:
        return
