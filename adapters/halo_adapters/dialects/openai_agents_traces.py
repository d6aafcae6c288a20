"""The OpenAI Agents SDK in its own traces, which its processors export as JSON.

What a span is about is below ``span_data``. A model call through the Responses API has the id of
the response there and no texts: these stay with OpenAI.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halo_adapters.dialects.base import Dialect, RawSpan, SpanField
from halo_adapters.json_values import held_json, integer_of, name_of
from halo_adapters.messages.recorded_io import recorded_fields
from halo_engine.schema import SpanKind

SPAN_DATA = "span_data."
TYPE = SPAN_DATA + "type"
DATA_KINDS = {
    "agent": SpanKind.AGENT,
    "function": SpanKind.TOOL,
    "generation": SpanKind.LLM,
    "response": SpanKind.LLM,
    "guardrail": SpanKind.GUARDRAIL,
    "handoff": SpanKind.CHAIN,
    "custom": SpanKind.CHAIN,
    "mcp_tools": SpanKind.CHAIN,
}


def read_data_type(value: Any) -> SpanKind | None:
    """The span kind of a type of span data."""
    return DATA_KINDS.get(value) if isinstance(value, str) else None


class OpenAIAgentsTraces(Dialect):
    """Attributes named ``span_data.*``."""

    name = "openai_agents_traces"
    rank = 150
    fields = (
        SpanField("kind", read_data_type, (TYPE,)),
        SpanField("model_name", name_of, (SPAN_DATA + "model",)),
        SpanField("prompt_tokens", integer_of, (SPAN_DATA + "usage.input_tokens",)),
        SpanField("completion_tokens", integer_of, (SPAN_DATA + "usage.output_tokens",)),
        SpanField("total_tokens", integer_of, (SPAN_DATA + "usage.total_tokens",)),
        SpanField("session_id", name_of, ("session.id",)),
    )

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Whether the span is one of such a trace."""
        return TYPE in attributes

    def payload_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Input and output, and the names of an agent, its tools, and a tool."""
        attributes, kind = span.attributes, fields.get("kind")
        given, returned = (
            held_json(attributes.get(SPAN_DATA + side)) for side in ("input", "output")
        )
        found: dict[str, Any] = dict(recorded_fields(kind, given, returned))
        name = name_of(attributes.get(SPAN_DATA + "name"))
        if kind is SpanKind.TOOL:
            found["tool_name"] = name
        if kind is SpanKind.AGENT:
            found["agent_name"] = name
            names = attributes.get(SPAN_DATA + "tools")
            found["tools"] = [{"name": n} for n in names] if isinstance(names, list) else None
        return found
