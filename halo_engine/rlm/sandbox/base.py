"""Where the model's code runs: a session that keeps its variables and can reach nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from halo_engine.schema import FrozenModel

HostFunction = Callable[..., Any]
HostFunctions = Mapping[str, HostFunction]

OUTPUT_CHARS = 10_000


class HostError(Exception):
    """What a host function tells the code that called it wrongly: what, and how it is right."""


class ExecutionResult(FrozenModel):
    """What came of one block of code: what it printed, and what was wrong with it."""

    output: str = ""
    error: str | None = None


class Sandbox(Protocol):
    """A session. Code that is wrong gives a ``ExecutionResult`` with its error; only a lost session raises."""

    def run(self, code: str, functions: HostFunctions) -> ExecutionResult:
        """Run ``code``, which may call ``functions`` by name; raises ``SandboxLost``."""
        ...

    def dump(self) -> bytes | None:
        """The session as bytes, to ``load`` in another process; None where it cannot be."""
        ...

    def load(self, session: bytes) -> None:
        """Go on with a session that was dumped."""
        ...

    def close(self) -> None:
        """End the session."""
        ...


class BoundedOutput:
    """Collects what code prints, and keeps its beginning and its end when it is too much."""

    def __init__(self, limit: int = OUTPUT_CHARS) -> None:
        self._limit = limit
        self._head = ""
        self._tail = ""
        self._length = 0

    def __call__(self, _stream: str, text: str) -> None:
        """Take a piece of output."""
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
