"""Responses of OpenAI's chat completions API, which most providers and servers imitate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halo_engine.llm.chat import POSSIBLE_TOKENS, Completion, TokenUsage

NO_CHOICES = "error"
REFUSAL = "refusal"


def parsed_completion(answer: Mapping[str, Any]) -> Completion:
    """The answer in a response; without choices it is empty, and the finish reason an error."""
    choices = answer.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else {}
    usage = parsed_usage(mapping(answer.get("usage")))
    if not isinstance(choice, Mapping) or not choice:
        return Completion(text="", usage=usage, finish_reason=NO_CHOICES)
    message = mapping(choice.get("message"))
    text = content_text(message.get("content"))
    reason = finish_reason(choice)
    if not text and message.get("refusal"):
        reason = REFUSAL
    return Completion(text=text, usage=usage, finish_reason=reason)


def finish_reason(choice: Mapping[str, Any]) -> str | None:
    """Why the answer ended: the provider's own word, where it was translated."""
    translated = mapping(choice.get("provider_specific_fields")).get("native_finish_reason")
    reason = translated or choice.get("finish_reason")
    return reason if isinstance(reason, str) else None


def content_text(content: Any) -> str:
    """The text of a message, which may be a list of parts."""
    if isinstance(content, list):
        return "".join(content_text(mapping(part).get("text")) for part in content)
    return content if isinstance(content, str) else ""


def parsed_usage(usage: Mapping[str, Any]) -> TokenUsage | None:
    """The token counts of a response; None if they are not integers.

    Some providers count hidden reasoning in the total alone, though they bill it.
    """
    prompt, completion = (
        integer(usage.get("prompt_tokens")),
        integer(usage.get("completion_tokens")),
    )
    if prompt is None or completion is None:
        return None
    total = integer(usage.get("total_tokens")) or 0
    if total <= POSSIBLE_TOKENS:
        completion = max(completion, total - max(0, prompt))
    cached = integer(mapping(usage.get("prompt_tokens_details")).get("cached_tokens"))
    return TokenUsage(prompt=prompt, completion=completion, cached=cached or 0)


def integer(value: Any) -> int | None:
    """``value`` if it is an integer, also one written as 5.0; else None."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def mapping(value: Any) -> Mapping[str, Any]:
    """``value`` if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}
