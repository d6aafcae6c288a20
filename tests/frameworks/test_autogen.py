"""Spans of AutoGen with OpenInference's instrumentation: autogen-agentchat 0.7.5, 0.1.22 of it."""

from __future__ import annotations

from typing import Any

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import Message, Span, SpanKind
from recordings import kinds, of_kind, recorded, root_of

AUTOGEN = "autogen"


def run_asked(*messages: str) -> Span:
    """The run of an agent that got ``messages`` in Python's notation."""
    attributes: dict[str, Any] = {
        "openinference.span.kind": "AGENT",
        "input.value": {"messages": list(messages), "cancellation_token": "<CancellationToken>"},
    }
    return span_from_attributes(trace_id="t", span_id="s", attributes=attributes)


def test_the_spans_of_the_instrumentation_are_inside_and_around_those_of_autogen() -> None:
    assert kinds(recorded(AUTOGEN, "ok")) == [
        ("invoke_agent support", "AGENT"),
        ("support.on_messages_stream", "AGENT"),
        ("OpenAIChatCompletionClient.create", "LLM"),
        ("support.get_order", "TOOL"),
        ("execute_tool get_order", "TOOL"),
        ("OpenAIChatCompletionClient.create", "LLM"),
    ]


def test_what_was_asked_is_the_text_of_the_message_and_not_its_notation() -> None:
    trace = recorded(AUTOGEN, "ok")
    assert of_kind(trace, SpanKind.AGENT)[1].input == "SCENARIO:ok Where is my order A-17?"
    assert (root_of(trace).input, root_of(trace).agent_name) == (None, "support")


def test_what_was_asked_is_from_the_user_where_several_agents_talk() -> None:
    run = run_asked(
        "id='1' source='user' content=\"Where's \\\"A\\\"?\" type='TextMessage'",
        "id='2' source='planner' content='I ask the shop.' type='TextMessage'",
    )
    assert run.input == 'Where\'s "A"?'


def test_the_results_of_tools_beside_a_message_are_messages() -> None:
    first, second = of_kind(recorded(AUTOGEN, "tool_raises"), SpanKind.LLM)
    (call,) = first.output_messages[0].tool_calls
    assert second.input_messages[-1] == Message(
        role="tool",
        name="refund_order",
        content="payment service did not commit",
        tool_call_id=call.id,
        is_error=True,
    )


def test_the_finish_reason_is_in_the_output_of_a_model_call() -> None:
    assert of_kind(recorded(AUTOGEN, "length"), SpanKind.LLM)[-1].finish_reason == "length"
    assert of_kind(recorded(AUTOGEN, "ok"), SpanKind.LLM)[0].finish_reason == "function_calls"


def test_a_tool_run_has_its_result_and_no_arguments_as_its_schema() -> None:
    outer, inner = of_kind(recorded(AUTOGEN, "ok"), SpanKind.TOOL)
    assert outer.input == '{"order_id": "A-17"}'
    assert outer.output == "{'order_id': 'A-17', 'status': 'shipped', 'day': 'Monday'}"
    assert outer.tools == ()
    assert outer.tool_name == inner.tool_name == "get_order"
    assert inner.tool_call_id
