"""The OpenTelemetry GenAI conventions, those of OpenLLMetry, and HALO's, as names of span fields.

Sources: the OpenTelemetry semantic conventions for generative AI (from 1.27, whose messages were
events, to the one where they are attributes), the attributes that the OpenLLMetry instrumentations
write (``traceloop.*``, ``gen_ai.prompt.N.*``, ``llm.request.*``), and the ``inference.*``
attributes of HALO's export format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from halo_adapters.dialects.attributes import items_of, parsed_object
from halo_adapters.json_values import integer_of, name_of, number_of
from halo_engine.fields import as_text
from halo_engine.schema import SpanEvent, SpanKind

OPERATIONS = {
    "chat": SpanKind.LLM,
    "generate_content": SpanKind.LLM,
    "text_completion": SpanKind.LLM,
    "completion": SpanKind.LLM,
    "embeddings": SpanKind.EMBEDDING,
    "embedding": SpanKind.EMBEDDING,
    "retrieval": SpanKind.RETRIEVER,
    "rerank": SpanKind.RERANKER,
    "execute_tool": SpanKind.TOOL,
    "create_agent": SpanKind.AGENT,
    "invoke_agent": SpanKind.AGENT,
    "invoke_workflow": SpanKind.CHAIN,
    # OpenLLMetry's own words, in traceloop.span.kind
    "workflow": SpanKind.CHAIN,
    "task": SpanKind.CHAIN,
    "agent": SpanKind.AGENT,
    "tool": SpanKind.TOOL,
}

EVENT_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
    "gen_ai.choice": "assistant",
}

# Events whose attributes are those that a span may carry itself.
DETAILS = (
    "gen_ai.client.inference.operation.details",
    "gen_ai.content.prompt",
    "gen_ai.content.completion",
)


def operation_kind(value: Any) -> SpanKind | None:
    """The kind of span that an operation name means, or None."""
    return OPERATIONS.get(value) if isinstance(value, str) else None


def first_reason(value: Any) -> str | None:
    """The finish reason of the first choice."""
    reasons = items_of(value)
    return name_of(reasons[0] if reasons else value)


# Field, how to read it, and the attributes that hold it, the one to trust most first.
FIELDS: list[tuple[str, Callable[[Any], Any], tuple[str, ...]]] = [
    (
        "kind",
        operation_kind,
        ("gen_ai.operation.name", "traceloop.span.kind", "llm.request.type"),
    ),
    (
        "input",
        as_text,
        ("gen_ai.tool.call.arguments", "gen_ai.retrieval.query.text", "traceloop.entity.input"),
    ),
    ("output", as_text, ("gen_ai.tool.call.result", "traceloop.entity.output")),
    ("system", items_of, ("gen_ai.system_instructions",)),
    ("input_messages", items_of, ("gen_ai.input.messages", "gen_ai.prompt")),
    ("output_messages", items_of, ("gen_ai.output.messages", "gen_ai.completion")),
    ("tools", items_of, ("gen_ai.tool.definitions", "llm.request.functions")),
    ("documents", items_of, ("gen_ai.retrieval.documents",)),
    ("tool_name", name_of, ("gen_ai.tool.name",)),
    ("tool_call_id", name_of, ("gen_ai.tool.call.id",)),
    (
        "model_name",
        name_of,
        ("gen_ai.response.model", "gen_ai.request.model", "inference.llm.model_name"),
    ),
    (
        "finish_reason",
        first_reason,
        (
            "gen_ai.response.finish_reasons",
            "llm.response.finish_reason",
            "llm.response.stop_reason",
        ),
    ),
    (
        "prompt_tokens",
        integer_of,
        (
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.prompt_tokens",
            "inference.llm.input_tokens",
        ),
    ),
    (
        "completion_tokens",
        integer_of,
        (
            "gen_ai.usage.output_tokens",
            "gen_ai.usage.completion_tokens",
            "inference.llm.output_tokens",
        ),
    ),
    ("total_tokens", integer_of, ("gen_ai.usage.total_tokens", "llm.usage.total_tokens")),
    ("cost", number_of, ("gen_ai.usage.cost", "inference.llm.cost.total")),
    (
        "session_id",
        name_of,
        (
            "gen_ai.conversation.id",
            "traceloop.association.properties.session_id",
            "inference.session_id",
        ),
    ),
    (
        "user_id",
        name_of,
        ("enduser.id", "traceloop.association.properties.user_id", "inference.user_id"),
    ),
]


def event_details(events: Iterable[SpanEvent]) -> dict[str, Any]:
    """The span attributes that were recorded on events instead."""
    details: dict[str, Any] = {}
    for event in events:
        if event.name in DETAILS:
            details.update(event.attributes)
    return details


def event_messages(events: Iterable[SpanEvent]) -> tuple[list[Any], list[Any]]:
    """The messages that the events hold: those to the model, and those it answered with."""
    said = [(event.name, message_of(event)) for event in events if event.name in EVENT_ROLES]
    inputs = [message for name, message in said if name != "gen_ai.choice"]
    return inputs, [message for name, message in said if name == "gen_ai.choice"]


def message_of(event: SpanEvent) -> dict[str, Any]:
    """The message in one event, whose body may be its attributes or JSON in one of them."""
    content = event.attributes.get("gen_ai.event.content")
    body = parsed_object(content) if isinstance(content, str) else event.attributes
    message = body.get("message", {})
    if isinstance(message, str):
        message = parsed_object(message) or {"content": message}
    role = {"role": EVENT_ROLES[event.name or ""], "tool_call_id": body.get("id")}
    return {**role, **body, **message} if isinstance(message, dict) else {**role, **body}
