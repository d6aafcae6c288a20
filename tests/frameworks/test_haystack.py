"""Spans of Haystack: its own, and those of OpenInference's instrumentation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from halo_adapters.dialects.spans import span_from_attributes
from halo_adapters.langfuse.mapping import observation_origin
from halo_adapters.observations import span_from_observation
from halo_engine.schema import Message, Span, SpanKind, ToolCall
from recordings import kinds, of_kind, recorded, root_of

OWN = "haystack_own"
SYSTEM = "ChatMessage(_role=<ChatRole.SYSTEM: 'system'>, _content=[TextContent(text='Be kind.')], _name=None, _meta={})"  # noqa: E501
USER = "ChatMessage(_role=<ChatRole.USER: 'user'>, _content=[TextContent(text=\"Where is A-17's parcel?\")], _name=None, _meta={})"  # noqa: E501
CALL = "ToolCall(tool_name='get_order', arguments={'order_id': 'A-17'}, id='c1', extra=None)"
ASKS = f"ChatMessage(_role=<ChatRole.ASSISTANT: 'assistant'>, _content=[{CALL}], _name=None, _meta={{'finish_reason': 'tool_calls'}})"  # noqa: E501
TELLS = f"ChatMessage(_role=<ChatRole.TOOL: 'tool'>, _content=[ToolCallResult(result='no such order', origin={CALL}, error=True)], _name=None, _meta={{}})"  # noqa: E501
ANSWERS = "ChatMessage(_role=<ChatRole.ASSISTANT: 'assistant'>, _content=[TextContent(text='On its way.')], _name=None, _meta={'finish_reason': 'stop'})"  # noqa: E501


def span_of(name: str, **attributes: Any) -> Span:
    """A span of this name, with ``input_value`` for ``input.value``; objects become JSON."""
    written = {
        key.replace("_", "."): value if isinstance(value, str) else json.dumps(value)
        for key, value in attributes.items()
    }
    return span_from_attributes(trace_id="t", span_id="s", name=name, attributes=written)


def component(kind: str, given: dict[str, Any], made: dict[str, Any]) -> Span:
    """The run of a component of this class."""
    attributes = {
        "haystack.component.type": kind,
        "haystack.component.input": json.dumps(given),
        "haystack.component.output": json.dumps(made),
    }
    return span_from_attributes(
        trace_id="t", span_id="s", name="haystack.component.run", attributes=attributes
    )


def test_a_run_is_a_pipeline_with_an_agent_and_its_steps() -> None:
    assert kinds(recorded(OWN, "ok"))[:6] == [
        ("haystack.pipeline.run", "CHAIN"),
        ("haystack.component.run", "CHAIN"),
        ("haystack.agent.run", "AGENT"),
        ("haystack.agent.step", "CHAIN"),
        ("haystack.agent.step.llm", "LLM"),
        ("haystack.agent.step.tool", "TOOL"),
    ]


def test_pipeline_and_agent_say_what_was_asked_and_answered() -> None:
    trace = recorded(OWN, "ok")
    for run in (root_of(trace), *of_kind(trace, SpanKind.AGENT)):
        assert run.input == "SCENARIO:ok Where is my order A-17?"
        assert run.output == "Your order A-17 was shipped on Monday."
        assert [m.role for m in run.input_messages] == ["system", "user"]
        assert [m.role for m in run.output_messages] == ["assistant", "tool", "assistant"]


def test_an_agent_has_its_tools_and_why_it_ended() -> None:
    (agent,) = of_kind(recorded(OWN, "max_steps"), SpanKind.AGENT)
    assert [tool.name for tool in agent.tools] == ["get_order", "cancel_order", "refund_order"]
    assert all(tool.parameters for tool in agent.tools)
    assert (agent.finish_reason, agent.output) == ("max_agent_steps", None)


def test_a_model_call_has_its_messages_tools_and_numbers() -> None:
    first, second = of_kind(recorded(OWN, "tool_raises"), SpanKind.LLM)
    (call,) = first.output_messages[0].tool_calls
    assert (call.name, call.arguments) == ("refund_order", '{"order_id":"A-17","amount":10}')
    result = second.input_messages[-1]
    assert (result.role, result.tool_call_id, result.is_error) == ("tool", call.id, True)
    assert second.output_messages == (
        Message(role="assistant", content="Your refund of 10 EUR is done."),
    )
    assert [tool.name for tool in first.tools] == ["get_order", "cancel_order", "refund_order"]
    assert (first.finish_reason, second.finish_reason) == ("tool_calls", "stop")
    assert (second.model_name, second.usage.total_tokens) == ("gpt-4o-mini", 159)


def test_a_tool_run_has_its_arguments_and_result() -> None:
    (tool,) = of_kind(recorded(OWN, "ok"), SpanKind.TOOL)
    assert (tool.tool_name, tool.input) == ("get_order", '{"order_id": "A-17"}')
    assert json.loads(tool.output or "")["status"] == "shipped"
    assert tool.tool_error is False


def test_a_tool_that_failed_is_marked_where_its_status_is_unset() -> None:
    (tool,) = of_kind(recorded(OWN, "tool_raises"), SpanKind.TOOL)
    assert not tool.is_error
    assert tool.tool_error is True


def test_a_call_that_haystack_dropped_leaves_an_empty_answer_that_ends_with_a_call() -> None:
    first = of_kind(recorded(OWN, "bad_json"), SpanKind.LLM)[0]
    assert first.output_messages == (Message(role="assistant", content=""),)
    assert first.finish_reason == "tool_calls"


def test_a_pipeline_that_was_run_without_an_agent_has_the_text_and_the_reply_as_its_ends() -> None:
    pipeline = span_from_attributes(
        trace_id="t",
        span_id="s",
        attributes={
            "haystack.pipeline.input_data": '{"builder": {"question": "Where is it?"}}',
            "haystack.pipeline.output_data": '{"llm": {"replies": ["On its way."]}}',
        },
    )
    assert (pipeline.input, pipeline.output) == ("Where is it?", "On its way.")


def test_components_have_the_kinds_of_their_classes() -> None:
    model = component(
        "OpenAIGenerator",
        {"prompt": "Where is it?"},
        {"replies": ["On its way."], "meta": [{"model": "m", "finish_reason": "length"}]},
    )
    assert (model.kind, model.finish_reason, model.model_name) == (SpanKind.LLM, "length", "m")
    assert [m.content for m in (*model.input_messages, *model.output_messages)] == [
        "Where is it?",
        "On its way.",
    ]
    retriever = component(
        "InMemoryBM25Retriever",
        {"query": "parcel"},
        {"documents": [{"id": "d1", "content": "A parcel", "score": 0.5}]},
    )
    assert (retriever.kind, retriever.input) == (SpanKind.RETRIEVER, "parcel")
    assert retriever.documents
    assert [d.content for d in retriever.documents] == ["A parcel"]
    other = component("PromptBuilder", {"question": "Where?", "top": 2}, {"prompt": "Q: Where?"})
    assert (other.kind, other.input) == (SpanKind.CHAIN, '{"question":"Where?","top":2}')
    assert other.output == "Q: Where?"


def test_an_agent_without_spans_of_its_calls_is_its_last_model_call() -> None:
    run = span_of(
        "Agent.run",
        openinference_span_kind="CHAIN",
        input_value={"messages": [USER], "tools": None},
        output_value={
            "messages": [SYSTEM, USER, ASKS, TELLS, ANSWERS],
            "last_message": ANSWERS,
            "exit_reason": "text",
        },
    )
    assert (run.kind, run.finish_reason) == (SpanKind.LLM, "text")
    call = ToolCall(id="c1", name="get_order", arguments='{"order_id":"A-17"}')
    assert run.input_messages == (
        Message(role="system", content="Be kind."),
        Message(role="user", content="Where is A-17's parcel?"),
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", content="no such order", tool_call_id="c1", is_error=True),
    )
    assert run.output_messages == (Message(role="assistant", content="On its way."),)


def test_an_agent_that_failed_is_a_model_call_without_an_answer() -> None:
    run = span_of("Agent.run", openinference_span_kind="CHAIN", input_value={"messages": [USER]})
    assert (run.kind, run.output_messages) == (SpanKind.LLM, ())
    assert [m.content for m in run.input_messages] == ["Where is A-17's parcel?"]


def test_a_pipeline_has_the_messages_of_the_component_that_has_any() -> None:
    run = span_of(
        "Pipeline.run",
        openinference_span_kind="CHAIN",
        input_value={"data": {"support": {"messages": [USER]}}},
        output_value={"support": {"messages": [USER, ANSWERS], "step_count": 1}},
    )
    assert (run.kind, run.input, run.output) == (
        SpanKind.CHAIN,
        "Where is A-17's parcel?",
        "On its way.",
    )


def test_text_that_only_looks_like_pythons_notation_is_kept() -> None:
    run = span_of(
        "Agent.run",
        openinference_span_kind="CHAIN",
        input_value={"messages": ["ChatMessage(_role=USER, "]},
    )
    assert run.input_messages == (Message(role="assistant", content="ChatMessage(_role=USER, "),)


def test_model_calls_of_openinference_have_the_ids_of_calls_and_the_results_of_tools() -> None:
    agent, _, second, *_ = of_kind(recorded("haystack_openinference", "repeat"), SpanKind.LLM)
    assert agent.name == "Agent.run"
    asked, answered = second.input_messages[-2:]
    assert asked.tool_calls[0].id == answered.tool_call_id
    assert json.loads(answered.content or "")["status"] == "shipped"
    assert second.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("last", "answer"), [(ANSWERS, "On its way."), (TELLS, None)], ids=["answer", "tool result"]
)
def test_messages_in_the_notation_of_python_are_read_through_langfuse(
    last: str, answer: str | None
) -> None:
    def observed(type: str, name: str, output: Any) -> Span:
        row = {"id": "s", "traceId": "t", "type": type, "name": name}
        row |= {"input": json.dumps({"messages": [USER]}), "output": json.dumps(output)}
        metadata = {"attributes.openinference.span.kind": "CHAIN"}
        return span_from_observation({**row, "metadata": metadata}, observation_origin("p"))

    run = observed("CHAIN", "Agent.run", {"messages": [USER, last]})
    assert (run.input, run.output) == ("Where is A-17's parcel?", answer)
    call = observed("GENERATION", "OpenAIChatGenerator.run", {"replies": [ANSWERS]})
    assert [message.content for message in call.output_messages] == ["On its way."]
    assert [message.content for message in call.input_messages] == ["Where is A-17's parcel?"]
