"""Mastra's spans, as its OpenTelemetry exporter and its exporter to Arize (1.3.8) write them."""

from __future__ import annotations

import json
from typing import Any

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import Message, Span, SpanKind
from recordings import kinds, of_kind, recorded, root_of


def span_of(span_type: str, **attributes: Any) -> Span:
    """A span of this type of Mastra's."""
    return span_from_attributes(
        trace_id="t", span_id="s", attributes={"mastra.span.type": span_type, **attributes}
    )


def test_each_call_of_a_model_is_one_llm_span() -> None:
    assert kinds(recorded("mastra", "ok")) == [
        ("invoke_agent shop", "AGENT"),
        ("model_generation gpt-4o-mini", "CHAIN"),
        ("agent_step shop", "LLM"),
        ("chat gpt-4o-mini", "CHAIN"),
        ("model_chunk shop", "CHAIN"),
        ("execute_tool get_order", "TOOL"),
        ("model_chunk shop", "CHAIN"),
        ("agent_step shop", "CHAIN"),
        ("chat gpt-4o-mini", "LLM"),
        ("model_chunk shop", "CHAIN"),
    ]


def test_the_run_says_what_was_asked_and_answered_and_for_whom() -> None:
    root = root_of(recorded("mastra", "ok"))
    assert root.input == "SCENARIO:ok When will my order A-17 come?"
    assert root.output == "Your order A-17 was shipped on Monday."
    assert (root.session_id, root.user_id, root.agent_name) == ("s-1", "u-1", "shop")
    assert [tool.name for tool in root.tools] == ["get_order", "cancel_order", "refund_order"]
    assert root.input_messages[0].role == "system"


def test_a_turn_that_calls_a_tool_has_its_messages_and_the_call() -> None:
    step = of_kind(recorded("mastra", "ok"), SpanKind.LLM)[0]
    assert [m.role for m in step.input_messages] == ["system", "user"]
    (call,) = step.output_messages[0].tool_calls
    assert call.name == "get_order"
    assert json.loads(call.arguments or "") == {"order_id": "A-17"}
    assert step.finish_reason == "tool_calls"


def test_the_last_turn_has_the_answer_its_tokens_and_finish_reason() -> None:
    last = of_kind(recorded("mastra", "length"), SpanKind.LLM)[-1]
    (message,) = last.output_messages
    assert (message.content, last.finish_reason) == ("Your order A-17 was shipped on", "length")
    assert last.usage.completion_tokens == 12


def test_arguments_that_are_no_json_are_taken_from_the_raw_response() -> None:
    call = of_kind(recorded("mastra", "bad_json"), SpanKind.LLM)[0].output_messages[0]
    assert call.tool_calls[0].arguments == '{"order_id": "A-17"'


def test_without_a_raw_response_the_calls_of_the_step_count() -> None:
    output = {"text": "", "toolCalls": [{"toolCallId": "c", "toolName": "f", "args": {"a": 1}}]}
    span = span_of("model_step", **{"mastra.model_step.output": json.dumps(output)})
    (call,) = span.output_messages[0].tool_calls
    assert (call.id, call.name, call.arguments) == ("c", "f", '{"a":1}')


def test_arguments_that_mastra_refused_are_an_error_of_the_tool() -> None:
    (refused,) = of_kind(recorded("mastra", "bad_type"), SpanKind.TOOL)
    (accepted,) = of_kind(recorded("mastra", "ok"), SpanKind.TOOL)
    assert (refused.tool_error, accepted.tool_error) == (True, None)


def test_an_empty_answer_is_empty_and_that_of_a_failed_call_is_none() -> None:
    empty, failed = recorded("mastra", "empty"), recorded("mastra", "rate_limit")
    assert (root_of(empty).output, root_of(failed).output) == ("", None)
    assert of_kind(empty, SpanKind.LLM)[-1].output_messages == (
        Message(role="assistant", content=""),
    )
    assert of_kind(failed, SpanKind.LLM)[-1].output_messages == ()
    assert [s.output for s in of_kind(failed, SpanKind.CHAIN)] == [None, None]


def test_a_turn_that_calls_a_tool_is_not_told_twice() -> None:
    trace = recorded("mastra", "ok")
    inner = next(span for span in trace.spans if span.name == "chat gpt-4o-mini")
    assert (inner.output, inner.output_messages) == (None, ())


def test_in_the_export_to_arize_the_steps_are_the_model_calls() -> None:
    trace = recorded("mastra-arize", "length")
    first, last = of_kind(trace, SpanKind.LLM)
    assert [first.name, last.name] == ["model_step shop"] * 2
    assert first.output_messages[0].tool_calls[0].name == "get_order"
    assert (last.output_messages[0].content, last.finish_reason) == (
        "Your order A-17 was shipped on",
        "length",
    )


def test_in_the_export_to_arize_the_run_has_its_session_and_the_tool_its_error() -> None:
    root = root_of(recorded("mastra-arize", "ok"))
    assert (root.session_id, root.user_id) == ("s-1", "u-1")
    assert root.output == "Your order A-17 was shipped on Monday."
    (refused,) = of_kind(recorded("mastra-arize", "bad_type"), SpanKind.TOOL)
    assert (refused.tool_name, refused.tool_error) == ("refund_order", True)
