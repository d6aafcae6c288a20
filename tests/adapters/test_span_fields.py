"""The fields that OpenInference attributes give a span, and those that follow from its messages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from halo_engine.schema import Span, SpanKind, Usage
from span_mapping import span_of


def test_plain_fields_of_openinference_are_read() -> None:
    span = span_of(
        {
            "openinference.span.kind": "LLM",
            "input.value": "in",
            "output.value": "",
            "llm.model_name": "m",
            "llm.finish_reason": "stop",
            "llm.token_count.prompt": 3,
            "llm.token_count.completion": "4",
            "llm.token_count.total": 7.0,
            "llm.cost.total": 0.25,
            "tool.name": "f",
            "tool_call.id": "c1",
            "session.id": "s",
            "user.id": 42,
        }
    )
    assert (span.kind, span.input, span.output) == (SpanKind.LLM, "in", "")
    assert (span.model_name, span.finish_reason) == ("m", "stop")
    assert span.usage == Usage(prompt_tokens=3, completion_tokens=4, total_tokens=7, cost=0.25)
    assert (span.tool_name, span.tool_call_id) == ("f", "c1")
    assert (span.session_id, span.user_id) == ("s", "42")


def test_an_attribute_that_is_not_understood_leaves_its_field_none_and_is_kept() -> None:
    odd = {
        "openinference.span.kind": "WIZARD",
        "llm.token_count.prompt": "many",
        "llm.token_count.completion": True,
        "llm.cost.total": "free",
        "session.id": "",
        "llm.tools": 7,
    }
    span = span_of(odd)
    assert span.kind is None
    assert (span.usage.prompt_tokens, span.usage.completion_tokens) == (None, None)
    assert span.usage.cost is None
    assert span.session_id is None
    assert span.tools == ()
    assert span.attributes == odd


def test_a_field_without_an_attribute_is_none() -> None:
    span = span_of({})
    assert span == Span(trace_id=span.trace_id, span_id=span.span_id)


def test_a_model_call_has_no_output_but_the_recorded_one() -> None:
    span = span_of(
        {"openinference.span.kind": "LLM", "llm.output_messages.0.message.content": "hello"}
    )
    assert span.output is None


def run_of(*answers: dict[str, Any], **attributes: Any) -> Span:
    """An agent's run that was asked "Hi" and has these output messages."""
    return span_of(
        {
            "openinference.span.kind": "AGENT",
            "llm.input_messages": [{"role": "user", "content": "Hi"}],
            "llm.output_messages": list(answers),
            **attributes,
        }
    )


def test_a_run_without_input_and_output_has_those_of_its_messages() -> None:
    run = run_of({"role": "assistant", "content": "Well?"}, {"role": "ai", "content": "Hello."})
    assert (run.input, run.output) == ("Hi", "Hello.")


def test_the_recorded_input_and_output_of_a_run_come_before_those_of_its_messages() -> None:
    run = run_of({"content": "Hello."}, **{"input.value": "asked", "output.value": "answered"})
    assert (run.input, run.output) == ("asked", "answered")


@pytest.mark.parametrize(
    "last",
    [
        {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "name": "f"}]},
        {"role": "tool", "content": "4 degrees", "tool_call_id": "c1"},
        {"role": "assistant", "parts": [{"type": "image"}]},
    ],
    ids=["a call", "a result", "no text"],
)
def test_a_run_whose_messages_do_not_end_with_an_answer_has_no_output(
    last: dict[str, Any],
) -> None:
    assert run_of({"role": "assistant", "content": "Let me see."}, last).output is None


def test_a_run_whose_answer_was_recorded_as_empty_has_an_empty_output() -> None:
    assert run_of({"role": "assistant", "parts": []}).output == ""
    assert run_of({"role": "assistant"}).output == ""


@pytest.mark.parametrize(
    ("beside", "attribute", "kind"),
    [
        ("TOOL", "LLM", SpanKind.TOOL),
        ("tool", None, SpanKind.TOOL),
        ("UNKNOWN", "LLM", SpanKind.LLM),
        ("UNKNOWN", None, SpanKind.UNKNOWN),
        ("SPAN_KIND_CLIENT", "llm", SpanKind.LLM),
        (None, "UNKNOWN", SpanKind.UNKNOWN),
    ],
)
def test_a_kind_beside_the_attributes_comes_first_unless_it_is_unknown(
    beside: str | None, attribute: str | None, kind: SpanKind
) -> None:
    attributes = {"openinference.span.kind": attribute} if attribute else {}
    assert span_of(attributes, kind=beside).kind is kind


@pytest.mark.parametrize(
    "response",
    [
        {"choices": [{"finish_reason": "length", "message": {"content": "x"}}]},
        {"content": [], "stop_reason": "length"},
        {"candidates": [{"finishReason": "length"}]},
        {"stopReason": "length"},
        {"status": "incomplete", "incomplete_details": {"reason": "length"}},
        {"generations": [[{"generation_info": {"finish_reason": "length"}}]]},
    ],
)
def test_the_finish_reason_is_found_in_a_providers_raw_response(response: dict[str, Any]) -> None:
    raw = {"openinference.span.kind": "LLM", "output.value": json.dumps(response)}
    assert span_of(raw).finish_reason == "length"
    assert span_of({**raw, "openinference.span.kind": "TOOL"}).finish_reason is None


def test_the_finish_reason_is_found_on_an_output_message() -> None:
    attributes = {
        "openinference.span.kind": "LLM",
        "llm.output_messages.0.message.content": "x",
        "llm.output_messages.0.message.finish_reason": "max_tokens",
    }
    assert span_of(attributes).finish_reason == "max_tokens"
