"""Requests and responses of AWS Bedrock that a span records as its input and output."""

from __future__ import annotations

import json
from typing import Any

import pytest

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import Message, Span, ToolCall

QUESTION, ANSWER = Message(role="user", content="Where?"), Message(role="assistant", content="Oslo")
SCHEMA = {"type": "object", "properties": {"order_id": {"type": "string"}}}


def model_call(request: Any, response: Any) -> Span:
    """A model call with this request and this response."""
    return span_from_attributes(
        trace_id="t",
        span_id="s",
        attributes={
            "openinference.span.kind": "LLM",
            "input.value": json.dumps(request),
            "output.value": json.dumps(response),
        },
    )


def test_a_call_of_converse_has_messages_tools_and_the_reason_of_its_end() -> None:
    call = {"toolUse": {"toolUseId": "c1", "name": "get_order", "input": {"order_id": "A-17"}}}
    error = {"toolUseId": "c1", "status": "error", "content": [{"text": "no such order"}]}
    span = model_call(
        {
            "modelId": "amazon.nova-pro-v1:0",
            "system": [{"text": "Be kind."}],
            "messages": [
                {"role": "user", "content": [{"text": "Where?"}]},
                {"role": "assistant", "content": [call]},
                {"role": "user", "content": [{"toolResult": error}]},
            ],
            "toolConfig": {
                "tools": [
                    {"toolSpec": {"name": "get_order", "inputSchema": {"json": SCHEMA}}},
                    {"cachePoint": {"type": "default"}},
                ]
            },
        },
        {
            "output": {"message": {"role": "assistant", "content": [{"text": "Oslo"}]}},
            "stopReason": "max_tokens",
        },
    )
    requested = ToolCall(id="c1", name="get_order", arguments='{"order_id":"A-17"}')
    assert span.input_messages == (
        Message(role="system", content="Be kind."),
        QUESTION,
        Message(role="assistant", tool_calls=(requested,)),
        Message(role="tool", content="no such order", tool_call_id="c1", is_error=True),
    )
    assert span.output_messages == (ANSWER,)
    assert [(tool.name, tool.parameters) for tool in span.tools] == [("get_order", SCHEMA)]
    assert span.finish_reason == "max_tokens"


@pytest.mark.parametrize(
    ("request_body", "response_body"),
    [
        (
            {"inputText": "Where?", "textGenerationConfig": {}},
            {"results": [{"outputText": "Oslo", "completionReason": "LENGTH"}]},
        ),
        ({"prompt": "Where?"}, {"generation": "Oslo", "stop_reason": "LENGTH"}),
        ({"prompt": "Where?"}, {"outputs": [{"text": "Oslo", "stop_reason": "LENGTH"}]}),
        (
            {"anthropic_version": "b", "messages": [{"role": "user", "content": "Where?"}]},
            {
                "role": "assistant",
                "content": [{"type": "text", "text": "Oslo"}],
                "stop_reason": "LENGTH",
            },
        ),
    ],
    ids=["Titan", "Llama", "Mistral", "Anthropic"],
)
def test_the_bodies_of_models_with_an_api_of_their_own_are_read(
    request_body: dict[str, Any], response_body: dict[str, Any]
) -> None:
    span = model_call(request_body, response_body)
    assert (span.input_messages, span.output_messages) == ((QUESTION,), (ANSWER,))
    assert span.finish_reason == "LENGTH"
