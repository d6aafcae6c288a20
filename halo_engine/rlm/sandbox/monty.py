"""The default sandbox: Monty, a restricted Python interpreter, in a worker process.

The code has no files, no network and a constant clock, and can reach this process only through host
functions. If the worker crashes, only the step is lost: the session is restored as it was before.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import Any

import pydantic_monty as monty

from halo_engine.errors import SandboxLost
from halo_engine.rlm.sandbox.base import (
    PRELUDE,
    BoundedOutput,
    ExecutionResult,
    HostError,
    HostFunctions,
)
from halo_engine.rlm.sandbox.lowering import lowered, with_hint

STEP_SECONDS = 20.0
HANG_SECONDS = 60.0
MEMORY_BYTES = 1_000_000_000
# Each call of a host function is one suspension.
MAX_SUSPENSIONS = 100_000
# Sent in one frame, for which Monty takes 256 MiB.
MAX_DUMP_BYTES = 200_000_000

# The same code gives the same results when a run is resumed.
POLICY: monty.OSPolicy = {
    "sleep": "zero",
    "datetime": datetime(2000, 1, 1, tzinfo=UTC),
    "random_start": {"seed": 0},
}
LINES_KEPT = "The lines before it have run, and what they assigned is kept."
NOTHING_RAN = "Nothing of this code has run."
# How Monty words what its parser has not; it is raised as an error of the run.
PARSER = "The monty syntax parser"
SESSION_KEPT = "Variables are as they were before this step; notes and findings are kept."


class MontySandbox:
    """A session in a worker process; the code of a step may run for ``seconds``."""

    def __init__(self, *, seconds: float = STEP_SECONDS) -> None:
        self._seconds = seconds
        self._stack = contextlib.ExitStack()
        self._pool = self._stack.enter_context(
            monty.Monty(min_processes=1, max_processes=1, request_timeout=HANG_SECONDS)
        )
        self._session_stack = contextlib.ExitStack()
        self._last: bytes | None = None
        self._session = self._checkout()

    @property
    def worker_pid(self) -> int:
        """The id of the process that runs the code; 0 without one."""
        return self._session.worker_pid or 0

    def run(self, code: str, functions: HostFunctions) -> ExecutionResult:
        """See ``Sandbox``."""
        printed = BoundedOutput()
        try:
            value = self._drive(lowered(code), functions, printed)
        except monty.MontyCrashedError as error:
            self._restore()
            return printed.result(f"The sandbox died ({error}). {SESSION_KEPT}")
        except monty.MontyError as error:
            return self._failed(printed, error)
        if value is not None and not str(printed):
            printed("stdout", repr(value))
        return self._checkpointed(printed.result())

    def dump(self) -> bytes | None:
        """See ``Sandbox``."""
        return self._last

    def load(self, session: bytes) -> None:
        """See ``Sandbox``."""
        self._last = session
        try:
            self._restore()
        except SandboxLost:
            self._last = None
            self._restore()
            raise

    def close(self) -> None:
        """See ``Sandbox``."""
        with contextlib.suppress(monty.MontyError):
            self._session_stack.close()
        self._stack.close()

    def _drive(self, code: str, functions: HostFunctions, printed: BoundedOutput) -> Any:
        """Run ``code`` to its end, calling host functions whenever it suspends for one."""
        snapshot: Any = self._session.feed_start(code, print_callback=printed)
        while not isinstance(snapshot, monty.MontyComplete):
            if not isinstance(snapshot, monty.FunctionSnapshot):
                snapshot = snapshot.resume()
            elif snapshot.is_os_function:
                snapshot = snapshot.resume_not_handled()
            else:
                snapshot = snapshot.resume(call_host(snapshot, functions))
        return snapshot.output

    def _failed(self, printed: BoundedOutput, error: monty.MontyError) -> ExecutionResult:
        """The result of a step that raised ``error``.

        After a limit was exceeded the worker's heap may be inconsistent, so the session is restored.
        """
        shown = error.display() if isinstance(error, monty.MontyRuntimeError) else str(error)
        if isinstance(error.exception(), (TimeoutError, MemoryError, RecursionError)):
            self._restore()
            return printed.result(with_hint(f"{shown}\n{SESSION_KEPT}"))
        kept = NOTHING_RAN if is_not_parsed(error) else LINES_KEPT
        return self._checkpointed(printed.result(with_hint(f"{shown}\n{kept}")))

    def _checkpointed(self, step: ExecutionResult) -> ExecutionResult:
        """``step``, after its session was dumped; an error if the session is too large for that.

        The dump is made in the worker's memory, so that a large session can exceed it.
        """
        try:
            session = self._session.dump()
        except monty.MontyError:
            session = None
        if session is not None and len(session) <= MAX_DUMP_BYTES:
            self._last = session
            return step
        self._restore()
        too_large = f"MemoryError: too much is kept in variables. {SESSION_KEPT}"
        error = f"{step.error or ''}\n{too_large}".lstrip()
        return step.model_copy(update={"error": with_hint(error)})

    def _restore(self) -> None:
        """Start a new worker with the last dumped session."""
        with contextlib.suppress(monty.MontyError):
            self._session_stack.close()
        try:
            self._session = self._checkout()
            if self._last is not None:
                self._session.load_session(self._last)
        except (monty.MontyError, RuntimeError) as error:
            raise SandboxLost(f"The sandbox crashed and could not be restored: {error}") from error

    def _checkout(self) -> monty.MontySession:
        self._session_stack = contextlib.ExitStack()
        session: monty.MontySession = self._session_stack.enter_context(
            self._pool.checkout(
                script_name="step.py",
                limits={
                    "max_feed_duration_secs": self._seconds,
                    "max_memory": MEMORY_BYTES,
                    "max_suspensions": MAX_SUSPENSIONS,
                },
                os_policy=POLICY,
            )
        )
        if self._last is None:
            session.feed_start(PRELUDE)
        return session


def call_host(call: monty.FunctionSnapshot, functions: HostFunctions) -> monty.ExternalResult:
    """The result of a host function, or the exception to raise in the code that called it."""
    function = functions.get(str(call.function_name))
    if function is None:
        known = ", ".join(functions)
        message = f"name '{call.function_name}' is not defined. Functions: {known}"
        return {"exc_type": "NameError", "message": message}
    try:
        positional, named = call.args, call.kwargs
    except Exception as error:  # noqa: BLE001 - a value of the code that this process cannot hold
        return {"exc_type": "TypeError", "message": f"This cannot be passed to a function: {error}"}
    try:
        return {"return_value": function(*positional, **named)}
    except HostError as error:
        return {"exc_type": "ValueError", "message": str(error)}


def is_not_parsed(error: monty.MontyError) -> bool:
    """Whether code was refused as a whole, before its first line ran."""
    return isinstance(error, monty.MontySyntaxError) or str(error.exception()).startswith(PARSER)
