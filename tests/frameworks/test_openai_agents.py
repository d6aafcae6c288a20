"""The OpenAI Agents SDK, recorded by ``openinference-instrumentation-openai-agents``."""

from __future__ import annotations

import pytest

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import SpanKind
from recordings import kinds, of_kind, recorded

AGENTS = "openai-agents"


def test_a_run_has_the_kinds_of_its_steps() -> None:
    assert kinds(recorded(AGENTS, "refusal")) == [
        ("shop workflow", "AGENT"),
        ("shop workflow", "CHAIN"),
        ("shop", "AGENT"),
        ("turn", "CHAIN"),
        ("response", "LLM"),
    ]


def test_a_run_that_records_neither_question_nor_answer_has_none() -> None:
    root = recorded(AGENTS, "ok").root
    assert root
    assert (root.input, root.output, root.session_id, root.user_id) == (None, None, "s-1", "u-1")


def test_the_span_of_an_agent_has_its_name() -> None:
    assert [span.agent_name for span in of_kind(recorded(AGENTS, "ok"), SpanKind.AGENT)] == [
        None,
        "shop",
    ]


def test_a_model_call_has_its_instructions_its_tools_and_its_answer() -> None:
    first, last = of_kind(recorded(AGENTS, "ok"), SpanKind.LLM)
    assert [message.role for message in last.input_messages] == [
        "system",
        "user",
        "assistant",
        "tool",
    ]
    assert [tool.name for tool in first.tools] == ["get_order", "cancel_order", "refund_order"]
    assert last.output_messages[0].content == "Your order A-17 was shipped on Monday."


def test_a_tool_run_has_the_schema_of_its_tool() -> None:
    (run,) = of_kind(recorded(AGENTS, "ok"), SpanKind.TOOL)
    (tool,) = run.tools
    assert (tool.name, tool.description) == ("get_order", "Look up an order.")
    assert tool.parameters
    assert tool.parameters["required"] == ["order_id"]


@pytest.mark.parametrize(
    ("scenario", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_the_finish_reason_of_a_response_that_is_an_error_is_in_its_text(
    scenario: str, reason: str
) -> None:
    assert of_kind(recorded(AGENTS, scenario), SpanKind.LLM)[-1].finish_reason == reason


def test_an_empty_answer_of_the_responses_api_is_empty() -> None:
    last = of_kind(recorded(AGENTS, "empty"), SpanKind.LLM)[-1]
    assert [message.content for message in last.output_messages] == [""]


def test_a_refusal_in_the_chat_api_is_the_answer() -> None:
    refusal = "I cannot help with that."
    span = span_from_attributes(
        trace_id="t",
        span_id="s",
        attributes={
            "openinference.span.kind": "LLM",
            "output.value": f'[{{"role": "assistant", "content": null, "refusal": "{refusal}"}}]',
            "llm.output_messages.0.message.role": "assistant",
        },
    )
    assert [message.content for message in span.output_messages] == [refusal]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("handoff to refunds", "CHAIN"), ("handoff", "CHAIN"), ("handoff_order", "TOOL")],
)
def test_a_handoff_is_a_step(name: str, kind: str) -> None:
    span = span_from_attributes(
        trace_id="t",
        span_id="s",
        name=name,
        attributes={
            "openinference.span.kind": "TOOL",
            "input.value": "shop",
            "output.value": "refunds",
        },
    )
    assert span.kind == kind
