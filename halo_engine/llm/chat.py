"""The interface to a chat model: messages in, text and token counts out."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal, Protocol, TypeGuard

from pydantic import AfterValidator, Field

from halo_engine.schema import FrozenModel
from halo_engine.text.unicode import valid_text

# Upper bounds on the tokens that chat templates add to each message and to the whole request.
MESSAGE_TOKENS = 16
REQUEST_TOKENS = 64
CHARS_PER_TOKEN = 4
# An upper bound on the tokens of what providers put before a schema or a tool.
FORM_TOKENS = 1000

# No model has a context window of more tokens: a larger count of one call is an error.
POSSIBLE_TOKENS = 10_000_000


class TokenUsage(FrozenModel):
    """Tokens of one call as counted by the provider.

    ``completion`` includes hidden reasoning. Of ``prompt``, ``cached`` were read from the provider's
    cache, and ``written`` into it.
    """

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    written: int = 0

    @property
    def total(self) -> int:
        """Prompt tokens plus completion tokens."""
        return self.prompt + self.completion


class Price(FrozenModel):
    """USD per million tokens of prompt and of completion.

    ``cached`` and ``written`` are for tokens of the prompt that are read from the provider's cache
    and written into it; None where that is not known: they cost as much as any other.
    """

    prompt: float = Field(ge=0, allow_inf_nan=False)
    completion: float = Field(ge=0, allow_inf_nan=False)
    cached: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    written: float | None = Field(default=None, ge=0, allow_inf_nan=False)

    def of(self, usage: TokenUsage) -> float:
        """USD for ``usage``."""
        cached = self.prompt if self.cached is None else self.cached
        written = self.prompt if self.written is None else self.written
        extra = usage.cached * (cached - self.prompt) + usage.written * (written - self.prompt)
        return (usage.prompt * self.prompt + extra + usage.completion * self.completion) / 1e6

    def most_of(self, usage: TokenUsage) -> float:
        """USD for ``usage`` at most: with nothing read from a cache, and all of it written there."""
        dearest = max(self.prompt, self.written or 0)
        return (usage.prompt * dearest + usage.completion * self.completion) / 1e6


class AnswerFormKind(StrEnum):
    """The forms of an answer that some models have beside text."""

    STRUCTURED = "structured output"
    CALL = "tool calls"


class AnswerForm(FrozenModel):
    """A form that an answer is requested in, from a model that has it.

    ``STRUCTURED``: the text is JSON, as ``json_schema`` describes. ``CALL``: the answer calls the
    tool ``name``, whose arguments ``json_schema`` describes.
    """

    kind: AnswerFormKind
    name: str
    json_schema: dict[str, Any]
    description: str = ""


class FunctionCall(FrozenModel):
    """A call that an answer requests; ``arguments`` is the JSON as the model wrote it.

    ``extra`` is what the provider wants back beside it, such as its signature.
    """

    id: str
    name: str
    arguments: Annotated[str, AfterValidator(valid_text)]
    extra: dict[str, Any] = {}


class AnswerStatus(StrEnum):
    """What became of an answer.

    ``WHOLE``: the model ended it. ``CUT``: it reached the limit of tokens, which hidden reasoning
    counts towards. ``WITHHELD``: the model refused, or a content filter removed text. ``BROKEN``:
    the provider failed in the middle of it.
    """

    WHOLE = "whole"
    CUT = "cut"
    WITHHELD = "withheld"
    BROKEN = "broken"


# The finish reasons of OpenAI's API and of the providers that have their own, in lower case. Any
# other one, such as "stop" or "tool_calls", ends a whole answer.
STATUS_OF_FINISH_REASON: dict[str, AnswerStatus] = {
    **dict.fromkeys(
        (
            *("length", "max_length", "max_tokens", "max_output_tokens", "model_length"),
            *("model_context_window_exceeded", "incomplete", "truncated"),
        ),
        AnswerStatus.CUT,
    ),
    **dict.fromkeys(
        (
            *("content_filter", "content_filtered", "guardrail_intervened", "refusal", "safety"),
            *("blocklist", "prohibited_content", "recitation", "sensitive", "spii"),
            "error_toxic",
        ),
        AnswerStatus.WITHHELD,
    ),
    **dict.fromkeys(
        (
            *("abort", "aborted", "cancelled", "canceled", "error", "network_error", "timeout"),
            *("insufficient_system_resource", "malformed_function_call", "unexpected_tool_call"),
        ),
        AnswerStatus.BROKEN,
    ),
}


class Completion(FrozenModel):
    """A model's answer; ``usage`` is None if the provider sent no usable token counts.

    ``finish_reason`` is the provider's word for why the answer ended. The text can be stored and
    sent: half an emoji in it is replaced. ``reasoning`` are the parts of the provider's message that
    it wants back, unaltered, with the results of ``calls``; they are no part of the answer.
    """

    text: Annotated[str, AfterValidator(valid_text)]
    usage: TokenUsage | None = None
    finish_reason: str | None = None
    calls: tuple[FunctionCall, ...] = ()
    reasoning: dict[str, Any] = {}

    @property
    def status(self) -> AnswerStatus:
        """What ``finish_reason`` says about the answer."""
        reason = (self.finish_reason or "").lower()
        return STATUS_OF_FINISH_REASON.get(reason, AnswerStatus.WHOLE)


class ChatMessage(FrozenModel):
    """One message of a chat.

    Where one of the assistant stands for an answer with calls, ``origin`` is that answer, and the
    message after it the result of the calls.
    """

    role: Literal["system", "user", "assistant"]
    content: str
    origin: Completion | None = None


class ChatModel(Protocol):
    """A chat model. ``window`` is its context window in tokens, ``price`` None if unknown.

    A model may also have ``max_output_tokens``, the most tokens that it can answer with; without it
    (or None) that is half of its window. So may it ``least_room``, the tokens that every answer is
    given, since it reasons before it writes.
    """

    name: str
    window: int
    price: Price | None

    def complete(self, messages: Sequence[ChatMessage], *, max_tokens: int) -> Completion:
        """Answer ``messages`` in at most ``max_tokens`` tokens; called from several threads.

        Raises ``ModelBusy`` for a transient failure, ``PromptTooLong`` for a request that exceeds
        the context window, ``AnswerWithheld`` where a content filter refuses it, and ``ModelFailed``
        for another failure that a retry cannot fix.
        """
        ...


class FormedChatModel(ChatModel, Protocol):
    """A chat model that can answer in the ``forms``; one that its provider refuses is left out."""

    @property
    def forms(self) -> Collection[AnswerFormKind]:
        """The forms that it has, as far as is known."""
        ...

    def complete(
        self, messages: Sequence[ChatMessage], *, max_tokens: int, form: AnswerForm | None = None
    ) -> Completion:
        """See ``ChatModel``; the answer has the ``form`` if the provider keeps to it."""
        ...


def has_form(model: ChatModel, form: AnswerForm | None) -> TypeGuard[FormedChatModel]:
    """Whether ``model`` can be asked to answer in ``form``."""
    return form is not None and form.kind in getattr(model, "forms", ())


def system(content: str) -> ChatMessage:
    """A message with the role ``system``."""
    return ChatMessage(role="system", content=content)


def user(content: str) -> ChatMessage:
    """A message with the role ``user``."""
    return ChatMessage(role="user", content=content)


def assistant(content: str, origin: Completion | None = None) -> ChatMessage:
    """A message with the role ``assistant``, which may stand for the answer ``origin``."""
    return ChatMessage(role="assistant", content=content, origin=origin)


def max_prompt_tokens(messages: Sequence[ChatMessage], form: AnswerForm | None = None) -> int:
    """An upper bound on the tokens of ``messages``, with a request for an answer in ``form``.

    No tokenizer in use produces more tokens than the text has bytes in UTF-8.
    """
    content = sum(len(m.content.encode("utf-8", "replace")) for m in messages)
    hidden = sum(json_bytes(m.origin.reasoning) for m in messages if m.origin)
    formed = FORM_TOKENS + json_bytes(form.model_dump()) if form else 0
    return content + hidden + formed + MESSAGE_TOKENS * len(messages) + REQUEST_TOKENS


def json_bytes(value: Mapping[str, Any]) -> int:
    """The bytes of ``value`` as JSON; 0 if it is empty."""
    return len(json.dumps(value)) if value else 0


def estimated_tokens(text: str) -> int:
    """About how many tokens ``text`` has, at four characters each: for estimates, not limits."""
    return len(text) // CHARS_PER_TOKEN + 1
