"""The OpenInference semantic conventions."""

from __future__ import annotations

from openinference.semconv.trace import RerankerAttributes, SpanAttributes, ToolCallAttributes

from halo_adapters.attributes import items_of
from halo_adapters.dialects.base import Dialect, SpanField, read_span_kind
from halo_adapters.json_values import integer_of, name_of, number_of
from halo_engine.fields import as_text


class OpenInference(Dialect):
    """Attributes of the OpenInference instrumentations, which Phoenix itself records."""

    name = "openinference"
    rank = 100
    fields = (
        SpanField("kind", read_span_kind, (SpanAttributes.OPENINFERENCE_SPAN_KIND,)),
        SpanField("input", as_text, (SpanAttributes.INPUT_VALUE,)),
        SpanField("output", as_text, (SpanAttributes.OUTPUT_VALUE,)),
        SpanField(
            "input_messages",
            items_of,
            (SpanAttributes.LLM_INPUT_MESSAGES, SpanAttributes.LLM_PROMPTS),
        ),
        SpanField(
            "output_messages",
            items_of,
            (SpanAttributes.LLM_OUTPUT_MESSAGES, SpanAttributes.LLM_CHOICES),
        ),
        SpanField("tools", items_of, (SpanAttributes.LLM_TOOLS,)),
        SpanField(
            "documents",
            items_of,
            (SpanAttributes.RETRIEVAL_DOCUMENTS, RerankerAttributes.RERANKER_OUTPUT_DOCUMENTS),
        ),
        SpanField("tool_name", name_of, (SpanAttributes.TOOL_NAME,)),
        SpanField(
            "tool_call_id", name_of, (ToolCallAttributes.TOOL_CALL_ID, SpanAttributes.TOOL_ID)
        ),
        SpanField(
            "model_name",
            name_of,
            (
                SpanAttributes.LLM_MODEL_NAME,
                SpanAttributes.LLM_RESPONSE_MODEL_NAME,
                SpanAttributes.LLM_REQUEST_MODEL_NAME,
                SpanAttributes.EMBEDDING_MODEL_NAME,
                RerankerAttributes.RERANKER_MODEL_NAME,
            ),
        ),
        SpanField("finish_reason", name_of, (SpanAttributes.LLM_FINISH_REASON,)),
        SpanField("prompt_tokens", integer_of, (SpanAttributes.LLM_TOKEN_COUNT_PROMPT,)),
        SpanField("completion_tokens", integer_of, (SpanAttributes.LLM_TOKEN_COUNT_COMPLETION,)),
        SpanField("total_tokens", integer_of, (SpanAttributes.LLM_TOKEN_COUNT_TOTAL,)),
        SpanField("cost", number_of, (SpanAttributes.LLM_COST_TOTAL,)),
        SpanField("session_id", name_of, (SpanAttributes.SESSION_ID,)),
        SpanField("user_id", name_of, (SpanAttributes.USER_ID,)),
    )
