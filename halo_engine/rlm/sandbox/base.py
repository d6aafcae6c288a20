"""The interface to a sandbox: a session that runs the model's code and keeps its variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from halo_engine.schema import FrozenModel
from halo_engine.text.unicode import valid_text

# A function that returns what JSON can hold, and raises no exception but ``HostError``.
HostFunction = Callable[..., Any]
HostFunctions = Mapping[str, HostFunction]

OUTPUT_CHARS = 8_000
KEPT_CHARS = 200_000
# Run before the first step of every session, so that no code need import it.
PRELUDE = (
    "import re, json, math, random, itertools, collections, datetime, functools\n"
    "from collections import Counter, defaultdict"
)


class HostError(Exception):
    """A call of a host function that is refused; the message states how to call it."""


class ExecutionResult(FrozenModel):
    """The outcome of one block of code: what it printed, and the traceback if it failed.

    ``output`` is what fits into a reply, ``printed`` all that is kept of it.
    """

    output: str = ""
    error: str | None = None
    printed: str = ""


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
    """Collects printed output; of more than ``limit`` characters only the beginning and the end.

    The first ``KEPT_CHARS`` are kept to be looked at later.
    """

    def __init__(self, limit: int = OUTPUT_CHARS) -> None:
        self._limit = limit
        self._pieces: list[str] = []
        self._kept = 0
        self._tail = ""
        self._length = 0

    def __call__(self, _stream: str, text: str) -> None:
        """Add a piece of output; the callback of Monty for ``print``."""
        text = valid_text(text)
        self._length += len(text)
        piece = text[: KEPT_CHARS - self._kept]
        self._pieces.append(piece)
        self._kept += len(piece)
        self._tail = (self._tail + text)[-self._limit // 2 :]

    @property
    def kept(self) -> str:
        """The beginning of the output, up to ``KEPT_CHARS``."""
        return "".join(self._pieces)

    def result(self, error: str | None = None) -> ExecutionResult:
        """The outcome of the code that printed this, and raised ``error`` if it failed."""
        return ExecutionResult(output=str(self), error=error, printed=self.kept)

    def __str__(self) -> str:
        if self._length <= self._limit:
            return self.kept
        half = self._limit // 2
        cut = self._length - 2 * half
        return (
            f"{self.kept[:half]}\n[... {cut} characters cut: last_output(start={half}) shows them "
            f"...]\n{self._tail}"
        )
