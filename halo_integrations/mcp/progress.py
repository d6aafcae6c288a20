"""How far a tool is: told to a client that asks for it, by a progress token."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, get_type_hints

from anyio.from_thread import run as run_in_loop
from mcp.server.mcpserver import Context

from halo_integrations.options.callbacks import Progress

SECONDS_BETWEEN = 1.0
FILLED_IN = "on_progress"


class ProgressNotifications:
    """Tells the client of ``context`` each step, and within one how far it is, once a second.

    The number that it tells grows over all steps, as the protocol demands.
    """

    def __init__(self, context: Context[Any, Any]) -> None:
        self._context = context
        self._step = ""
        self._before = self._done = 0
        self._next = 0.0

    def __call__(self, progress: Progress) -> None:
        """Tell it, unless the last time was just now."""
        if progress.step != self._step:
            self._step, self._next = progress.step, 0.0
            self._before += self._done
        self._done = progress.done
        if (now := time.monotonic()) < self._next:
            return
        self._next = now + SECONDS_BETWEEN
        of = "" if progress.total is None else f" of {progress.total:,}"
        message = f"{progress.step}: {progress.done:,}{of} {progress.unit}"
        run_in_loop(self._context.report_progress, self._before + progress.done, None, message)


def with_progress(tool: Callable[..., str]) -> Callable[..., str]:
    """``tool``; where it has a parameter ``on_progress``, that leads to the client."""
    signature = inspect.signature(tool, eval_str=True)
    if FILLED_IN not in signature.parameters:
        return tool

    @wraps(tool)
    def call(*, context: Context[Any, Any], **arguments: object) -> str:
        return tool(**arguments, on_progress=ProgressNotifications(context))

    # The SDK learns from the signature what to tell the model, and fills in the context by its type.
    kept = [p for name, p in signature.parameters.items() if name != FILLED_IN]
    filled = inspect.Parameter(
        "context", inspect.Parameter.KEYWORD_ONLY, annotation=Context[Any, Any]
    )
    call.__signature__ = signature.replace(parameters=[*kept, filled])  # type: ignore[attr-defined]
    hints = get_type_hints(tool, include_extras=True)
    del hints[FILLED_IN]
    call.__annotations__ = {**hints, "context": filled.annotation}
    return call
