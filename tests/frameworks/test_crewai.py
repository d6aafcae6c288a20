"""CrewAI, recorded by ``openinference-instrumentation-crewai``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import Span, SpanKind
from recordings import of_kind, recorded


def agent_span(**attributes: Any) -> Span:
    """The span of an agent that works on a task."""
    named = {"openinference.span.kind": "AGENT", "task_id": "1", **attributes}
    return span_from_attributes(trace_id="t", span_id="s", attributes=named)


def test_a_crew_was_asked_its_tasks_and_answers_with_the_raw_result() -> None:
    root = recorded("crewai", "ok").root
    assert root
    assert root.input == "SCENARIO:ok Where is my order A-17?"
    assert root.output == "Your order A-17 was shipped on Monday."


def test_a_crew_that_fails_was_asked_and_has_no_answer() -> None:
    root = recorded("crewai", "max_steps").root
    assert root
    assert (root.input, root.output) == ("SCENARIO:max_steps Where are all my orders?", None)


def test_an_agent_has_its_role_its_task_and_its_answer() -> None:
    (agent,) = of_kind(recorded("crewai", "ok"), SpanKind.AGENT)
    assert agent.agent_name == "shop agent"
    assert agent.input == "SCENARIO:ok Where is my order A-17?"
    assert agent.output == "Your order A-17 was shipped on Monday."


@pytest.mark.parametrize(
    ("scenario", "result"),
    [
        ("unknown_tool", "Tool not found"),
        ("tool_raises", "Error executing tool: payment service did not commit"),
    ],
)
def test_failures_that_a_task_lists_mark_the_results_of_its_tools(
    scenario: str, result: str
) -> None:
    (agent,) = of_kind(recorded("crewai", scenario), SpanKind.AGENT)
    call, answer, last = agent.output_messages
    assert call.tool_calls[0].id == answer.tool_call_id
    assert (answer.content, answer.is_error) == (result, True)
    assert last.content == agent.output


def test_results_of_tools_that_did_not_fail_are_marked_as_such() -> None:
    (agent,) = of_kind(recorded("crewai", "ok"), SpanKind.AGENT)
    assert [m.is_error for m in agent.output_messages if m.role == "tool"] == [False]


def test_an_empty_answer_of_the_model_is_empty() -> None:
    last = of_kind(recorded("crewai", "empty"), SpanKind.LLM)[-1]
    assert [message.content for message in last.output_messages] == [""]


def test_the_description_beside_a_task_is_what_was_asked() -> None:
    agent = agent_span(**{"task_description": "Find order A-17.", "input.value": "a prompt"})
    assert agent.input == "Find order A-17."


def test_inputs_for_the_tasks_of_a_crew_are_what_was_asked() -> None:
    crew = span_from_attributes(
        trace_id="t",
        span_id="s",
        attributes={
            "openinference.span.kind": "CHAIN",
            "input.value": '{"order": "A-17"}',
            "crew_inputs": '{"order": "A-17"}',
            "crew_tasks": '[{"description": "Find {order}."}]',
        },
    )
    assert crew.input == '{"order": "A-17"}'


@pytest.mark.parametrize(
    "output",
    ['{"raw": cut', '["raw"]', '{"text": "raw"}', json.dumps({"raw": None, "messages": "none"})],
)
def test_an_output_that_is_no_result_stays_as_it_is(output: str) -> None:
    assert agent_span(**{"output.value": output}).output == output
