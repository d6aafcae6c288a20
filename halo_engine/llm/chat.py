"""What a model is to the engine: chat messages in, text and token counts out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from halo_engine.schema import FrozenModel

# What chat templates add around a message and around the whole.
MESSAGE_TOKENS = 16
REQUEST_TOKENS = 64


class ChatMessage(FrozenModel):
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


class TokenUsage(FrozenModel):
    """Tokens of one call, as the provider counts them; ``cached`` ones are part of ``prompt``."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0

    @property
    def total(self) -> int:
        """Prompt and completion."""
        return self.prompt + self.completion


class Price(FrozenModel):
    """USD for a million tokens of the prompt and of the completion."""

    prompt: float
    completion: float

    def of(self, usage: TokenUsage) -> float:
        """USD for ``usage``; cached tokens count in full, so that the true sum is never more."""
        return (usage.prompt * self.prompt + usage.completion * self.completion) / 1e6


class Completion(FrozenModel):
    """A model's answer; ``usage`` is None where the provider did not say or talked nonsense."""

    text: str
    usage: TokenUsage | None = None
    finish_reason: str | None = None


class ChatModel(Protocol):
    """A model. ``window`` is how many tokens it takes, ``price`` None where that is unknown."""

    name: str
    window: int
    price: Price | None

    def complete(self, messages: Sequence[ChatMessage], *, max_tokens: int) -> Completion:
        """Answer ``messages`` in at most ``max_tokens`` tokens; called from several threads.

        Raises ``ModelBusy`` for what may pass, ``PromptTooLong`` for a request over the window,
        ``ModelFailed`` for what will not get better.
        """
        ...


def system(content: str) -> ChatMessage:
    """A system message."""
    return ChatMessage(role="system", content=content)


def user(content: str) -> ChatMessage:
    """A user message."""
    return ChatMessage(role="user", content=content)


def assistant(content: str) -> ChatMessage:
    """An assistant message."""
    return ChatMessage(role="assistant", content=content)


def most_tokens(messages: Sequence[ChatMessage]) -> int:
    """More tokens than ``messages`` can have.

    No tokenizer in use makes more tokens of a text than it has bytes in UTF-8.
    """
    content = sum(len(m.content.encode("utf-8", "replace")) for m in messages)
    return content + MESSAGE_TOKENS * len(messages) + REQUEST_TOKENS


def likely_tokens(text: str) -> int:
    """About how many tokens ``text`` has, at four characters each: for estimates, not limits."""
    return len(text) // 4 + 1
