"""Why a model stopped, whatever the spelling of its provider and of the SDK in between."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache

from halo_engine.schema import Span


class Finish(StrEnum):
    """Why a model stopped."""

    STOP = "stop"
    TOOL_CALLS = "tool_calls"
    LENGTH = "length"
    FILTERED = "filtered"
    MALFORMED_CALL = "malformed_call"
    CONTEXT_OVERFLOW = "context_overflow"
    STEP_LIMIT = "step_limit"
    ERROR = "error"


# Spellings of OpenAI, Anthropic, Bedrock, Gemini, Mistral, Cohere, and of the frameworks that have
# reasons of their own, as ``plain`` makes them.
SPELLINGS = {
    Finish.STOP: "stop end_turn stop_sequence complete completed eos eos_token done finished",
    Finish.TOOL_CALLS: "tool_calls tool_call tool_use function_call tool",
    Finish.LENGTH: "length max_tokens max_output_tokens token_limit model_length incomplete",
    Finish.FILTERED: (
        "content_filter content_filtered guardrail_intervened safety refusal prohibited_content "
        "blocklist spii recitation image_safety error_toxic"
    ),
    Finish.MALFORMED_CALL: (
        "malformed_function_call malformed_tool_call unexpected_tool_call malformed_tool_use "
        "malformed_model_output"
    ),
    Finish.CONTEXT_OVERFLOW: "model_context_window_exceeded context_length_exceeded error_limit",
    Finish.STEP_LIMIT: (
        "limit_turns max_turns max_steps max_iterations max_agent_steps error_max_turns turn_limit"
    ),
    Finish.ERROR: "error failed",
}
BY_SPELLING = {name: kind for kind, names in SPELLINGS.items() for name in names.split()}


def finish_of(span: Span) -> Finish | None:
    """Why the model call ended; None where that is not recorded or not known."""
    return finish_named(span.finish_reason) if span.finish_reason else None


@lru_cache(maxsize=256)
def finish_named(reason: str) -> Finish | None:
    """Why a model ended with ``reason``; every model call of an agent has one of a few."""
    return BY_SPELLING.get(plain(reason))


def plain(reason: str) -> str:
    """A finish reason in lower case with underscores, without the name of its enumeration."""
    return reason.strip().rpartition(".")[2].lower().replace("-", "_").replace(" ", "_")
