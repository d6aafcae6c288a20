"""What Langfuse gives back of spans whose messages are events or JSON of their framework."""

from __future__ import annotations

import json
from typing import Any

from halo_adapters.observations import span_from_observation
from halo_engine.schema import Message, Origin, Span, SpanKind, ToolCall

ORIGIN = Origin(platform="langfuse", keeps_empty_texts=False)
STRANDS = {
    "attributes.gen_ai.event.start_time": "2026-11-27T20:24:44.459829+00:00",
    "attributes.gen_ai.operation.name": "chat",
}
CALLED = [{"toolUse": {"toolUseId": "c1", "name": "get_order", "input": {"order_id": "A-17"}}}]
RESULT = [{"toolResult": {"toolUseId": "c1", "status": "error", "content": [{"text": "none"}]}}]


def observed(kind: str, given: Any, returned: Any, **metadata: Any) -> Span:
    """The span of an observation of this type, its input and output as JSON."""
    row = {
        "traceId": "t",
        "id": "s",
        "type": kind,
        "name": "step",
        "input": json.dumps(given),
        "output": json.dumps(returned),
        "metadata": STRANDS | metadata,
    }
    return span_from_observation(row, ORIGIN)


def test_the_blocks_in_events_are_messages() -> None:
    call = observed(
        "GENERATION",
        [
            {"role": "user", "content": '[{"text": "Where?"}]'},
            {"role": "assistant", "content": json.dumps(CALLED)},
            {"role": "tool", "content": json.dumps(RESULT)},
        ],
        {"finish_reason": "end_turn", "message": '[{"text": "Lost."}]'},
    )
    requested = ToolCall(id="c1", name="get_order", arguments='{"order_id":"A-17"}')
    assert call.input_messages == (
        Message(role="user", content="Where?"),
        Message(role="assistant", tool_calls=(requested,)),
        Message(role="tool", content="none", tool_call_id="c1", is_error=True),
    )
    assert call.output_messages == (Message(role="assistant", content="Lost."),)
    assert call.finish_reason == "end_turn"


def test_the_events_of_an_agent_are_what_was_asked_and_answered() -> None:
    run = observed(
        "AGENT",
        [{"role": "user", "content": '[{"text": "Where?"}]'}],
        {"finish_reason": "end_turn", "message": "Lost.\n"},
    )
    assert (run.input, run.output) == ("Where?", "Lost.\n")


def test_the_events_of_a_tool_are_its_arguments_and_its_result() -> None:
    run = observed(
        "TOOL",
        [{"role": "tool", "content": '{"order_id": "A-17"}', "id": "c1"}],
        {"message": '[{"text": "shipped"}]', "id": "c1"},
    )
    assert (run.input, run.output) == ('{"order_id": "A-17"}', "shipped")


def test_the_parts_in_the_event_of_a_tool_are_its_arguments_and_its_result() -> None:
    call = {"type": "tool_call", "id": "c1", "name": "f", "arguments": {"order_id": "A-17"}}
    result = {"type": "tool_call_response", "id": "c1", "response": [{"text": "shipped"}]}
    given, returned = ([{"role": "tool", "parts": [part]}] for part in (call, result))
    run = observed("TOOL", given, returned)
    assert (run.input, run.output) == ('{"order_id":"A-17"}', "shipped")


def test_an_answer_that_is_a_list_of_texts_stays_json_where_there_are_no_events() -> None:
    answer = '[{"text": "Oslo"}]'
    output = json.dumps({"role": "assistant", "content": answer})
    row = {"traceId": "t", "id": "s", "type": "GENERATION", "output": output}
    assert span_from_observation(row, ORIGIN).output_messages == (
        Message(role="assistant", content=answer),
    )


def test_the_json_of_a_framework_is_read_where_langfuse_has_parsed_it() -> None:
    row = {
        "traceId": "t",
        "id": "s",
        "type": "SPAN",
        "name": "haystack.agent.step.llm",
        "metadata": {
            "attributes.haystack.agent.step.llm.input": {
                "messages": [{"role": "user", "content": [{"text": "Where?"}]}]
            },
            "attributes.haystack.agent.step.llm.output": {
                "replies": [{"role": "assistant", "content": [], "meta": {"finish_reason": "stop"}}]
            },
        },
    }
    call = span_from_observation(row, ORIGIN)
    assert (call.kind, call.finish_reason) == (SpanKind.LLM, "stop")
    assert call.input_messages == (Message(role="user", content="Where?"),)
    assert call.output_messages == (Message(role="assistant", content=""),)


def test_a_twin_of_a_model_call_is_a_step_though_langfuse_calls_it_a_generation() -> None:
    row = {
        "traceId": "t",
        "id": "s",
        "type": "GENERATION",
        "name": "generate_content gemini-3-pro",
        "metadata": {
            "attributes.gen_ai.system": "gemini",
            "attributes.gen_ai.operation.name": "generate_content",
            "attributes.gcp.vertex.agent.invocation_id": "e-1",
        },
    }
    assert span_from_observation(row, ORIGIN).kind is SpanKind.CHAIN
