"""LangChain and LangGraph, recorded by ``openinference-instrumentation-langchain``.

``langgraph-more`` was made with langchain 1.5.2, langgraph 1.2.24 and a model that replays messages.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import Message, Span, SpanKind, Trace
from recordings import of_kind, recorded


def root_of(trace: Trace) -> Span:
    """The root span."""
    assert trace.root
    return trace.root


def span_of(kind: str, **attributes: Any) -> Span:
    """A span of this kind; ``output_value`` is the attribute ``output.value``."""
    named = {name.replace("_", ".", 1): value for name, value in attributes.items()}
    return span_from_attributes(
        trace_id="t", span_id="s", attributes={"openinference.span.kind": kind, **named}
    )


def test_question_and_answer_of_a_run_are_taken_out_of_its_state() -> None:
    root = root_of(recorded("langgraph", "ok"))
    assert root.input == "SCENARIO:ok Where is my order A-17?"
    assert root.output == "Your order A-17 was shipped on Monday."
    assert (root.session_id, root.user_id) == ("s-1", "u-1")


def test_an_answer_of_a_run_that_is_empty_is_an_empty_output() -> None:
    trace = recorded("langgraph", "empty")
    assert root_of(trace).output == ""
    last = of_kind(trace, SpanKind.LLM)[-1]
    assert last.output_messages == (Message(role="assistant", content=""),)


def test_a_run_that_ends_with_an_error_has_no_output() -> None:
    root = root_of(recorded("langgraph", "tool_raises"))
    assert root.input == "SCENARIO:tool_raises Please refund 10 EUR of my order A-17."
    assert (root.output, root.output_messages) == (None, ())


def test_a_tool_run_has_the_result_and_the_call_that_its_message_names() -> None:
    trace = recorded("langgraph", "repeat")
    runs = of_kind(trace, SpanKind.TOOL)
    results = {run.output for run in runs}
    assert results == {'{"order_id": "A-17", "status": "shipped", "day": "Monday"}'}
    asked = [
        call.id
        for span in of_kind(trace, SpanKind.LLM)
        for message in span.output_messages
        for call in message.tool_calls
    ]
    assert [run.tool_call_id for run in runs] == asked
    assert {run.tool_error for run in runs} == {False}


def test_an_error_that_a_handler_turned_into_a_message_is_the_result_of_the_tool() -> None:
    trace = recorded("langgraph-handled", "tool_raises")
    last = of_kind(trace, SpanKind.LLM)[-1]
    assert last.input_messages[-1].content == (
        "Tool error: Please check your input and try again. (payment service did not commit)"
    )
    assert root_of(trace).output == "Your refund of 10 EUR is done."


def test_calls_with_arguments_that_are_no_json_are_calls() -> None:
    trace = recorded("langgraph", "bad_json")
    (call,) = of_kind(trace, SpanKind.LLM)[-1].output_messages[0].tool_calls
    assert (call.name, call.arguments) == ("get_order", '{"order_id": "A-17"')


def test_documents_are_those_of_the_retriever() -> None:
    (nothing,) = of_kind(recorded("langgraph-retriever-A", "nodocs"), SpanKind.RETRIEVER)
    assert nothing.documents == ()
    (found,) = of_kind(recorded("langgraph-retriever-A", "docs"), SpanKind.RETRIEVER)
    assert found.documents
    assert all(document.content for document in found.documents)


def test_a_run_that_waits_for_a_person_has_no_output_and_says_what_it_asked_for() -> None:
    root = root_of(recorded("langgraph-more", "interrupted"))
    assert (root.input, root.output) == ("cancel my order", None)
    (call,) = root.output_messages[-1].tool_calls
    assert (call.name, call.arguments) == ("ask_human", '{"question":"Really?"}')


def test_the_input_of_a_run_that_goes_on_is_the_answer_of_the_person() -> None:
    root = root_of(recorded("langgraph-more", "resumed"))
    assert (root.input, root.output) == ("yes", "done")


def test_a_structured_answer_is_the_output() -> None:
    assert root_of(recorded("langgraph-more", "structured_answer")).output == '{"status":"shipped"}'


def test_a_tool_with_agent_in_its_name_is_a_tool_and_its_command_is_a_result() -> None:
    (run,) = of_kind(recorded("langgraph-more", "hand_off"), SpanKind.TOOL)
    assert (run.tool_name, run.output) == ("transfer_to_refund_agent", "ok, transferred")


def test_a_model_with_agent_in_its_name_is_a_model() -> None:
    model = {"model": "m", "_type": "agent-chat"}
    assert span_of("AGENT", llm_invocation_parameters=json.dumps(model)).kind is SpanKind.LLM
    assert span_of("AGENT", llm_invocation_parameters='{"model": "m"}').kind is SpanKind.AGENT


def test_a_call_that_is_also_a_part_of_the_content_is_one_call() -> None:
    trace = recorded("langgraph-more", "content_parts")
    for span in (of_kind(trace, SpanKind.CHAIN)[1], of_kind(trace, SpanKind.LLM)[0]):
        (message,) = span.output_messages
        assert message.content == "Let me look."
        assert [call.name for call in message.tool_calls] == ["get_order"]


def test_a_text_part_without_text_is_empty() -> None:
    last = of_kind(recorded("langgraph-more", "content_parts"), SpanKind.LLM)[-1]
    assert last.output_messages == (Message(role="assistant", content=""),)


def test_a_state_without_messages_stays_as_it_is() -> None:
    root = root_of(recorded("langgraph-more", "own_state"))
    assert root.output == '{"question": "q", "answer": "42"}'


def test_the_output_of_an_executor_of_agents_is_its_answer() -> None:
    run = {"output": "It was shipped.", "intermediate_steps": [["call", "result"]]}
    assert span_of("AGENT", output_value=json.dumps(run)).output == "It was shipped."


@pytest.mark.parametrize(
    "output",
    [
        '{"messages": "none", "structured_response": 1}',
        '{"messages": ["<Message object>"]}',
        '{"messages": [], "structured_response": null}',
        '[1, {"update": {"messages": []}}]',
        '{"intermediate_steps": "output"}',
        '{"messages": [cut',
    ],
)
def test_an_output_that_only_looks_like_a_state_stays_as_it_is(output: str) -> None:
    expected = "1" if '"structured_response": 1' in output else output
    assert span_of("CHAIN", output_value=output).output == expected
