"""Detectors on the completions of a model."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from halo_engine.detectors.completions import (
    broken_structured_output,
    content_filter,
    empty_completion,
    refusal_phrase,
    truncated_output,
)
from halo_engine.findings import Severity
from halo_engine.schema import Usage
from halo_integrations.testing import agent, call, failed, llm, message, tool, trace
from outcomes import not_applicable, quotes, signal, signals


def run(content: str | None = "Hello.", **fields):
    return trace(agent(), llm(content, **fields))


def parameters(**values) -> dict[str, str]:
    return {"llm.invocation_parameters": json.dumps(values)}


@pytest.mark.parametrize("reason", ["length", "max_tokens", "MAX_TOKENS"])
def test_an_answer_that_stopped_for_length_is_truncated(reason):
    found = signal(truncated_output, run("and then the", finish_reason=reason))
    assert quotes(found) == [
        ("finish_reason", reason),
        ("output_messages.0.content", "and then the"),
    ]


def test_an_answer_that_stopped_by_itself_is_not_truncated():
    assert signals(truncated_output, run(finish_reason="stop")) == []


def test_an_answer_truncated_at_a_low_token_limit_has_low_severity():
    minor = run(finish_reason="length", attributes=parameters(max_tokens=512))
    major = run(finish_reason="length", attributes=parameters(max_tokens=513))
    assert signal(truncated_output, minor).severity is Severity.LOW
    assert signal(truncated_output, major).severity is Severity.MEDIUM


def test_an_answer_as_long_as_its_limit_is_truncated_where_no_reason_is_recorded():
    limit = parameters(max_completion_tokens=900)
    full = run(usage=Usage(completion_tokens=900), attributes=limit)
    short = run(usage=Usage(completion_tokens=899), attributes=limit)
    assert len(signals(truncated_output, full)) == 1
    assert signals(truncated_output, short) == []


@pytest.mark.parametrize("rule", [truncated_output, content_filter])
def test_truncation_and_filters_are_not_judged_without_model_calls_or_reasons(rule):
    assert not_applicable(rule, trace(agent())) == "no LLM spans"
    assert not_applicable(rule, run()) == "no finish reason recorded"


@pytest.mark.parametrize("reason", ["content_filter", "SAFETY", "refusal"])
def test_a_filtered_answer_is_reported_with_its_reason(reason):
    found = signal(content_filter, run(finish_reason=reason))
    assert found.failure_mode == "unwarranted_refusal"
    assert quotes(found) == [("finish_reason", reason)]


def test_an_unfiltered_answer_has_no_signal():
    assert signals(content_filter, run(finish_reason="stop")) == []


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, I can't help with that.",
        "I’m sorry, but I can’t assist with that request.",
        "I am unable to help you with this.",
        "As an AI language model, I cannot give advice.",
        "I must decline.",
    ],
)
def test_a_last_answer_that_refuses_the_request_is_a_candidate(text):
    found = signal(refusal_phrase, run(text))
    assert found.severity is Severity.LOW
    assert quotes(found) == [("output_messages.0.content", text)]


@pytest.mark.parametrize(
    "text",
    [
        "I cannot cancel a delivered order, but I can start a return.",
        "I can help with that.",
        "Sorry for the delay! Your order is on its way.",
        f"{'We looked into it. ' * 20}I can't help with that.",
    ],
)
def test_an_answer_that_declines_a_detail_is_no_refusal(text):
    assert signals(refusal_phrase, run(text)) == []


def test_a_refusal_that_is_not_the_last_answer_or_calls_a_tool_is_no_candidate():
    text = "I can't help with that."
    continued = trace(agent(), llm(text), llm("But here is who can."))
    with_call = run(text, calls=[call("transfer", {}, id="c1")])
    assert signals(refusal_phrase, continued) == []
    assert signals(refusal_phrase, with_call) == []


def test_refusals_are_not_judged_without_answers():
    assert not_applicable(refusal_phrase, trace(agent())) == "no LLM spans"
    silent = trace(agent(output=None), llm())
    assert not_applicable(refusal_phrase, silent) == "no model output recorded"


@pytest.mark.parametrize("text", ["", " \n", "!!!!!!!!"])
def test_a_blank_answer_or_one_repeated_character_is_empty(text):
    assert len(signals(empty_completion, run(text))) == 1


def test_an_answer_whose_text_is_not_recorded_is_empty_if_it_has_no_tokens():
    found = signal(empty_completion, run(None, usage=Usage(completion_tokens=0)))
    assert ("usage.completion_tokens", "0") in quotes(found)
    assert signals(empty_completion, run(None, usage=Usage(completion_tokens=5))) == []


@pytest.mark.parametrize("text", ["ok", "5", "7777", "..."])
def test_a_short_answer_is_not_empty(text):
    assert signals(empty_completion, run(text)) == []


def test_an_empty_text_beside_a_tool_call_reasoning_or_an_error_has_no_signal():
    with_call = run("", calls=[call("book", {}, id="c1")])
    with_reasoning = run("", attributes={"llm.token_count.completion_details.reasoning": 90})
    with_error = trace(agent(), llm("", status=failed("429")), llm("Hello."))
    for each in (with_call, with_reasoning, with_error):
        assert signals(empty_completion, each) == []


def test_empty_completions_are_not_judged_without_answers():
    assert not_applicable(empty_completion, trace(agent())) == "no LLM spans"
    assert not_applicable(empty_completion, run(None)) == "no model output recorded"


@pytest.mark.parametrize(
    "text", ['{"a": "b', '{"a": 1,}', '{"a": 1 "b": 2}', '[{"a": 1}, {"a"', '["a", "b"']
)
def test_an_answer_that_begins_as_json_and_breaks_is_reported(text):
    found = signal(broken_structured_output, run(text))
    assert found.failure_mode == "output_malformed"
    assert quotes(found)[0] == ("output_messages.0.content", text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        '[{"a": 1}]',
        '{"a": 1}\n{"b": 2}',
        '{"a": 1}\nThat is the answer.',
        "[1] says so.",
        "[Title](http://a.example)",
        "{name}, hello",
        "Plain words.",
        '```json\n{"a": 1}\n```',
    ],
)
def test_complete_json_and_prose_have_no_signal(text):
    assert signals(broken_structured_output, run(text)) == []


def test_an_answer_in_a_second_message_is_quoted_from_that_message():
    answers = (message("assistant", ""), message("assistant", '{"a": '))
    found = signal(broken_structured_output, trace(agent(), llm(output_messages=answers)))
    assert quotes(found)[0] == ("output_messages.1.content", '{"a": ')


def test_an_answer_asked_for_as_json_must_be_json_up_to_a_code_fence():
    wanted = {"attributes": parameters(response_format={"type": "json_object"})}
    assert len(signals(broken_structured_output, run("Here you are.", **wanted))) == 1
    assert len(signals(broken_structured_output, run('{"a": 1} Done.', **wanted))) == 1
    assert signals(broken_structured_output, run('```json\n{"a": 1}\n```', **wanted)) == []


def test_broken_json_is_severe_where_json_was_wanted():
    broken = llm('{"a": 1,, "b": 2}')
    wanted = {
        "attributes": {"llm.invocation_parameters": '{"response_format": {"type": "json_object"}}'}
    }
    asked = replace(broken, **wanted)
    other = llm('{"a": 1}')
    severities = [
        signal(broken_structured_output, trace(agent(), *spans)).severity
        for spans in ([broken], [asked], [other, broken])
    ]
    assert severities == [Severity.LOW, Severity.MEDIUM, Severity.MEDIUM]


def test_the_quote_of_a_long_broken_answer_holds_the_position_of_the_error():
    text = json.dumps({"items": ["x" * 40] * 50}).replace("]", "] oops", 1)
    found = signal(broken_structured_output, run(text))
    assert any("oops" in quote for _, quote in quotes(found))


def test_an_answer_truncated_at_the_token_limit_is_left_to_truncated_output():
    assert signals(broken_structured_output, run('{"a": "b', finish_reason="length")) == []


def test_structured_output_is_not_judged_without_answers():
    assert not_applicable(broken_structured_output, trace(agent(), tool("x"))) == "no LLM spans"
    assert not_applicable(broken_structured_output, run(None)) == "no model output recorded"
