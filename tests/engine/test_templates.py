"""Templates of messages, in which ids, times and numbers are placeholders."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halo_engine.text.templates import message_template


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("order 550e8400-e29b-41d4-a716-446655440000", "order <id>"),
        ("request_id=req_ab12cd34ef56", "request_id=<id>"),
        ("order #W6390527 of mia_garcia_4516", "order #<id> of <id>"),
        ("at 0x7f00ab12", "at <id>"),
        ("ann.b+x@mail.example.org is unknown", "<email> is unknown"),
        ("since 2026-01-01T05:00:00.000000000Z", "since <time>"),
        ("since 2026-01-01 05:00:00 UTC", "since <time>"),
        ("at 12:30:59", "at <time>"),
        ("total price is 4,875.50, but paid 1625", "total price is <n>, but paid <n>"),
        ("no answer in 30s", "no answer in <n>s"),
        ("User 'jdoe12' not found", "User '<id>' not found"),
        ("key [redacted:x-key#abcdefgh] is old", "key [redacted:x-key] is old"),
        ("key [redacted:x-key#a2c4e6g2] is old", "key [redacted:x-key] is old"),
        (
            "GET https://api.example.com/users/991/orders?page=2 failed",
            "GET https://api.example.com/users/<id>/orders?<query> failed",
        ),
    ],
)
def test_ids_times_and_numbers_are_replaced_by_placeholders(text, template):
    assert message_template(text) == template


@pytest.mark.parametrize(
    "text",
    [
        "",
        "KeyError: 'customer_name'",
        "Error code: 429 - rate_limit_exceeded",
        "HTTP 503",
        "status code 404",
        "can't find user's orders",
    ],
)
def test_words_names_and_http_statuses_are_unchanged(text):
    assert message_template(text) == text


def test_different_statuses_have_different_templates():
    assert message_template("Error code: 429") != message_template("Error code: 500")


@given(st.text(alphabet=st.sampled_from("ab1 9-_.:@'\"/<>?#hTZdcodetp")) | st.text())
def test_the_template_of_a_template_is_the_same(text):
    assert message_template(message_template(text)) == message_template(text)


@given(st.integers(min_value=0), st.integers(min_value=0))
def test_texts_that_differ_only_in_a_number_have_the_same_template(a, b):
    assert message_template(f"paid {a} of the price") == message_template(f"paid {b} of the price")


@pytest.mark.parametrize(
    "piece", ["a", "1", "a.", "a@", "'", "'1", "-", "http://", "a1 ", "<", "code: ", "1:1", "a@b."]
)
def test_a_megabyte_of_near_matches_takes_less_than_three_seconds(piece):
    text = piece * (1_000_000 // len(piece))
    began = time.process_time()
    message_template(text)
    assert time.process_time() - began < 3
