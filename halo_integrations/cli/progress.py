"""Progress on standard error: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from math import ceil
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

from halo_integrations.options.callbacks import Progress

PLAIN_SECONDS = 5.0


class CountColumn(ProgressColumn):
    """``done/total unit``; bytes in MB."""

    def render(self, task: Task) -> Text:
        """The counts of ``task``."""
        return Text(counts(int(task.completed), task.total, task.fields["unit"]))


def counts(done: int, total: float | None, unit: str) -> str:
    """``done`` of ``total`` with the unit."""
    if unit == "bytes":
        return f"{decimal(done)} of {decimal(int(total or 0))}"
    return f"{done:,} of {int(total):,} {unit}" if total is not None else f"{done:,} {unit}"


class ProgressView:
    """Shows steps as bars on a terminal; elsewhere as lines at least ``PLAIN_SECONDS`` apart.

    The bar of a step is gone when it is done: an analysis by a model has more than a screen of them.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Bars(
            TextColumn("{task.description:<15}"),
            BarColumn(bar_width=None),
            CountColumn(),
            TimeRemainingColumn(),
            console=console,
            expand=False,
            transient=True,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._told: dict[str, float] = {}  # until when a reason to wait was told
        # When the last line of a step was printed, and the counts in it.
        self._printed: dict[str, tuple[float, tuple[int, int | None] | None]] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def __call__(self, progress: Progress) -> None:
        """Show the progress of a step."""
        if self._console.is_terminal:
            self._move(progress)
        elif self._is_due(progress):
            line = counts(progress.done, progress.total, progress.unit)
            self._console.print(f"{progress.step}: {line}", soft_wrap=True)

    def _move(self, progress: Progress) -> None:
        if progress.step not in self._tasks:
            self._tasks[progress.step] = self._bars.add_task(
                progress.step, total=progress.total, unit=progress.unit
            )
        self._bars.update(
            self._tasks[progress.step],
            completed=progress.done,
            total=progress.total,
            unit=progress.unit,
            visible=progress.done != progress.total,
        )

    def _is_due(self, progress: Progress) -> bool:
        now, numbers = time.monotonic(), (progress.done, progress.total)
        printed_at, printed = self._printed.setdefault(progress.step, (now, None))
        is_done = progress.done == progress.total and printed != numbers
        due = is_done or now - printed_at > PLAIN_SECONDS
        if due:
            self._printed[progress.step] = now, numbers
        return due

    def waiting(self, reason: str, seconds: float) -> None:
        """Print why, and for how many seconds, a platform or a model has to be waited for.

        Calls that run side by side wait for the same reason: it is told once at a time.
        """
        now = time.monotonic()
        if now < self._told.get(reason, 0):
            return
        self._told[reason] = now + seconds
        self._console.print(f"Waiting {ceil(seconds)} s: {reason}", style="yellow", soft_wrap=True)
