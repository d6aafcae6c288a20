"""MLflow's spans: under its own names, and as it exports them in OpenTelemetry GenAI.

Each of its own attributes is JSON. The answer that it makes of a stream always has the finish
reason "stop" and no tool calls, in both exports; the events of the stream's chunks have all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from halo_adapters.attributes import items_of
from halo_adapters.dialects.base import Dialect, RawSpan, SpanField
from halo_adapters.json_values import (
    decoded_text,
    held_json,
    held_object,
    integer_of,
    name_of,
    number_of,
)
from halo_adapters.messages.recorded_io import recorded_fields
from halo_adapters.messages.streams import streamed_answer
from halo_engine.schema import SpanEvent, SpanKind

SPAN_TYPE = "mlflow.spanType"
INPUTS, OUTPUTS = "mlflow.spanInputs", "mlflow.spanOutputs"
USAGE, COST = "mlflow.chat.tokenUsage", "mlflow.llm.cost"
CHUNK_EVENT, CHUNK = "mlflow.chunk.item.", "mlflow.chunk.value"

# A span without a type is of any function, also of a tool; it gets no kind.
TYPE_KINDS = {
    "LLM": SpanKind.LLM,
    "CHAT_MODEL": SpanKind.LLM,
    "AGENT": SpanKind.AGENT,
    "CHAIN": SpanKind.CHAIN,
    "WORKFLOW": SpanKind.CHAIN,
    "TASK": SpanKind.CHAIN,
    "PARSER": SpanKind.CHAIN,
    "MEMORY": SpanKind.CHAIN,
    "TOOL": SpanKind.TOOL,
    "RETRIEVER": SpanKind.RETRIEVER,
    "RERANKER": SpanKind.RERANKER,
    "EMBEDDING": SpanKind.EMBEDDING,
    "GUARDRAIL": SpanKind.GUARDRAIL,
    "EVALUATOR": SpanKind.EVALUATOR,
}


def read_span_type(value: Any) -> SpanKind | None:
    """The span kind of a type of MLflow's."""
    return TYPE_KINDS.get(decoded_text(value) or "")


def read_name(value: Any) -> str | None:
    """A name that is encoded as JSON."""
    return name_of(decoded_text(value))


class MLflow(Dialect):
    """Attributes named ``mlflow.*``, and the events of streamed chunks."""

    name = "mlflow"
    rank = 150
    fields = (
        SpanField("kind", read_span_type, (SPAN_TYPE,)),
        SpanField("tools", items_of, ("mlflow.chat.tools",)),
        SpanField("model_name", read_name, ("mlflow.llm.model",)),
        SpanField("session_id", read_name, ("mlflow.trace.session",)),
        SpanField("user_id", read_name, ("mlflow.trace.user",)),
    )

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Whether MLflow recorded the span, or chunks in it."""
        return SPAN_TYPE in attributes or any(name.startswith(CHUNK_EVENT) for name in events)

    def payload_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Inputs, outputs and numbers; of a stream what its chunks make up."""
        attributes = span.attributes
        answer = streamed_answer(chunks_in(span.events)) if span.events else None
        if SPAN_TYPE not in attributes:
            is_answer = isinstance(answer, dict)
            return recorded_fields(SpanKind.LLM, None, answer) if is_answer else {}
        given = held_json(attributes.get(INPUTS))
        returned = held_json(attributes.get(OUTPUTS)) if answer is None else answer
        found = {
            **recorded_fields(fields.get("kind"), given, returned),
            **recorded_usage(attributes),
        }
        if fields.get("kind") is SpanKind.TOOL:
            found["tool_name"] = read_name(attributes.get("mlflow.spanFunctionName")) or span.name
        return found


def chunks_in(events: Sequence[SpanEvent]) -> list[Any]:
    """The streamed chunks in ``events``, in order."""
    return [
        held_json(event.attributes.get(CHUNK))
        for event in events
        if event.name and event.name.startswith(CHUNK_EVENT)
    ]


def recorded_usage(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Tokens and cost."""
    usage, cost = (held_object(attributes.get(name)) for name in (USAGE, COST))
    return {
        "prompt_tokens": integer_of(usage.get("input_tokens")),
        "completion_tokens": integer_of(usage.get("output_tokens")),
        "total_tokens": integer_of(usage.get("total_tokens")),
        "cost": number_of(cost.get("total_cost")),
    }
