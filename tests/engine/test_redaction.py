"""Redaction of texts, values and traces, and the placeholders that it leaves."""

from __future__ import annotations

import sys

import pytest
from pydantic import BaseModel

from halo_engine.schema import (
    Document,
    Message,
    Score,
    Span,
    SpanEvent,
    Status,
    ToolCall,
    ToolDefinition,
    Trace,
)
from halo_engine.text.levels import Level
from halo_engine.text.redaction import PLACEHOLDER, Redactor
from halo_engine.text.sanitize import INVISIBLE, may_be_invisible

BODY = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dF3gH6"
GITHUB = f"ghp_{BODY}"
OTHER = f"ghp_{BODY[::-1]}"


def ids(text: str) -> list[str]:
    """The ids of the placeholders in a text."""
    return [match[2] for match in PLACEHOLDER.finditer(text)]


def test_equal_secrets_have_equal_placeholders_and_others_have_others() -> None:
    first, second, third = ids(Redactor(key=b"run").text(f"{GITHUB} {OTHER} {GITHUB}"))
    assert first == third != second


def test_another_run_has_other_placeholders() -> None:
    assert ids(Redactor(key=b"one").text(GITHUB)) != ids(Redactor(key=b"two").text(GITHUB))


def test_without_a_key_placeholders_tell_nothing_but_the_kind() -> None:
    assert Redactor().text(f"{GITHUB} {OTHER}") == "[redacted:github-token] [redacted:github-token]"


def test_the_line_breaks_of_a_key_block_do_not_make_it_another_secret() -> None:
    block = f"-----BEGIN PRIVATE {'KEY'}-----\n{BODY}{BODY}\n-----END PRIVATE {'KEY'}-----"
    redactor = Redactor(key=b"run")
    assert ids(redactor.text(block)) == ids(redactor.text(block.replace("\n", "\\n")))


# -- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"password": "sunflower"}, {"password": "[redacted:password]"}),
        ({"db": {"api_key": BODY}}, {"db": {"api_key": "[redacted:secret]"}}),
        ({"authorization": [f"Token {BODY}"]}, {"authorization": ["[redacted:secret]"]}),
        ({"card": 4111111111111111}, {"card": "[redacted:card-number]"}),
        ({"password": 271828}, {"password": "[redacted:password]"}),
        ({GITHUB: 1}, {"[redacted:github-token]": 1}),
        ([GITHUB, 3, None, True, 2.5], ["[redacted:github-token]", 3, None, True, 2.5]),
    ],
)
def test_a_value_is_redacted_by_its_name_and_its_form(value: object, shown: object) -> None:
    assert Redactor().value(value) == shown


@pytest.mark.parametrize(
    "value",
    [
        {"password": "", "token": "hello", "next_page_token": BODY, "max_tokens": 4096},
        {"secret": True, "api_key": None, "password_hash_rounds": 12},
        ["text", 42, {"order": 4111111111111112}],
    ],
)
def test_a_value_without_a_secret_is_the_same_object(value: object) -> None:
    assert Redactor().value(value) is value


def test_a_text_that_was_met_before_is_the_same_object() -> None:
    redactor, texts = Redactor(), [f"order {number} of 2" for number in (1, 1)]
    assert all(redactor.text(text) is text for text in texts)


def test_off_leaves_every_value() -> None:
    value = {"password": "sunflower", "note": GITHUB}
    assert Redactor(Level.OFF).value(value) is value


class Unwritable(BaseModel):
    """A model whose JSON cannot be written."""

    text: str


def test_a_model_that_is_no_json_is_redacted_too() -> None:
    model = Unwritable(text=f"\ud800 {GITHUB}")
    assert Redactor().model(model).text == "\ud800 [redacted:github-token]"


# -- traces --------------------------------------------------------------------------------------


def trace_with_secrets() -> Trace:
    """A trace with a secret in every text."""
    span = Span(
        trace_id="t1",
        span_id="4093609377352800",  # digits that a card could have
        name=GITHUB,
        input=GITHUB,
        status=Status(message=GITHUB),
        input_messages=(Message(content=GITHUB, tool_calls=(ToolCall(arguments=GITHUB),)),),
        documents=(Document(content=GITHUB),),
        tools=(ToolDefinition(description=GITHUB),),
        events=(SpanEvent(attributes={"exception.message": GITHUB}),),
        attributes={
            "http.request.header.authorization": "Basic c3ZjOnMzY3IzdA==",
            "deep": [GITHUB],
        },
        user_id=GITHUB,
    )
    return Trace(trace_id="t1", spans=(span,), scores=(Score(name="s", explanation=GITHUB),))


def test_every_text_of_a_trace_is_redacted_and_its_ids_are_not() -> None:
    redacted = Redactor(key=b"run").trace(trace_with_secrets())
    dumped = repr(redacted)
    assert BODY not in dumped
    assert "c3ZjOnMzY3IzdA" not in dumped
    assert redacted.spans[0].span_id == "4093609377352800"
    assert redacted.by_id["4093609377352800"] is redacted.spans[0]


def test_a_trace_that_another_run_has_redacted_stays_as_it_is() -> None:
    redacted = Redactor(key=b"one").trace(trace_with_secrets())
    for level in (Level.DEFAULT, Level.STRICT):
        assert Redactor(level, key=b"two").trace(redacted) == redacted


def test_a_trace_without_a_secret_is_the_same_object() -> None:
    trace = Trace(trace_id="t1", spans=(Span(trace_id="t1", span_id="s1", input="hello"),))
    assert Redactor().trace(trace) is trace


@pytest.mark.parametrize(
    "text", [b"the token context window", b"secret: something", b'{"session key": "unknown-value"}']
)
def test_a_word_behind_the_name_of_a_secret_calls_for_no_search(text: bytes) -> None:
    assert not Redactor().may_change(text)


def test_the_quick_look_for_invisible_characters_misses_none() -> None:
    code_points = (chr(n) for n in range(sys.maxunicode + 1))
    missed = [
        hex(ord(c))
        for c in code_points
        if INVISIBLE.match(c) and not may_be_invisible(c.encode("utf-8", "surrogatepass"))
    ]
    assert missed == []
