"""Spans of ``OpenTelemetry`` of ``@ai-sdk/otel``, which the Vercel AI SDK 7 writes by default."""

from __future__ import annotations

import json

from halo_engine.schema import Message, SpanKind
from recordings import kinds, of_kind, recorded, root_of

RECORDING = "vercel-ai7"


def test_a_run_is_an_agent_with_steps() -> None:
    assert kinds(recorded(RECORDING, "ok")) == [
        ("invoke_agent gpt-4o-mini", "AGENT"),
        ("step 1", "CHAIN"),
        ("chat gpt-4o-mini", "LLM"),
        ("execute_tool get_order", "TOOL"),
        ("step 2", "CHAIN"),
        ("chat gpt-4o-mini", "LLM"),
    ]


def test_the_answer_stands_beside_the_calls_of_earlier_turns() -> None:
    root = root_of(recorded(RECORDING, "ok"))
    assert root.input == "SCENARIO:ok When will my order A-17 come?"
    assert root.output == "Your order A-17 was shipped on Monday."
    assert (root.agent_name, root.finish_reason) == ("shop-agent", "stop")


def test_a_run_that_ends_in_a_tool_call_has_no_answer() -> None:
    root = root_of(recorded(RECORDING, "max_steps"))
    assert (root.output, root.finish_reason) == (None, "tool-calls")


def test_a_model_call_has_its_messages_and_tools() -> None:
    first, second = of_kind(recorded(RECORDING, "ok"), SpanKind.LLM)
    assert [m.role for m in second.input_messages] == ["system", "user", "assistant", "tool"]
    assert json.loads(first.output_messages[0].tool_calls[0].arguments or "")
    assert [tool.name for tool in first.tools] == ["get_order", "cancel_order", "refund_order"]
    assert all(tool.parameters for tool in first.tools)


def test_an_answer_without_parts_is_empty() -> None:
    last = of_kind(recorded(RECORDING, "empty"), SpanKind.LLM)[-1]
    assert last.output_messages == (Message(role="assistant", content=""),)


def test_arguments_that_are_no_json_stay_as_the_model_wrote_them() -> None:
    call = of_kind(recorded(RECORDING, "bad_json"), SpanKind.LLM)[0].output_messages[0]
    assert call.tool_calls[0].arguments == '{"order_id": "A-17"'
