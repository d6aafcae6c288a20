"""LiteLLM's own OpenTelemetry callback, recorded with LiteLLM 1.109.3 in the span of an agent.

The agent is a loop around ``litellm.completion`` with the tools of the other recordings.
"""

from __future__ import annotations

import json
from typing import Any

from halo_adapters.dialects.spans import span_from_attributes
from halo_adapters.langfuse.mapping import observation_origin
from halo_adapters.observations import span_from_observation
from halo_engine.schema import Message, Span, SpanKind, ToolCall
from recordings import kinds, of_kind, recorded, root_of


def span_of(name: str, **attributes: Any) -> Span:
    """A span that LiteLLM wrote a call onto."""
    named = {"litellm.call_id": "1", "gen_ai.operation.name": "chat", **attributes}
    return span_from_attributes(trace_id="t", span_id="s", name=name, attributes=named)


def test_the_raw_requests_are_the_model_calls_and_the_span_around_them_is_a_step() -> None:
    assert kinds(recorded("litellm", "ok")) == [
        ("shop_agent", "CHAIN"),
        ("raw_gen_ai_request", "LLM"),
        ("raw_gen_ai_request", "LLM"),
    ]


def test_a_step_has_the_question_but_not_what_some_call_left_on_it() -> None:
    root = root_of(recorded("litellm", "ok"))
    assert root.input == "SCENARIO:ok When will my order A-17 come?"
    assert (root.output, root.output_messages, root.tools) == (None, (), ())
    assert (root.finish_reason, root.usage.total_tokens, root.user_id) == (None, None, "u-1")


def test_request_and_response_are_read_from_pythons_notation() -> None:
    first, second = of_kind(recorded("litellm", "ok"), SpanKind.LLM)
    assert [m.role for m in second.input_messages] == ["system", "user", "assistant", "tool"]
    (call,) = first.output_messages[0].tool_calls
    assert (call.name, call.arguments) == ("get_order", '{"order_id": "A-17"}')
    assert [tool.name for tool in first.tools] == ["get_order", "cancel_order", "refund_order"]
    assert (first.finish_reason, second.finish_reason) == ("tool_calls", "stop")
    assert (first.usage.total_tokens, first.model_name) == (44, "gpt-4o-mini")


def test_arguments_that_are_no_json_stay_as_the_model_wrote_them() -> None:
    call = of_kind(recorded("litellm", "bad_json"), SpanKind.LLM)[0].output_messages[0]
    assert call.tool_calls[0].arguments == '{"order_id": "A-17"'


def test_an_empty_answer_is_empty() -> None:
    last = of_kind(recorded("litellm", "empty"), SpanKind.LLM)[-1]
    assert last.output_messages == (Message(role="assistant", content=""),)


def test_a_raw_request_of_anthropic_is_read() -> None:
    span = span_from_attributes(
        trace_id="t",
        span_id="s",
        attributes={
            "llm.anthropic.messages": "[{'role': 'user', 'content': 'Hi'}]",
            "llm.anthropic.system": "[{'type': 'text', 'text': 'Be brief.'}]",
            "llm.anthropic.content": "[{'type': 'tool_use', 'id': 'c', 'name': 'f', 'input': {}}]",
            "llm.anthropic.role": "assistant",
            "llm.anthropic.stop_reason": "tool_use",
            "llm.anthropic.usage": "{'input_tokens': 3, 'output_tokens': 2}",
        },
    )
    assert span.input_messages == (
        Message(role="system", content="Be brief."),
        Message(role="user", content="Hi"),
    )
    call = ToolCall(id="c", name="f", arguments="{}")
    assert span.output_messages == (Message(role="assistant", tool_calls=(call,)),)
    assert (span.finish_reason, span.usage.completion_tokens) == ("tool_use", 2)


def test_a_request_without_a_raw_one_is_the_model_call() -> None:
    failed = span_of("litellm_request", **{"gen_ai.system": "openai"})
    assert failed.kind is SpanKind.LLM
    recorded_twice = {"gen_ai.system": "openai", "gen_ai.output.messages": "[]"}
    assert span_of("litellm_request", **recorded_twice).kind is SpanKind.CHAIN


def test_with_the_latest_conventions_the_calls_of_tools_are_on_the_span() -> None:
    span = span_of(
        "chat gpt-4o-mini",
        **{
            "gen_ai.provider.name": "openai",
            "gen_ai.output.messages": json.dumps(
                [{"role": "assistant", "parts": [], "finish_reason": "tool_calls"}]
            ),
            "gen_ai.response.finish_reasons": '["tool_calls"]',
            "gen_ai.completion.0.function_call.name": "f",
            "gen_ai.completion.0.function_call.arguments": "{",
            "gen_ai.cost.total_cost": 0.5,
        },
    )
    call = ToolCall(name="f", arguments="{")
    assert span.output_messages == (Message(role="assistant", tool_calls=(call,)),)
    assert (span.kind, span.finish_reason, span.usage.cost) == (SpanKind.LLM, "tool_calls", 0.5)


def test_a_step_that_langfuse_calls_a_generation_is_a_step() -> None:
    metadata = {"attributes.litellm.call_id": "1", "attributes.gen_ai.system": "openai"}
    row = {
        **{"id": "s", "traceId": "t", "type": "GENERATION", "name": "shop_agent"},
        "output": '[{"function_call": {"name": "get_order", "arguments": "{}"}}]',
        "metadata": metadata,
    }
    step = span_from_observation(row, observation_origin("p"))
    assert (step.kind, step.output, step.output_messages) == (SpanKind.CHAIN, None, ())
