"""Answers of servers with OpenAI's API, over HTTP: text, reason to end, token counts."""

from __future__ import annotations

from typing import Any

import pytest

from halo_engine.llm import Completion, TokenUsage, user
from halo_engine.llm.chat import AnswerStatus
from halo_engine.llm.openai_answers import parsed_completion
from halo_engine.llm.openai_model import OpenAIModel
from loopback import serving
from model_endpoint import completion


def answer_of(**changes: Any) -> Completion:
    with serving(lambda _: completion("fine", **changes)) as server:
        model = OpenAIModel("m", base_url=server.url)
        return model.complete([user("Hello?")], max_tokens=5)


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 7}, (5, 7)),
        ({"prompt_tokens": 5.0, "completion_tokens": 7.0}, (5, 7)),
        ({"prompt_tokens": -5, "completion_tokens": 7, "total_tokens": 2}, (-5, 7)),
        # Reasoning that is counted in the total alone.
        ({"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 100}, (5, 95)),
        ({"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 10**30}, (5, 7)),
        ({"prompt_tokens": 5, "completion_tokens": 7.5}, None),
        ({"prompt_tokens": float("nan"), "completion_tokens": 7}, None),
        ({"prompt_tokens": "5", "completion_tokens": "7"}, None),
        ({"prompt_tokens": None, "completion_tokens": 7}, None),
        ({"completion_tokens": 7}, None),
        ({"prompt_tokens": True, "completion_tokens": True}, None),
        (None, None),
        ("many", None),
    ],
)
def test_token_counts_are_those_that_are_billed_or_none(
    usage: Any, counted: tuple[int, int] | None
) -> None:
    expected = counted and TokenUsage(prompt=counted[0], completion=counted[1])
    answer = answer_of(usage=usage)
    assert (answer.text, answer.usage) == ("fine", expected)


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("stop", AnswerStatus.WHOLE),
        ("tool_calls", AnswerStatus.WHOLE),
        ("eos", AnswerStatus.WHOLE),
        (None, AnswerStatus.WHOLE),
        ("length", AnswerStatus.CUT),
        ("MAX_TOKENS", AnswerStatus.CUT),
        ("content_filter", AnswerStatus.WITHHELD),
        ("error", AnswerStatus.BROKEN),
        ("abort", AnswerStatus.BROKEN),
    ],
)
def test_the_finish_reason_tells_what_became_of_an_answer(
    reason: str | None, status: AnswerStatus
) -> None:
    assert answer_of(finish_reason=reason).status is status


def test_a_refusal_in_place_of_a_text_is_an_answer_that_was_withheld() -> None:
    message = {"role": "assistant", "content": None, "refusal": "I can't help with that."}
    answer = answer_of(choices=[{"message": message, "finish_reason": "stop"}])
    assert answer.status is AnswerStatus.WITHHELD


def test_a_refusal_that_a_library_keeps_apart_is_one() -> None:
    message = {"content": None, "provider_specific_fields": {"refusal": "I can't."}}
    answer = parsed_completion({"choices": [{"message": message, "finish_reason": "stop"}]})
    assert answer.status is AnswerStatus.WITHHELD


@pytest.mark.parametrize(
    ("usage", "cached", "written"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 6}}, 6, 0),
        ({"cache_read_input_tokens": 6, "cache_creation_input_tokens": 2}, 6, 2),
        ({"prompt_cache_hit_tokens": 6, "prompt_cache_miss_tokens": 4}, 6, 0),
        ({"prompt_tokens_details": {"cached_tokens": 6, "cache_creation_tokens": 9}}, 6, 4),
        ({"prompt_tokens_details": {"cached_tokens": 600}}, 10, 0),
        ({"prompt_tokens_details": {"cached_tokens": -6}}, 0, 0),
        ({"prompt_tokens_details": None}, 0, 0),
    ],
)
def test_cached_tokens_are_read_in_all_forms_and_are_a_part_of_the_prompt(
    usage: dict[str, Any], cached: int, written: int
) -> None:
    answer = answer_of(usage={"prompt_tokens": 10, "completion_tokens": 1, **usage})
    assert answer.usage == TokenUsage(prompt=10, completion=1, cached=cached, written=written)


def test_reasoning_that_is_counted_apart_from_the_answer_is_added() -> None:
    details = {"reasoning_tokens": 40}
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "completion_tokens_details": details}
    answer = answer_of(usage=usage)
    assert answer.usage == TokenUsage(prompt=5, completion=47)


@pytest.mark.parametrize("choices", [[], None, ["?"]])
def test_an_answer_without_choices_was_broken_off_and_has_its_counts(choices: Any) -> None:
    answer = answer_of(choices=choices)
    assert answer.status is AnswerStatus.BROKEN
    assert answer.usage == TokenUsage(prompt=10, completion=10)


def test_a_text_in_parts_is_joined_without_the_reasoning() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "fi"},
        {"type": "text", "text": "ne"},
    ]
    answer = answer_of(choices=[{"message": {"content": parts}, "finish_reason": "stop"}])
    assert answer.text == "fine"


def test_half_of_a_surrogate_pair_in_a_text_does_not_lose_the_answer() -> None:
    message = {"role": "assistant", "content": "ok \ud83d"}
    answer = answer_of(choices=[{"message": message, "finish_reason": "stop"}])
    assert answer.text == "ok \ufffd"


def test_the_reason_that_a_library_translated_is_read_in_the_words_of_the_provider() -> None:
    choice = {
        "message": {"content": "half"},
        "finish_reason": "stop",
        "provider_specific_fields": {"native_finish_reason": "error"},
    }
    assert parsed_completion({"choices": [choice]}).status is AnswerStatus.BROKEN
