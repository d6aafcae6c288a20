"""The interface to a sandbox: a session that runs the model's code and keeps its variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from halo_engine.schema import FrozenModel
from halo_engine.text.unicode import valid_text

# A function that returns what JSON can hold, and raises no exception but ``HostError``.
HostFunction = Callable[..., Any]
HostFunctions = Mapping[str, HostFunction]

OUTPUT_CHARS = 10_000


class HostError(Exception):
    """A call of a host function that is refused; the message states how to call it."""


class ExecutionResult(FrozenModel):
    """The outcome of one block of code: what it printed, and the traceback if it failed."""

    output: str = ""
    error: str | None = None


class Sandbox(Protocol):
    """A session that can access nothing but host functions.

    An error in the code is part of the ``ExecutionResult``; only the loss of the session raises.
    """

    def run(self, code: str, functions: HostFunctions) -> ExecutionResult:
        """Run ``code``, which may call ``functions`` by name; raises ``SandboxLost``."""
        ...

    def dump(self) -> bytes | None:
        """The session as bytes, to ``load`` in another process; None if it cannot be dumped."""
        ...

    def load(self, session: bytes) -> None:
        """Continue the session that ``dump`` returned.

        Raises ``SandboxLost`` if that is not possible; the session then is a new one.
        """
        ...

    def close(self) -> None:
        """End the session."""
        ...


class BoundedOutput:
    """Collects printed output; of more than ``limit`` characters only the beginning and the end."""

    def __init__(self, limit: int = OUTPUT_CHARS) -> None:
        self._limit = limit
        self._head = ""
        self._tail = ""
        self._length = 0

    def __call__(self, _stream: str, text: str) -> None:
        """Add a piece of output; the callback of Monty for ``print``."""
        text = valid_text(text)
        self._length += len(text)
        half = self._limit // 2
        room = half - len(self._head)
        self._head += text[:room]
        self._tail = (self._tail + text[max(0, room) :])[-half:]

    def __str__(self) -> str:
        cut = self._length - len(self._head) - len(self._tail)
        if cut <= 0:
            return self._head + self._tail
        return (
            f"{self._head}\n[... {cut} characters cut: print less, or in parts ...]\n{self._tail}"
        )
