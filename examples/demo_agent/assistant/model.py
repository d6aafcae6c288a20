"""Calls of the model: streamed, and put together from their pieces."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from .settings import MAX_TOKENS, MODEL, MODEL_ATTEMPTS, TEMPERATURE
from .tracing import Tracing

log = logging.getLogger(__name__)


class RateLimitError(Exception):
    """The provider refuses a request because there were too many, for ``retry_after`` seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass
class Piece:
    """A piece of a streamed answer: text, or a part of the arguments of a call."""

    text: str = ""
    call: int | None = None
    name: str = ""
    arguments: str = ""
    is_last_of_call: bool = False
    finish_reason: str = ""


class Provider(Protocol):
    """The API of the provider."""

    def stream(self, **request: Any) -> Iterable[Piece]: ...


class Clock(Protocol):
    """The time, in seconds."""

    def sleep(self, seconds: float) -> None: ...


@dataclass
class ModelCall:
    """A tool call of an answer."""

    id: str
    name: str = ""
    arguments: str = ""


@dataclass
class ModelAnswer:
    """An answer of the model; ``turn`` is its place among the messages."""

    turn: int
    text: str = ""
    calls: dict[int, ModelCall] = field(default_factory=dict)
    finish_reason: str = ""

    def add(self, piece: Piece) -> None:
        """Add a piece of the stream."""
        self.text += piece.text
        self.finish_reason = piece.finish_reason or self.finish_reason
        if piece.call is None:
            return
        call = self.calls.setdefault(piece.call, ModelCall(f"call_{self.turn:02}_{piece.call:02}"))
        call.name = call.name or piece.name
        if piece.is_last_of_call:
            return
        call.arguments += piece.arguments


class Model:
    """The model of the assistant."""

    def __init__(self, provider: Provider, clock: Clock, tracing: Tracing) -> None:
        self.provider = provider
        self.clock = clock
        self.tracing = tracing

    def answer(self, messages: Sequence[dict[str, Any]], tools: Sequence[Any]) -> ModelAnswer:
        """The answer to ``messages``; raises ``RateLimitError`` when that is refused."""
        request = {
            "model": MODEL,
            "messages": messages,
            "tools": tools,
            "temperature": TEMPERATURE,
            "max_tokens": MAX_TOKENS,
        }
        for _ in range(MODEL_ATTEMPTS - 1):
            try:
                return self.streamed(request)
            except RateLimitError as error:
                log.info("Refused: %s", error)
        return self.streamed(request)

    def streamed(self, request: dict[str, Any]) -> ModelAnswer:
        """One request, its pieces put together, as a span."""
        answer = ModelAnswer(len(request["messages"]))
        with self.tracing.model(request) as span:
            for piece in self.provider.stream(**request):
                answer.add(piece)
            self.tracing.answered(span, answer)
        return answer
