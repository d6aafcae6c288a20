"""MLflow's spans, under its own names and as streams in both of its exports."""

from __future__ import annotations

import json
from typing import Any

import pytest

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import Message, Span, SpanKind, ToolCall
from recordings import kinds, of_kind, recorded, root_of


def span_of(span_type: str, events: list[Any] | None = None, **values: Any) -> Span:
    """A span of this type, with ``inputs`` and ``outputs``."""
    names = {"inputs": "mlflow.spanInputs", "outputs": "mlflow.spanOutputs"}
    attributes = {names.get(name, name): json.dumps(value) for name, value in values.items()}
    return span_from_attributes(
        trace_id="t",
        span_id="s",
        name="f",
        attributes={"mlflow.spanType": json.dumps(span_type), **attributes},
        events=events or [],
    )


def chunk_events(chunks: list[Any]) -> list[dict[str, Any]]:
    """The events that MLflow records of a stream."""
    return [
        {
            "name": f"mlflow.chunk.item.{index}",
            "attributes": {"mlflow.chunk.value": json.dumps(chunk)},
        }
        for index, chunk in enumerate(chunks)
    ]


def delta(reason: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk of OpenAI's chat API."""
    choice = {"index": 0, "delta": fields, "finish_reason": reason}
    return {"object": "chat.completion.chunk", "choices": [choice]}


def call_delta(arguments: str, **fields: Any) -> dict[str, Any]:
    """A chunk with a piece of a tool call."""
    function = {**fields, "arguments": arguments}
    return delta(tool_calls=[{"index": 0, "id": "c" if fields else None, "function": function}])


CALL_STREAM = chunk_events(
    [
        delta(role="assistant", content=None),
        call_delta('{"order_id":', name="get_order"),
        call_delta(' "A-17"'),
        delta("tool_calls"),
        {"object": "chat.completion.chunk", "choices": []},
    ]
)
STREAMED_CALL = ToolCall(id="c", name="get_order", arguments='{"order_id": "A-17"')


def test_the_kinds_are_those_of_the_types() -> None:
    assert kinds(recorded("mlflow", "ok")) == [
        ("shop_agent", "AGENT"),
        ("Completions", "LLM"),
        ("get_order", "TOOL"),
        ("Completions", "LLM"),
    ]


def test_a_function_without_a_type_has_no_kind_but_its_input_and_output() -> None:
    span = span_of("UNKNOWN", inputs={"order_id": "A-17"}, outputs={"status": "shipped"})
    assert (span.kind, span.input, span.output) == (
        None,
        '{"order_id":"A-17"}',
        '{"status":"shipped"}',
    )


def test_the_run_says_what_was_asked_and_answered() -> None:
    root = root_of(recorded("mlflow", "ok"))
    assert root.input == "SCENARIO:ok When will my order A-17 come?"
    assert root.output == "Your order A-17 was shipped on Monday."


def test_request_and_response_of_a_model_call_are_read() -> None:
    first, second = of_kind(recorded("mlflow", "ok"), SpanKind.LLM)
    assert [m.role for m in second.input_messages] == ["system", "user", "assistant", "tool"]
    (call,) = first.output_messages[0].tool_calls
    assert (call.name, call.arguments) == ("get_order", '{"order_id": "A-17"}')
    assert [tool.name for tool in first.tools] == ["get_order", "cancel_order", "refund_order"]
    assert (first.finish_reason, second.finish_reason) == ("tool_calls", "stop")
    assert (first.model_name, first.usage.total_tokens) == ("gpt-4o-mini", 44)


def test_a_tool_run_has_its_name_arguments_and_result() -> None:
    (tool,) = of_kind(recorded("mlflow", "ok"), SpanKind.TOOL)
    assert tool.tool_name == "get_order"
    assert json.loads(tool.input or "") == {"order_id": "A-17"}
    assert json.loads(tool.output or "")["status"] == "shipped"


def test_an_empty_answer_is_empty() -> None:
    root = root_of(recorded("mlflow", "empty"))
    assert root.output == ""
    last = of_kind(recorded("mlflow", "empty"), SpanKind.LLM)[-1]
    assert last.output_messages == (Message(role="assistant", content=""),)


@pytest.mark.parametrize("arguments", ['{"order_id": "A-17"'])
def test_arguments_that_are_no_json_stay_as_the_model_wrote_them(arguments: str) -> None:
    call = of_kind(recorded("mlflow", "bad_json"), SpanKind.LLM)[0].output_messages[0]
    assert call.tool_calls[0].arguments == arguments


def test_cost_is_read() -> None:
    span = span_of("LLM", **{"mlflow.llm.cost": {"input_cost": 0.1, "total_cost": 0.3}})
    assert span.usage.cost == 0.3


def test_a_stream_is_read_from_its_chunks() -> None:
    wrong = {"choices": [{"finish_reason": "stop", "message": {"content": ""}}]}
    span = span_of("CHAT_MODEL", CALL_STREAM, inputs={"messages": []}, outputs=wrong)
    assert span.output_messages == (Message(role="assistant", tool_calls=(STREAMED_CALL,)),)
    assert span.finish_reason == "tool_calls"


def test_a_stream_is_read_from_its_chunks_in_the_export_of_opentelemetry_genai() -> None:
    span = span_from_attributes(
        trace_id="t",
        span_id="s",
        attributes={
            "gen_ai.operation.name": "chat",
            "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"Hi"}]}]',
            "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"text",'
            '"content":""}],"finish_reason":"stop"}]',
            "gen_ai.response.finish_reasons": ["stop"],
        },
        events=CALL_STREAM,
    )
    assert span.input_messages == (Message(role="user", content="Hi"),)
    assert span.output_messages == (Message(role="assistant", tool_calls=(STREAMED_CALL,)),)
    assert span.finish_reason == "tool_calls"


def test_a_streamed_text_is_put_together() -> None:
    chunks = [delta(content="Your "), delta(content="order"), delta("length")]
    span = span_of("CHAT_MODEL", chunk_events(chunks))
    assert span.output_messages == (Message(role="assistant", content="Your order"),)
    assert span.finish_reason == "length"


def test_the_last_event_of_a_responses_stream_is_the_answer() -> None:
    output = [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}]
    chunks = [
        {"type": "response.output_text.delta", "delta": "x"},
        {"type": "response.completed", "response": {"output": output}},
    ]
    span = span_of("CHAT_MODEL", chunk_events(chunks))
    call = ToolCall(id="c", name="f", arguments="{}")
    assert span.output_messages == (Message(role="assistant", tool_calls=(call,)),)


def test_a_stream_of_anthropic_is_read_from_its_events() -> None:
    tool_use = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
    chunks = [
        {"type": "message_start", "message": {}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"text": "I look."}},
        {"type": "content_block_start", "index": 1, "content_block": tool_use},
        {"type": "content_block_delta", "index": 1, "delta": {"partial_json": '{"a"'}},
        {"type": "content_block_delta", "index": 1, "delta": {"partial_json": ":1}"}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
    ]
    span = span_of("CHAT_MODEL", chunk_events(chunks))
    call = ToolCall(id="c", name="f", arguments='{"a":1}')
    assert span.output_messages == (
        Message(role="assistant", content="I look.", tool_calls=(call,)),
    )
    assert span.finish_reason == "tool_use"


def test_an_agent_that_streams_texts_answered_with_all_of_them() -> None:
    span = span_of("AGENT", chunk_events(["On its ", "way."]), outputs=["On its ", "way."])
    assert span.output == "On its way."


@pytest.mark.parametrize(
    ("operation", "kind"),
    [("RETRIEVER", SpanKind.RETRIEVER), ("WORKFLOW", SpanKind.CHAIN), ("UNKNOWN", None)],
)
def test_the_export_of_opentelemetry_genai_keeps_types_without_an_operation(
    operation: str, kind: SpanKind | None
) -> None:
    attributes = {"gen_ai.operation.name": operation}
    assert span_from_attributes(trace_id="t", span_id="s", attributes=attributes).kind is kind
