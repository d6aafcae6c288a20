"""Spans of OpenLIT: its decorator for functions, and its model calls."""

from __future__ import annotations

import json

from halo_engine.schema import Message, SpanKind
from recordings import kinds, of_kind, recorded, root_of


def test_functions_have_no_kind() -> None:
    assert [kind for name, kind in kinds(recorded("openlit", "ok")) if name != "POST"] == [
        None,
        "LLM",
        None,
        "LLM",
    ]


def test_the_run_says_what_was_asked_and_answered() -> None:
    root = root_of(recorded("openlit", "ok"))
    assert root.input == "SCENARIO:ok When will my order A-17 come?"
    assert root.output == "Your order A-17 was shipped on Monday."
    assert root.output_messages == ()


def test_a_tool_has_its_arguments_and_result_as_json() -> None:
    tool = next(span for span in recorded("openlit", "ok").spans if span.name == "get_order")
    assert json.loads(tool.input or "") == {"order_id": "A-17"}
    assert json.loads(tool.output or "")["status"] == "shipped"
    assert tool.output_messages == ()


def test_an_empty_output_of_a_function_may_have_been_none() -> None:
    for scenario in ("empty", "max_steps"):
        root = root_of(recorded("openlit", scenario))
        assert root.output is None


def test_an_empty_answer_of_the_model_is_empty() -> None:
    last = of_kind(recorded("openlit", "empty"), SpanKind.LLM)[-1]
    assert last.output_messages == (Message(role="assistant", content=""),)


def test_arguments_kept_aside_are_as_the_model_wrote_them() -> None:
    call = of_kind(recorded("openlit", "bad_json"), SpanKind.LLM)[0].output_messages[0]
    assert call.tool_calls[0].arguments == '{"order_id": "A-17"'


def test_a_model_call_has_its_tokens_and_is_no_run_of_the_tool_it_asks_for() -> None:
    first = of_kind(recorded("openlit", "ok"), SpanKind.LLM)[0]
    assert first.usage.total_tokens == 44
    assert (first.tool_name, first.tool_call_id) == (None, None)
