"""Mastra's spans, as its OpenTelemetry exporter and its exporter to Arize write them.

One call of a model is several spans: a ``model_step`` with the messages and the requested tool
calls, in it the ``model_inference`` (named ``chat``) with finish reason and tokens, but of the
messages only the text of the answer, in it a ``model_chunk`` for each part of the stream. Of the
turns that call tools the step is read as the model call, of the last turn the inference. The
exporter to Arize leaves the finish reason out, so that there the step is always the call; it names
every span but the inference an LLM span.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halo_adapters.attributes import object_below
from halo_adapters.dialects.base import Dialect, RawSpan, SpanField
from halo_adapters.dialects.otel_genai import (
    GEN_AI_INPUT_MESSAGES,
    GEN_AI_RESPONSE_FINISH_REASONS,
    GEN_AI_SYSTEM_INSTRUCTIONS,
    GEN_AI_TOOL_CALL_RESULT,
    read_finish_reason,
)
from halo_adapters.json_values import JsonObject, held_json, held_object, name_of
from halo_adapters.messages.payloads import call_fields
from halo_adapters.messages.recorded_io import recorded_fields
from halo_engine.schema import SpanKind

SPAN_TYPE = "mastra.span.type"
STEP, INFERENCE = "model_step", "model_inference"
OPENINFERENCE_KIND = "openinference.span.kind"
METADATA = "metadata"
TYPE_KINDS = {
    "agent_run": SpanKind.AGENT,
    "tool_call": SpanKind.TOOL,
    "mcp_tool_call": SpanKind.TOOL,
    "provider_tool_call": SpanKind.TOOL,
    "rag_embedding": SpanKind.EMBEDDING,
}
NO_MESSAGES: dict[str, Any] = {"input_messages": [], "output_messages": []}
# Where the result of a tool is, and for the exporter to Arize.
TOOL_RESULTS = (GEN_AI_TOOL_CALL_RESULT, "output.value")
# How the results of tools begin whose arguments Mastra refused.
REFUSED = '{"error":true,'


def read_type_of_span(value: Any) -> SpanKind | None:
    """The span kind of a type, but for the two of which one is the model call."""
    if not isinstance(value, str) or value in (STEP, INFERENCE):
        return None
    return TYPE_KINDS.get(value, SpanKind.CHAIN)


def read_instructions(value: Any) -> list[Any] | None:
    """The instructions of an agent, which are plain text."""
    return [{"type": "text", "content": value}] if isinstance(value, str) and value else None


class Mastra(Dialect):
    """Attributes named ``mastra.*``, beside those of OpenTelemetry GenAI or OpenInference."""

    name = "mastra"
    rank = 90
    fields = (
        SpanField("kind", read_type_of_span, (SPAN_TYPE,)),
        SpanField("system_instructions", read_instructions, (GEN_AI_SYSTEM_INSTRUCTIONS,)),
        SpanField("session_id", name_of, ("mastra.metadata.threadId", "mastra.metadata.sessionId")),
        SpanField("user_id", name_of, ("mastra.metadata.userId", "mastra.metadata.resourceId")),
    )

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Whether Mastra exported the span."""
        return SPAN_TYPE in attributes

    def payload_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The kind of the spans of a model call, and what input and output hold."""
        attributes = span.attributes
        span_type = name_of(attributes[SPAN_TYPE]) or ""
        if span_type == STEP and is_model_call(attributes):
            return {"kind": SpanKind.LLM, **step_fields(attributes)}
        if span_type == INFERENCE:
            return inference_fields(attributes)
        if fields.get("kind") is SpanKind.TOOL:
            return {"tool_error": True if has_refused_arguments(attributes) else None}
        return run_fields(span_type, fields.get("kind", SpanKind.CHAIN), attributes)


def has_refused_arguments(attributes: Mapping[str, Any]) -> bool:
    """Whether Mastra refused the arguments of a tool."""
    return any(str(attributes.get(name)).startswith(REFUSED) for name in TOOL_RESULTS)


def run_fields(span_type: str, kind: SpanKind, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Question and answer of an agent, of a loop of model calls, or of any other step."""
    given, returned = (
        held_json(attributes.get(f"mastra.{span_type}.{side}")) for side in ("input", "output")
    )
    found = {"kind": kind, **NO_MESSAGES, **recorded_fields(kind, given, returned)}
    if kind is SpanKind.AGENT and (session := metadata_of(attributes).get("sessionId")):
        found["session_id"] = name_of(session)
    if kind is SpanKind.CHAIN and not found.get("output"):
        found["output"] = None  # of a model that failed, the text is empty too
    return found


def is_model_call(attributes: Mapping[str, Any]) -> bool:
    """Whether a step is read as the model call in it."""
    continues = attributes.get("mastra.model_step.is_continued") is not False
    return continues or OPENINFERENCE_KIND in attributes


def step_fields(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The messages of a step: from the raw response of the provider, where that is recorded.

    In its own output, arguments that are not JSON are missing.
    """
    given = held_json(attributes.get("mastra.model_step.input"))
    body = attributes.get("mastra.metadata.body") or metadata_of(attributes).get("body")
    found = {**NO_MESSAGES, **call_fields(given, held_json(body))}
    if not found["output_messages"]:
        own = held_json(attributes.get("mastra.model_step.output"))
        found["output_messages"] = call_fields(None, own).get("output_messages", [])
    return found


def metadata_of(attributes: Mapping[str, Any]) -> JsonObject:
    """The metadata of a span, which the exporter to Arize puts into one attribute.

    Phoenix keeps its members.
    """
    return held_object(attributes.get(METADATA)) or object_below(attributes, METADATA)


def inference_fields(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The kind of an inference, and no answer where it failed."""
    reason = read_finish_reason(attributes.get(GEN_AI_RESPONSE_FINISH_REASONS))
    is_told = GEN_AI_INPUT_MESSAGES in attributes
    if OPENINFERENCE_KIND in attributes or (reason == "tool-calls" and not is_told):
        return {"kind": SpanKind.CHAIN, **NO_MESSAGES}
    is_failed = reason == "error"
    return {"kind": SpanKind.LLM, **({"output_messages": []} if is_failed else {})}
