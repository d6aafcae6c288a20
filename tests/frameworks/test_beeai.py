"""BeeAI, recorded by ``openinference-instrumentation-beeai``.

The recording was made with beeai-framework 0.1.85: a ``RequirementAgent`` with a scripted model.
"""

from __future__ import annotations

import pytest

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import Message, SpanKind
from recordings import kinds, of_kind, recorded


@pytest.mark.parametrize(
    ("scenario", "answer"), [("ok", "It was shipped."), ("tool_raises", "Done."), ("empty", "")]
)
def test_question_and_answer_of_a_run(scenario: str, answer: str) -> None:
    root = recorded("beeai", scenario).root
    assert root
    assert (root.input, root.output) == ("Where is my order?", answer)
    assert root.agent_name == "RequirementAgent"


def test_events_are_steps() -> None:
    assert kinds(recorded("beeai", "tool_raises")) == [
        ("RequirementAgent", "AGENT"),
        ("OpenAIChatModel", "LLM"),
        ("refund_order", "TOOL"),
        ("error", "CHAIN"),
        ("OpenAIChatModel", "LLM"),
        ("final_answer", "CHAIN"),
        ("final_answer", "TOOL"),
    ]


def test_the_run_of_a_tool_has_its_arguments_and_its_schema() -> None:
    run, _ = of_kind(recorded("beeai", "bad_type"), SpanKind.TOOL)
    assert (run.tool_name, run.input) == ("refund_order", '{"order_id":"A-17","amount":"ten"}')
    assert [tool.name for tool in run.tools] == ["refund_order"]
    assert run.is_error


def test_a_result_says_of_which_call_it_is() -> None:
    first, last = of_kind(recorded("beeai", "ok"), SpanKind.LLM)
    (call,) = first.output_messages[0].tool_calls
    assert last.input_messages[-1] == Message(
        role="tool", content="{'order_id': 'A-17', 'status': 'shipped'}", tool_call_id=call.id
    )


def test_a_call_that_the_framework_made_an_error_of_is_read_from_its_text() -> None:
    last = of_kind(recorded("beeai", "bad_json"), SpanKind.LLM)[-1]
    (call,) = last.output_messages[0].tool_calls
    assert (call.name, call.arguments) == ("get_order", '{"order_id": "A-17"')
    assert (last.finish_reason, last.is_error) == ("tool_calls", True)


def test_an_error_without_a_response_has_none() -> None:
    last = of_kind(recorded("beeai", "rate_limit"), SpanKind.LLM)[-1]
    assert (last.output_messages, last.finish_reason) == ((), None)
    assert "slow down" in (last.output or "")


@pytest.mark.parametrize("given", ['{"input": {"a": 1}}', '{"input": cut', "[1]", "text"])
def test_an_input_in_another_form_stays_as_it_is(given: str) -> None:
    for kind in ("TOOL", "AGENT"):
        span = span_from_attributes(
            trace_id="t",
            span_id="s",
            attributes={
                "openinference.span.kind": kind,
                "metadata.class_name": "F",
                "input.value": given,
            },
        )
        assert span.input == given
