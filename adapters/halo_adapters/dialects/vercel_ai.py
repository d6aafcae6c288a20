"""The attributes of the Vercel AI SDK: ``experimental_telemetry`` of versions 3 to 6, and
``LegacyOpenTelemetry`` of ``@ai-sdk/otel`` for version 7.

``OpenTelemetry`` of ``@ai-sdk/otel`` writes OpenTelemetry GenAI instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halo_adapters.attributes import items_of
from halo_adapters.dialects.base import Dialect, RawSpan, SpanField
from halo_adapters.json_values import decoded_text, integer_of, name_of
from halo_adapters.messages.payloads import request_messages
from halo_engine.fields import as_text
from halo_engine.schema import SpanKind

OPERATION = "ai.operationId"
TEXT = "ai.response.text"
OBJECT = "ai.response.object"
TOOL_CALLS = "ai.response.toolCalls"
FINISH_REASON = "ai.response.finishReason"

OPERATION_KINDS = {
    "ai.generateText": SpanKind.AGENT,
    "ai.generateText.doGenerate": SpanKind.LLM,
    "ai.streamText": SpanKind.AGENT,
    "ai.streamText.doStream": SpanKind.LLM,
    "ai.generateObject": SpanKind.AGENT,
    "ai.generateObject.doGenerate": SpanKind.LLM,
    "ai.streamObject": SpanKind.AGENT,
    "ai.streamObject.doStream": SpanKind.LLM,
    "ai.workflowAgent.stream": SpanKind.AGENT,
    "ai.toolCall": SpanKind.TOOL,
    "ai.embed": SpanKind.CHAIN,
    "ai.embed.doEmbed": SpanKind.EMBEDDING,
    "ai.embedMany": SpanKind.CHAIN,
    "ai.embedMany.doEmbed": SpanKind.EMBEDDING,
    "ai.rerank": SpanKind.CHAIN,
    "ai.rerank.doRerank": SpanKind.RERANKER,
}
# Attributes that the SDK records together with the text, and leaves out with ``recordOutputs:
# false``: where one of them is there, a missing text was empty.
RECORDED_WITH_TEXT = frozenset(
    {TOOL_CALLS, OBJECT, "ai.response.providerMetadata", "ai.response.reasoning"}
)
# What applications give as metadata of a call, which the SDK records under the prefixes of its
# versions, and openinference-vercel as metadata of the span.
CONTEXTS = ("ai.telemetry.metadata.", "ai.settings.context.", "metadata.")


def read_operation_id(value: Any) -> SpanKind | None:
    """The span kind of an operation of the SDK."""
    return OPERATION_KINDS.get(value) if isinstance(value, str) else None


def in_context(*names: str) -> tuple[str, ...]:
    """The attributes that hold metadata of these names."""
    return tuple(prefix + name for prefix in CONTEXTS for name in names)


class VercelAI(Dialect):
    """Attributes named ``ai.*``."""

    name = "vercel_ai"
    rank = 150
    fields = (
        SpanField("kind", read_operation_id, (OPERATION,)),
        SpanField("input", as_text, ("ai.toolCall.args",)),
        SpanField("output", decoded_text, ("ai.toolCall.result", TEXT, "ai.result.text", OBJECT)),
        SpanField("input_messages", request_messages, ("ai.prompt.messages", "ai.prompt")),
        SpanField("tools", items_of, ("ai.prompt.tools",)),
        SpanField("tool_name", name_of, ("ai.toolCall.name",)),
        SpanField("tool_call_id", name_of, ("ai.toolCall.id",)),
        SpanField("agent_name", name_of, ("ai.telemetry.functionId",)),
        SpanField("model_name", name_of, ("ai.response.model", "ai.model.id")),
        SpanField("finish_reason", name_of, (FINISH_REASON, "ai.finishReason")),
        SpanField("prompt_tokens", integer_of, ("ai.usage.inputTokens", "ai.usage.promptTokens")),
        SpanField(
            "completion_tokens",
            integer_of,
            ("ai.usage.outputTokens", "ai.usage.completionTokens"),
        ),
        SpanField("total_tokens", integer_of, ("ai.usage.totalTokens", "ai.usage.tokens")),
        SpanField("session_id", name_of, in_context("sessionId", "session_id")),
        SpanField("user_id", name_of, in_context("userId", "user_id")),
    )

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Whether the SDK wrote the span, or one of its OpenTelemetry GenAI with a context."""
        return OPERATION in attributes or any(
            name.startswith("ai.settings.context.") for name in attributes
        )

    def payload_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer of a run or of a model call, which is recorded in several attributes."""
        attributes = span.attributes
        kind = fields.get("kind")
        if kind not in (SpanKind.LLM, SpanKind.AGENT) or FINISH_REASON not in attributes:
            return {}
        calls = items_of(attributes.get(TOOL_CALLS)) or items_of(
            attributes.get("ai.result.toolCalls")
        )
        text = fields.get("output")
        if text is None and not calls and not RECORDED_WITH_TEXT.isdisjoint(attributes):
            text = ""
        if text is None and not calls:
            return {}
        message = {"role": "assistant", "content": text, "tool_calls": calls}
        return {"output": text, "output_messages": [message]}
