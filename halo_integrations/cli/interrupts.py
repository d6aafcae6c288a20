"""Ctrl-C and SIGTERM end a command in order and with one sentence, wherever in it they come.

Left to Python, SIGTERM ends it at once; a second key press, which many make, breaks what puts things
in order after the first; and an interrupt that comes while an object is deleted is printed and lost.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

# The signals that ask to stop.
STOPS = (signal.SIGINT, signal.SIGTERM)

# Requests within so many seconds are one; a later one ends what takes too long to end.
ONE_REQUEST_SECONDS = 0.5
AGAIN_AFTER_SECONDS = 0.01


class Interrupts:
    """A handler of signals that raises ``KeyboardInterrupt`` once for those that come together."""

    def __init__(self) -> None:
        self._until = 0.0

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        if self.is_request():
            raise KeyboardInterrupt

    def is_request(self) -> bool:
        """Whether a signal that comes now asks anew: it is not one with the request before it."""
        if time.monotonic() < self._until:
            return False
        self._until = time.monotonic() + ONE_REQUEST_SECONDS
        return True

    def retry(self, unraisable: UnraisableHookArgs) -> None:
        """Interrupt again where nothing could catch it; as ``sys.unraisablehook``."""
        if unraisable.exc_type is not KeyboardInterrupt:
            sys.__unraisablehook__(unraisable)
            return
        self._until = 0.0
        threading.Timer(AGAIN_AFTER_SECONDS, interrupt, [threading.get_ident()]).start()


# One for all signals and for the hook, so that none takes the retry of another for a second press.
INTERRUPTS = Interrupts()


def interrupt(thread: int) -> None:
    """Send SIGINT to the main ``thread`` from another, so that it ends what that waits for."""
    if sys.platform == "win32":
        signal.raise_signal(signal.SIGINT)
    else:  # one that this thread gets would leave the main thread in its system call
        signal.pthread_kill(thread, signal.SIGINT)


def handle_interrupts() -> None:
    """Have ``STOPS`` raise ``KeyboardInterrupt`` from now on, but those that this process ignores."""
    for number in STOPS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, INTERRUPTS)
    sys.unraisablehook = INTERRUPTS.retry
