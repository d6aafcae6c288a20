"""Responses of OpenAI's chat completions API, which most providers and servers imitate."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from halo_engine.llm.chat import POSSIBLE_TOKENS, Completion, FunctionCall, TokenUsage

NO_CHOICES = "error"
REFUSAL = "refusal"

# What the providers of reasoning models want back with the results of calls.
REASONING = ("thinking_blocks", "reasoning_details", "reasoning_content", "reasoning")
SIGNATURES = ("provider_specific_fields", "extra_content")


def parsed_completion(answer: Mapping[str, Any]) -> Completion:
    """The answer in a response; without choices it is empty, and the finish reason an error."""
    choices = answer.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else {}
    usage = parsed_usage(mapping(answer.get("usage")))
    if not isinstance(choice, Mapping) or not choice:
        return Completion(text="", usage=usage, finish_reason=NO_CHOICES)
    message = mapping(choice.get("message"))
    text = content_text(message.get("content"))
    calls = tuple(parsed_calls(message.get("tool_calls")))
    reason = finish_reason(choice)
    if not text and not calls and is_refusal(message):
        reason = REFUSAL
    kept = {name: message[name] for name in REASONING if message.get(name)} if calls else {}
    return Completion(text=text, usage=usage, finish_reason=reason, calls=calls, reasoning=kept)


def is_refusal(message: Mapping[str, Any]) -> bool:
    """Whether the model refuses to answer; litellm may keep that apart."""
    apart = mapping(message.get("provider_specific_fields"))
    return bool(message.get(REFUSAL) or apart.get(REFUSAL))


def parsed_calls(calls: Any) -> Iterator[FunctionCall]:
    """The calls in a message."""
    for number, call in enumerate(calls if isinstance(calls, list) else ()):
        function = mapping(mapping(call).get("function"))
        if not function:
            continue
        arguments = function.get("arguments")
        extra = {name: call[name] for name in SIGNATURES if call.get(name)}
        yield FunctionCall(
            id=str(call.get("id") or f"call_{number}"),
            name=str(function.get("name") or ""),
            arguments=arguments if isinstance(arguments, str) else json.dumps(arguments or {}),
            extra=extra,
        )


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

    Some providers count hidden reasoning in the total or in the details alone, though they bill it.
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
    details = mapping(usage.get("completion_tokens_details"))
    reasoning = integer(details.get("reasoning_tokens")) or 0
    if completion < reasoning <= POSSIBLE_TOKENS:
        completion += reasoning
    cached, written = cache_counts(usage)
    return TokenUsage(prompt=prompt, completion=completion, cached=cached, written=written)


def cache_counts(usage: Mapping[str, Any]) -> tuple[int, int]:
    """How many tokens of the prompt the provider read from its cache, and wrote into it."""
    details = mapping(usage.get("prompt_tokens_details"))
    read = (
        details.get("cached_tokens"),
        usage.get("cache_read_input_tokens"),
        usage.get("prompt_cache_hit_tokens"),
    )
    written = details.get("cache_creation_tokens"), usage.get("cache_creation_input_tokens")
    prompt = max(0, integer(usage.get("prompt_tokens")) or 0)
    cached = min(prompt, first_count(read))
    return cached, min(prompt - cached, first_count(written))


def first_count(values: Iterable[Any]) -> int:
    """The first of ``values`` that counts something; else 0."""
    counts = (integer(value) or 0 for value in values)
    return next((count for count in counts if count > 0), 0)


def integer(value: Any) -> int | None:
    """``value`` if it is an integer, also one written as 5.0; else None."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def mapping(value: Any) -> Mapping[str, Any]:
    """``value`` if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}
