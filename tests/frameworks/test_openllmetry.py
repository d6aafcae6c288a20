"""Spans of OpenLLMetry: its decorators, its clients, and its callback for LangChain."""

from __future__ import annotations

import json
from typing import Any

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import Span, SpanKind
from recordings import kinds, of_kind, recorded, root_of

RECORDING = "openllmetry"
# What LangChain's callbacks are given beside inputs and outputs.
BESIDE = {"tags": ["seq:step:1"], "metadata": {}, "kwargs": {"name": "x"}}


def entity(kind: str, given: Any = None, returned: Any = None, **attributes: Any) -> Span:
    """An entity of this kind with this input and output."""
    values = {"traceloop.entity.input": given, "traceloop.entity.output": returned}
    texts = {name: json.dumps(value) for name, value in values.items()}
    return span_from_attributes(
        trace_id="t",
        span_id="s",
        attributes={"traceloop.span.kind": kind, **texts, **attributes},
    )


def test_workflows_and_tasks_are_steps() -> None:
    assert kinds(recorded(RECORDING, "ok")) == [
        ("shop_agent.workflow", "CHAIN"),
        ("openai.chat", "LLM"),
        ("dispatch.task", "CHAIN"),
        ("get_order.tool", "TOOL"),
        ("openai.chat", "LLM"),
    ]


def test_the_run_says_what_was_asked_and_answered_and_for_whom() -> None:
    root = root_of(recorded(RECORDING, "ok"))
    assert root.input == "SCENARIO:ok When will my order A-17 come?"
    assert root.output == "Your order A-17 was shipped on Monday."
    assert (root.session_id, root.user_id) == ("s-1", "u-1")


def test_that_a_function_returned_nothing_is_kept() -> None:
    assert root_of(recorded(RECORDING, "max_steps")).output == "null"


def test_a_tool_run_has_its_name_arguments_and_result() -> None:
    (tool,) = of_kind(recorded(RECORDING, "ok"), SpanKind.TOOL)
    assert tool.tool_name == "get_order"
    assert json.loads(tool.input or "") == {"order_id": "A-17"}
    assert json.loads(tool.output or "")["status"] == "shipped"


def test_a_model_call_has_its_messages_tools_and_numbers() -> None:
    first, second = of_kind(recorded(RECORDING, "ok"), SpanKind.LLM)
    assert [m.role for m in second.input_messages] == ["system", "user", "assistant", "tool"]
    assert second.input_messages[-1].tool_call_id == first.output_messages[0].tool_calls[0].id
    assert [tool.name for tool in first.tools] == ["get_order", "cancel_order", "refund_order"]
    assert (first.finish_reason, first.usage.total_tokens) == ("tool_call", 44)


def test_arguments_that_are_no_json_stay_as_the_model_wrote_them() -> None:
    call = of_kind(recorded(RECORDING, "bad_json"), SpanKind.LLM)[0].output_messages[0]
    assert call.tool_calls[0].arguments == '{"order_id": "A-17"'


def test_a_step_of_langchain_is_read_without_what_its_callback_is_given_beside() -> None:
    message = {"lc": 1, "id": ["langchain", "AIMessage"], "kwargs": {"content": "On its way."}}
    span = entity(
        "workflow",
        {"inputs": {"question": "Where is A-17?"}, **BESIDE},
        {"outputs": {"messages": [message]}, "kwargs": {}},
    )
    assert (span.input, span.output) == ("Where is A-17?", "On its way.")


def test_a_tool_of_langchain_is_read_without_what_its_callback_is_given_beside() -> None:
    given = {"input_str": "{'a': 1}", "inputs": {"a": 1}, **BESIDE}
    span = entity(
        "tool",
        given,
        {"output": "done", "kwargs": {}},
        **{"gen_ai.tool.call.arguments": json.dumps(given)},
    )
    assert (span.input, span.output) == ('{"a":1}', "done")


def test_a_result_that_is_a_text_is_decoded() -> None:
    assert entity("tool", {"args": [], "kwargs": {"a": 1}}, "sent").output == "sent"


def test_attributes_of_the_first_generation_are_read() -> None:
    span = span_from_attributes(
        trace_id="t",
        span_id="s",
        attributes={
            "llm.request.type": "chat",
            "gen_ai.prompt.0.role": "user",
            "gen_ai.prompt.0.content": "Hi",
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.finish_reason": "tool_calls",
            "gen_ai.completion.0.tool_calls.0.id": "c",
            "gen_ai.completion.0.tool_calls.0.name": "f",
            "gen_ai.completion.0.tool_calls.0.arguments": "{",
            "llm.request.functions.0.name": "f",
            "llm.request.functions.0.parameters": '{"properties":{"a":{}}}',
        },
    )
    assert (span.kind, span.finish_reason) == (SpanKind.LLM, "tool_calls")
    assert span.input_messages[0].content == "Hi"
    (call,) = span.output_messages[0].tool_calls
    assert (call.id, call.name, call.arguments) == ("c", "f", "{")
    assert span.tools[0].parameters == {"properties": {"a": {}}}
