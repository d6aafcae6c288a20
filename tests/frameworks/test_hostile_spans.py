"""Whatever attributes and events of a span hold, the dialects of clients read it without error."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import Span
from json_strategies import json_values, message_payloads

# What makes a span one of the dialect, and the attributes that it reads.
DIALECTS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "langfuse": (
        {"langfuse.observation.type": "generation"},
        (
            "langfuse.observation.type",
            "langfuse.observation.input",
            "langfuse.observation.output",
            "langfuse.observation.usage_details",
            "langfuse.observation.cost_details",
        ),
    ),
    "langsmith": (
        {"langsmith.span.kind": "tool"},
        ("langsmith.span.kind", "gen_ai.prompt", "gen_ai.completion"),
    ),
    "litellm": (
        {"litellm.call_id": "1"},
        ("gen_ai.completion", "gen_ai.response.finish_reasons", "gen_ai.output.messages"),
    ),
    "litellm raw": (
        {"llm.openai.messages": "[]"},
        ("llm.openai.messages", "llm.openai.choices", "llm.openai.usage", "llm.openai.model"),
    ),
    "mastra": (
        {"mastra.span.type": "model_step"},
        (
            "mastra.span.type",
            "mastra.model_step.input",
            "mastra.model_step.output",
            "metadata",
            "mastra.metadata.body",
            "gen_ai.system_instructions",
            "gen_ai.tool.call.result",
        ),
    ),
    "mcp": ({"mcp.method.name": "tools/call"}, ("mcp.method.name",)),
    "mlflow": (
        {"mlflow.spanType": '"CHAT_MODEL"'},
        (
            "mlflow.spanType",
            "mlflow.spanInputs",
            "mlflow.spanOutputs",
            "mlflow.chat.tokenUsage",
            "mlflow.llm.cost",
            "mlflow.chat.tools",
            "mlflow.spanFunctionName",
        ),
    ),
    "openlit": (
        {"function.args": "()"},
        ("function.args", "function.kwargs", "gen_ai.output.messages"),
    ),
    "openllmetry": (
        {"traceloop.span.kind": "workflow"},
        ("traceloop.span.kind", "traceloop.entity.input", "traceloop.entity.output"),
    ),
    "vercel_ai": (
        {"ai.operationId": "ai.generateText", "ai.response.finishReason": "stop"},
        (
            "ai.operationId",
            "ai.prompt",
            "ai.prompt.messages",
            "ai.prompt.tools",
            "ai.response.toolCalls",
            "ai.response.text",
            "ai.toolCall.result",
        ),
    ),
}


def json_text(value: Any) -> Any:
    """``value`` as JSON text, where that can be."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return value


@pytest.mark.parametrize("dialect", DIALECTS)
@given(st.data())
def test_any_value_of_any_attribute_gives_a_span(dialect: str, data: st.DataObject) -> None:
    marks, names = DIALECTS[dialect]
    values = message_payloads | message_payloads.map(json_text)
    found = data.draw(st.dictionaries(st.sampled_from(names), values))
    span = span_from_attributes(
        trace_id="t", span_id="s", name="tools/call f", attributes={**marks, **found}
    )
    assert isinstance(span, Span)


CHUNK_KEYS = (
    *("choices", "delta", "index", "tool_calls", "function", "name", "arguments", "content"),
    *("finish_reason", "type", "response", "content_block", "input", "text", "partial_json"),
)
CHUNK_TYPES = ("message_start", "content_block_delta", "response.completed", "tool_use")


@given(st.lists(json_values(CHUNK_KEYS, CHUNK_TYPES), max_size=4))
@example([{"choices": [{"delta": {"tool_calls": [{"index": [], "function": {}}]}}]}])
@example([{"type": "message_start"}, {"index": {}, "content_block": {"input": []}}])
def test_any_chunks_of_a_stream_give_a_span(chunks: list[Any]) -> None:
    events = [
        {
            "name": f"mlflow.chunk.item.{index}",
            "attributes": {"mlflow.chunk.value": json_text(value)},
        }
        for index, value in enumerate(chunks)
    ]
    attributes = {"mlflow.spanType": '"CHAT_MODEL"'}
    span = span_from_attributes(trace_id="t", span_id="s", attributes=attributes, events=events)
    assert isinstance(span, Span)
