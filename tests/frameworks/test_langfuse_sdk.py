"""Spans of Langfuse's own SDK, as they leave the application over OTLP."""

from __future__ import annotations

import json
from typing import Any

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import Message, Span, SpanKind
from recordings import kinds, of_kind, recorded, root_of

RECORDING = "langfuse-sdk5"


def observation(observation_type: str | None, name: str = "f", **values: Any) -> Span:
    """An observation with these attributes, each below ``langfuse.observation``."""
    attributes = {f"langfuse.observation.{key}": value for key, value in values.items()}
    if observation_type:
        attributes["langfuse.observation.type"] = observation_type
    return span_from_attributes(trace_id="t", span_id="s", name=name, attributes=attributes)


def test_the_kinds_are_those_of_the_types() -> None:
    assert kinds(recorded(RECORDING, "ok")) == [
        ("shop_agent", "AGENT"),
        ("OpenAI-generation", "LLM"),
        ("get_order", "TOOL"),
        ("OpenAI-generation", "LLM"),
    ]


def test_types_without_a_kind_are_steps_unless_another_dialect_names_one() -> None:
    assert [observation(name).kind for name in ("span", "event")] == [SpanKind.CHAIN] * 2
    both = {"langfuse.observation.type": "span", "gen_ai.operation.name": "chat"}
    span = span_from_attributes(trace_id="t", span_id="s", attributes=both)
    assert span.kind is SpanKind.LLM


def test_the_run_says_what_was_asked_and_answered_and_for_whom() -> None:
    root = root_of(recorded(RECORDING, "ok"))
    assert root.input == "SCENARIO:ok When will my order A-17 come?"
    assert root.output == "Your order A-17 was shipped on Monday."
    assert (root.session_id, root.user_id, root.agent_name) == ("s-1", "u-1", "shop_agent")


def test_request_and_answer_of_a_generation_are_read() -> None:
    first, second = of_kind(recorded(RECORDING, "ok"), SpanKind.LLM)
    assert [m.role for m in second.input_messages] == ["system", "user", "assistant", "tool"]
    (call,) = first.output_messages[0].tool_calls
    assert (call.name, call.arguments) == ("get_order", '{"order_id": "A-17"}')
    assert [tool.name for tool in first.tools] == ["get_order", "cancel_order", "refund_order"]
    assert (first.usage.prompt_tokens, first.usage.completion_tokens) == (39, 5)
    assert first.usage.total_tokens == 44
    assert first.model_name == "gpt-4o-mini"


def test_a_tool_run_has_its_name_arguments_and_result() -> None:
    (tool,) = of_kind(recorded(RECORDING, "ok"), SpanKind.TOOL)
    assert tool.tool_name == "get_order"
    assert json.loads(tool.input or "") == {"order_id": "A-17"}
    assert json.loads(tool.output or "")["status"] == "shipped"


def test_a_streamed_answer_is_plain_text() -> None:
    span = observation("generation", output="On its way.")
    assert span.output_messages == (Message(role="assistant", content="On its way."),)


def test_a_run_without_an_answer_has_no_output() -> None:
    root = root_of(recorded(RECORDING, "max_steps"))
    assert root.output is None


def test_input_and_output_of_the_trace_count_where_the_observation_has_none() -> None:
    span = span_from_attributes(
        trace_id="t",
        span_id="s",
        attributes={
            "langfuse.observation.type": "span",
            "langfuse.trace.input": '{"question":"Where is A-17?"}',
            "langfuse.trace.output": "On its way.",
        },
    )
    assert (span.input, span.output) == ("Where is A-17?", "On its way.")


def test_cost_and_tokens_of_langfuses_own_types_are_read() -> None:
    usage = json.dumps({"input": 5, "input_cached_tokens": 2, "output": 3})
    span = observation("generation", usage_details=usage, cost_details='{"total":0.25}')
    assert (span.usage.prompt_tokens, span.usage.completion_tokens) == (7, 3)
    assert span.usage.cost == 0.25


def test_documents_of_a_retriever_are_read() -> None:
    span = observation("retriever", output='[{"page_content":"3 days"},"none"]')
    assert span.documents
    assert [document.content for document in span.documents] == ["3 days", "none"]
