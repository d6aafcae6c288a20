"""What Langfuse says of an observation: its kind, and its tokens and cost by type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halo_adapters.json_values import JsonObject, integer_of, number_of
from halo_engine.schema import SpanKind

OBSERVATION_KINDS = {
    "GENERATION": SpanKind.LLM,
    "AGENT": SpanKind.AGENT,
    "TOOL": SpanKind.TOOL,
    "CHAIN": SpanKind.CHAIN,
    "RETRIEVER": SpanKind.RETRIEVER,
    "EVALUATOR": SpanKind.EVALUATOR,
    "EMBEDDING": SpanKind.EMBEDDING,
    "GUARDRAIL": SpanKind.GUARDRAIL,
}
# The kind of other types (SPAN, EVENT), where the attributes name none.
OTHER_KIND = SpanKind.CHAIN
# OpenAI's names of types of tokens, which SDKs send and the server replaces by its own.
OPENAI_TYPES = {
    "prompt_tokens": "input",
    "completion_tokens": "output",
    "input_tokens": "input",
    "output_tokens": "output",
    "total_tokens": "total",
}


def observed_usage(usage: Any, cost: Any, total_cost: Any) -> JsonObject:
    """Tokens, and cost in USD; zeros without details mean that Langfuse has no numbers."""
    found: dict[str, Any] = {}
    if isinstance(usage, Mapping) and any(usage.values()):
        counts = {str(name).lower(): integer_of(value) for name, value in usage.items()}
        named = {OPENAI_TYPES.get(name, name): n for name, n in counts.items() if n is not None}
        found = token_counts(named)
    if isinstance(cost, Mapping) and cost:
        found["cost"] = number_of(cost.get("total") if total_cost is None else total_cost)
    return {field: value for field, value in found.items() if value is not None}


def token_counts(counts: Mapping[str, int]) -> JsonObject:
    """Tokens of the prompt, cached ones included, of the completion with reasoning, and in all.

    Langfuse keeps the types of tokens apart: ``input`` is without ``input_cached_tokens``,
    ``output`` without ``output_reasoning_tokens``, and all types that have ``input`` or ``output``
    in their names are added up for the side. Whoever sends types that overlap sends a total that
    the plain ones make.
    """
    total = counts.get("total")
    overlap = total == counts.get("input", 0) + counts.get("output", 0)
    found: JsonObject = {"total_tokens": total}
    for field, side in (("prompt_tokens", "input"), ("completion_tokens", "output")):
        parts = [n for name, n in counts.items() if name == side or (side in name and not overlap)]
        found[field] = sum(parts) if parts else None
    return found
