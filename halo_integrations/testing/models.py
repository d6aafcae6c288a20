"""A scripted model and a scripted sandbox for tests: no network, no key, no cost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

from halo_engine.errors import SandboxLost
from halo_engine.llm import ChatMessage, Completion, Price, TokenUsage
from halo_engine.llm.chat import estimated_tokens
from halo_engine.rlm.sandbox.base import ExecutionResult, HostFunctions

Answer = Callable[[Sequence[ChatMessage]], str | Completion]


class ScriptedModel:
    """Answers with the texts in ``script`` one after the other, or with what ``script`` returns.

    An exception in the script is raised, and a ``Completion`` answered as it is. The tokens of texts
    are counted at four characters each. ``requests`` holds everything it was sent, ``max_tokens`` the
    limits of the answers; once the script is used up its answers are empty.
    """

    def __init__(
        self,
        script: Answer | Iterable[str | Completion | Exception],
        *,
        name: str = "scripted",
        price: Price | None = None,
        window: int = 128_000,
    ) -> None:
        self.name = name
        self.price = price or Price(prompt=0.0, completion=0.0)
        self.window = window
        self.requests: list[list[ChatMessage]] = []
        self.max_tokens: list[int] = []
        self._answer = script if callable(script) else in_turn(script)
        self._lock = threading.Lock()

    def complete(self, messages: Sequence[ChatMessage], *, max_tokens: int) -> Completion:
        """The next answer."""
        with self._lock:
            self.requests.append(list(messages))
            self.max_tokens.append(max_tokens)
        answer = self._answer(messages)
        if isinstance(answer, Completion):
            return answer
        usage = TokenUsage(
            prompt=sum(estimated_tokens(m.content) for m in messages),
            completion=min(max_tokens, estimated_tokens(answer)),
        )
        return Completion(text=answer, usage=usage, finish_reason="stop")


def in_turn(script: Iterable[str | Completion | Exception]) -> Answer:
    """Each answer once, then empty texts."""
    left = iter(script)
    lock = threading.Lock()

    def answer(_: Sequence[ChatMessage]) -> str | Completion:
        with lock:
            following = next(left, "")
        if isinstance(following, Exception):
            raise following
        return following

    return answer


class ScriptedSandbox:
    """Runs no code: each block has the next of ``steps`` as its result; an exception is raised.

    ``blocks`` holds the code it was given.
    """

    def __init__(self, steps: Iterable[ExecutionResult | SandboxLost] = ()) -> None:
        self.blocks: list[str] = []
        self._steps = iter(steps)

    def run(self, code: str, functions: HostFunctions) -> ExecutionResult:
        """The next of ``steps``, then empty results; raises ``SandboxLost`` if that is next."""
        self.blocks.append(code)
        step = next(self._steps, ExecutionResult())
        if isinstance(step, SandboxLost):
            raise step
        return step

    def dump(self) -> bytes | None:
        """Nothing to keep."""
        return None

    def load(self, session: bytes) -> None:
        """Nothing to load."""

    def close(self) -> None:
        """Nothing to end."""
