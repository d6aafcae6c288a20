"""Calls of the model: streamed, and put together from their pieces."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from .settings import MAX_TOKENS, MODEL, MODEL_TIMEOUT, TEMPERATURE

log = logging.getLogger(__name__)
ATTEMPTS = 2


class RateLimitError(Exception):
    """The provider refuses a request because there were too many."""


@dataclass
class Piece:
    """A piece of a streamed answer: text, or a part of the arguments of a call."""

    text: str = ""
    call: int | None = None
    name: str = ""
    arguments: str = ""
    is_last_of_call: bool = False


class Provider(Protocol):
    """The API of the provider."""

    def stream(self, **request: Any) -> Iterable[Piece]: ...


@dataclass
class ModelCall:
    """A tool call of an answer."""

    name: str = ""
    arguments: str = ""


@dataclass
class ModelAnswer:
    """An answer of the model."""

    text: str = ""
    calls: dict[int, ModelCall] = field(default_factory=dict)

    def add(self, piece: Piece) -> None:
        """Add a piece of the stream."""
        self.text += piece.text
        if piece.call is None:
            return
        call = self.calls.setdefault(piece.call, ModelCall())
        call.name = call.name or piece.name
        if piece.is_last_of_call:
            return
        call.arguments += piece.arguments


class Model:
    """The model of the assistant."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def answer(self, messages: Sequence[dict[str, Any]], tools: Sequence[Any]) -> ModelAnswer:
        """The answer to ``messages``; raises ``RateLimitError`` when that is refused."""
        request = {
            "model": MODEL,
            "messages": messages,
            "tools": tools,
            "temperature": TEMPERATURE,
            "max_tokens": MAX_TOKENS,
            "timeout": MODEL_TIMEOUT,
        }
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self.streamed(request)
            except RateLimitError as error:
                log.info("Attempt %d of %d: %s", attempt, ATTEMPTS, error)
        raise RateLimitError("the model could not be reached: 429 rate_limit_exceeded")

    def streamed(self, request: dict[str, Any]) -> ModelAnswer:
        """One request, its pieces put together."""
        answer = ModelAnswer()
        for piece in self.provider.stream(**request):
            answer.add(piece)
        return answer
