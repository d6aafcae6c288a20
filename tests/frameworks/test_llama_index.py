"""LlamaIndex, recorded by ``openinference-instrumentation-llama-index``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import Span, SpanKind
from recordings import given_back, of_kind, recorded

LLAMA_INDEX = "llama-index"
METADATA = '{"context_window":128000,"is_chat_model":true}'
SAYS = "AgentOutput(response=ChatMessage(role=<MessageRole.ASSISTANT: 'assistant'>, blocks=["


def step(**attributes: Any) -> Span:
    """A step of a workflow; ``output_value`` is the attribute ``output.value``."""
    named = {name.replace("_", "."): value for name, value in attributes.items()}
    return span_from_attributes(
        trace_id="t", span_id="s", attributes={"openinference.span.kind": "CHAIN", **named}
    )


def test_the_preparation_of_a_call_is_no_model_call() -> None:
    trace = recorded(LLAMA_INDEX, "ok")
    assert {span.name for span in of_kind(trace, SpanKind.LLM)} == {"OpenAI.astream_chat"}
    prepares = [span for span in trace.spans if span.name == "OpenAI._prepare_chat_with_tools"]
    assert len(prepares) == 2
    for span in prepares:
        assert span.kind is SpanKind.CHAIN
        assert (span.input_messages, span.output_messages, span.tools) == ((), (), ())


@pytest.mark.parametrize("call", ["llm.prompts", "llm.input_messages"])
def test_a_method_that_makes_the_call_is_one(call: str) -> None:
    recorded_as = {call: ["Hi"], "llm.invocation_parameters": METADATA}
    span = span_from_attributes(
        trace_id="t", span_id="s", attributes={"openinference.span.kind": "LLM", **recorded_as}
    )
    assert span.kind is SpanKind.LLM


def test_a_model_call_of_another_framework_without_messages_is_one() -> None:
    span = span_from_attributes(
        trace_id="t",
        span_id="s",
        attributes={"openinference.span.kind": "LLM", "llm.invocation_parameters": '{"model":"m"}'},
    )
    assert span.kind is SpanKind.LLM


@pytest.mark.parametrize(
    ("scenario", "answer"),
    [
        ("ok", "Your order A-17 was shipped on Monday."),
        ("length", "Your order A-17 was shipped on"),
        ("empty", ""),
        # cut after 200 characters, within the answer
        ("refusal", None),
        # ended by an error
        ("max_steps", None),
    ],
)
def test_the_answer_of_a_run_is_taken_out_of_its_last_event(
    scenario: str, answer: str | None
) -> None:
    root = recorded(LLAMA_INDEX, scenario).root
    assert root
    assert (root.name, root.input, root.output) == ("FunctionAgent.run", None, answer)


@pytest.mark.parametrize(
    ("event", "answer"),
    [
        ("StopEvent(result='Shipped, isn\\'t it?')", "Shipped, isn't it?"),
        ('StopEvent(result="It\'s \\"out\\"")', 'It\'s "out"'),
        (f"{SAYS}TextBlock(block_type='text', text=\"It's out.\")]), structured", "It's out."),
        (f"{SAYS}])", ""),
        ("StopEvent(result='cut...", None),
        (f"{SAYS}TextBlock(block_type='text', text='It is...", None),
        ("ToolCall(tool_name='f')", "ToolCall(tool_name='f')"),
    ],
)
def test_an_answer_in_an_event_is_a_text_in_the_notation_of_python(
    event: str, answer: str | None
) -> None:
    assert step(output_value=event).output == answer


@pytest.mark.parametrize(
    ("event", "asked"),
    [("AgentWorkflowStartEvent()", None), ("StartEvent(topic='A-17')", "StartEvent(topic='A-17')")],
)
def test_the_input_of_a_workflow_is_the_event_that_it_began_with(
    event: str, asked: str | None
) -> None:
    given = json.dumps({"init_state": {"is_running": False}, "start_event": event, "tags": {}})
    assert step(input_value=given).input == asked


def test_a_tool_run_has_arguments_result_and_whether_it_failed() -> None:
    (run,) = of_kind(recorded(LLAMA_INDEX, "ok"), SpanKind.TOOL)
    assert (run.tool_name, run.input) == ("get_order", '{"order_id":"A-17"}')
    assert run.output == "{'order_id': 'A-17', 'status': 'shipped', 'day': 'Monday'}"
    assert run.tool_error is False
    assert [tool.name for tool in run.tools] == ["get_order"]
    (failed,) = of_kind(recorded(LLAMA_INDEX, "tool_raises"), SpanKind.TOOL)
    assert (failed.output, failed.tool_error, failed.is_error) == (None, None, True)


def test_arguments_are_those_that_the_model_wrote() -> None:
    trace = recorded(LLAMA_INDEX, "bad_json")
    (call,) = of_kind(trace, SpanKind.LLM)[0].output_messages[0].tool_calls
    assert call.arguments == '{"order_id": "A-17"'


def test_calls_whose_messages_langfuse_drops_are_told_by_the_names_of_their_methods() -> None:
    trace = given_back(LLAMA_INDEX, "ok")
    assert [span.name for span in of_kind(trace, SpanKind.LLM)] == ["OpenAI.astream_chat"] * 2


def test_messages_in_the_notation_of_python_are_read_where_there_are_no_others() -> None:
    first, last = of_kind(given_back(LLAMA_INDEX, "bad_json"), SpanKind.LLM)
    assert [message.role for message in first.input_messages] == ["system", "user"]
    assert first.input_messages[1].content == "SCENARIO:bad_json Where is my order A-17?"
    _, _, said, result = last.input_messages
    (call,) = said.tool_calls
    assert (call.id, call.name) == (result.tool_call_id, "get_order")
    assert call.arguments == '{"order_id": "A-17"'
    assert (result.role, result.content) == (
        "tool",
        "{'order_id': 'A-17', 'status': 'shipped', 'day': 'Monday'}",
    )
    assert [message.content for message in last.output_messages] == [last.output]
    assert last.output == "Your order A-17 was shipped on Monday."
