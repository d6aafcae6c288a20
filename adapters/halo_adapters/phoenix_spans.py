"""Spans as Phoenix has them, in its API and in its exports: what it added to what was recorded.

When it stores spans of OpenTelemetry GenAI it gives them attributes of OpenInference, beside their
own, which say more: an empty answer gets no content, of an agent's last message the result of a tool
may come first, tools lose the schemas that Anthropic's clients name otherwise, and where no output
is recorded the id and the model of the response take its place. So nothing is read of what was
added; the attributes themselves are kept. Seen in Phoenix 20 (``phoenix.trace.gen_ai.conversion``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openinference.semconv.trace import SpanAttributes

from halo_adapters.dialects.otel_genai import (
    GEN_AI_INPUT_MESSAGES,
    GEN_AI_OPERATION_NAME,
    GEN_AI_OUTPUT_MESSAGES,
    GEN_AI_REQUEST_MODEL,
    GEN_AI_RESPONSE_FINISH_REASONS,
    GEN_AI_RESPONSE_ID,
    GEN_AI_RESPONSE_MODEL,
    GEN_AI_RETRIEVAL_DOCUMENTS,
    GEN_AI_RETRIEVAL_QUERY_TEXT,
    GEN_AI_TOOL_CALL_ARGUMENTS,
    GEN_AI_TOOL_CALL_ID,
    GEN_AI_TOOL_CALL_RESULT,
    GEN_AI_TOOL_DEFINITIONS,
    GEN_AI_TOOL_NAME,
    OPERATION_KINDS,
)
from halo_adapters.json_values import JsonObject, held_object
from halo_engine.schema import SpanKind

# An attribute of OpenTelemetry GenAI -> the beginnings of those that Phoenix makes of it.
MADE_OF = {
    GEN_AI_INPUT_MESSAGES: ("llm.input_messages.", "input."),
    GEN_AI_OUTPUT_MESSAGES: ("llm.output_messages.", "output."),
    GEN_AI_RESPONSE_FINISH_REASONS: ("llm.finish_reason",),
    GEN_AI_TOOL_CALL_ARGUMENTS: ("input.", "tool.parameters"),
    GEN_AI_TOOL_CALL_RESULT: ("output.",),
    GEN_AI_TOOL_DEFINITIONS: ("llm.tools.",),
}
OUTPUT = ("output.",)
# The members of the output that Phoenix makes of a response.
RESPONSE = {"id": GEN_AI_RESPONSE_ID, "model": GEN_AI_RESPONSE_MODEL}
# Attributes that give a span a kind, where it has no operation: the first one counts.
KINDS_BY_ATTRIBUTE = {
    GEN_AI_TOOL_CALL_ID: SpanKind.TOOL,
    GEN_AI_TOOL_NAME: SpanKind.TOOL,
    GEN_AI_RETRIEVAL_DOCUMENTS: SpanKind.RETRIEVER,
    GEN_AI_RETRIEVAL_QUERY_TEXT: SpanKind.RETRIEVER,
    GEN_AI_INPUT_MESSAGES: SpanKind.LLM,
    GEN_AI_OUTPUT_MESSAGES: SpanKind.LLM,
    GEN_AI_REQUEST_MODEL: SpanKind.LLM,
}


def as_recorded(kind: str | None, attributes: JsonObject) -> JsonObject:
    """Kind and attributes of a span for ``span_from_attributes``, which reads nothing of what
    Phoenix added to them.

    A kind that was recorded is an attribute as any other: some dialects know better.
    """
    named = {} if is_added_kind(kind, attributes) else kind_attribute(kind)
    return {
        "kind": SpanKind.UNKNOWN if kind == SpanKind.UNKNOWN else None,
        "attributes": named | attributes,
        "unread": added_attributes(attributes),
    }


def kind_attribute(kind: str | None) -> JsonObject:
    """The attribute that Phoenix takes the kind of a span from, and leaves out of the others."""
    is_there = kind is not None and kind != SpanKind.UNKNOWN
    return {SpanAttributes.OPENINFERENCE_SPAN_KIND: kind} if is_there else {}


def is_added_kind(kind: str | None, attributes: Mapping[str, Any]) -> bool:
    """Whether Phoenix took the kind of a span from attributes of OpenTelemetry GenAI.

    An instrumentation of OpenInference, which names the kind itself, records an input.
    """
    if kind is None or SpanAttributes.INPUT_VALUE in attributes:
        return False
    if (operation := attributes.get(GEN_AI_OPERATION_NAME)) is not None:
        return OPERATION_KINDS.get(str(operation)) == kind
    found = (one for name, one in KINDS_BY_ATTRIBUTE.items() if holds_anything(attributes, name))
    return next(found, None) == kind


def holds_anything(attributes: Mapping[str, Any], name: str) -> bool:
    """Whether an attribute holds anything; of an object Phoenix keeps the members."""
    below = f"{name}."
    return bool(attributes.get(name)) or any(other.startswith(below) for other in attributes)


def added_attributes(attributes: Mapping[str, Any]) -> list[str]:
    """The names of the attributes that Phoenix made of others."""
    made = [beginnings for source, beginnings in MADE_OF.items() if source in attributes]
    if has_made_output(attributes):
        made.append(OUTPUT)
    prefixes = tuple(prefix for beginnings in made for prefix in beginnings)
    return [name for name in attributes if name.startswith(prefixes)] if prefixes else []


def has_made_output(attributes: Mapping[str, Any]) -> bool:
    """Whether the output of a span is but the id and the model of a response."""
    said = {key: attributes[name] for key, name in RESPONSE.items() if name in attributes}
    return bool(said) and held_object(attributes.get(SpanAttributes.OUTPUT_VALUE)) == said
