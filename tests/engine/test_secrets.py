"""Detection and redaction of secrets."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halo_engine.text.secrets import find_secrets, redact

RANDOM = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dF3gH6xY9zA2cD5eF8gH1iJ4kL7mN0pQ3r"
SECRETS = {
    "openai-key": [f"sk-proj-{RANDOM}", f"sk-{RANDOM[:20]}T3BlbkFJ{RANDOM[20:40]}"],
    "anthropic-key": [f"sk-ant-api03-{RANDOM}"],
    "openrouter-key": ["sk-or-v1-" + "0123456789abcdef" * 4],
    "langfuse-key": ["sk-lf-550e8400-e29b-41d4-a716-446655440000"],
    "aws-access-key": ["AKIAQ4J7XW2LZ9RT5VBN"],
    "github-token": [f"ghp_{RANDOM[:36]}", f"github_pat_{RANDOM}"],
    "gitlab-token": [f"glpat-{RANDOM[:20]}"],
    "slack-token": [f"xoxb-123456789012-{RANDOM[:24]}"],
    "google-key": [f"AIza{RANDOM[:35]}"],
    "huggingface-token": [f"hf_{RANDOM[:34]}"],
    "stripe-key": [f"sk_live_{RANDOM[:24]}"],
    "jwt": [f"eyJ{RANDOM[:20]}.eyJ{RANDOM[:30]}.{RANDOM[:43]}"],
    "private-key": [
        f"-----BEGIN RSA PRIVATE KEY-----\n{RANDOM}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\\n{RANDOM}\\n-----END PRIVATE KEY-----",
    ],
    "bearer-token": [f"Bearer {RANDOM[:40]}"],
}


@pytest.mark.parametrize(
    ("kind", "secret"), [(kind, text) for kind, texts in SECRETS.items() for text in texts]
)
def test_a_secret_is_replaced_by_its_kind_in_any_context(kind, secret):
    for before, after in [("", ""), ("key=", "; next"), ('{"k": "', '"}'), ("line\\n", "\\nline")]:
        assert redact(f"{before}{secret}{after}") == f"{before}[redacted:{kind}]{after}"


@pytest.mark.parametrize(
    "text",
    [
        "desk-lamp, task-force, risk-averse-and-long-but-a-word",
        "AKIAIOSFODNN7EXAMPLE",
        "sk-proj-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
        "A PEM file begins with -----BEGIN PRIVATE KEY----- and is never to be shared.",
        "the bearer authentication-scheme-of-the-server is used",
        "550e8400-e29b-41d4-a716-446655440000",
        "eyJhbGciOiJIUzI1NiJ9",
        "d41d8cd98f00b204e9800998ecf8427e",
    ],
)
def test_ordinary_words_placeholders_and_ids_are_not_redacted(text):
    assert redact(text) == text


def test_a_token_in_a_bearer_header_is_redacted_once():
    (jwt,) = SECRETS["jwt"]
    assert redact(f"Authorization: Bearer {jwt}.") == "Authorization: [redacted:bearer-token]"


def test_an_incomplete_private_key_is_redacted_to_the_end():
    assert (
        redact(f"-----BEGIN PRIVATE KEY-----\n{RANDOM}\n{RANDOM[:9]}") == "[redacted:private-key]"
    )


def test_the_public_prefix_of_a_secret_is_located():
    text = f"key {SECRETS['aws-access-key'][0]}"
    (secret,) = find_secrets(text)
    assert text[secret.start : secret.prefix_end] == "AKIA"


@given(st.text())
def test_a_redacted_text_holds_nothing_more_to_redact(text):
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    "piece",
    [
        *("a", "eyJ-", "eyJaaaaaaaaaaaa.", "-----BEGIN PRIVATE KEY-----\n", "Bearer aaa1aaaa"),
        *("xoxb-11111111-", "sk-ant-", "AKIA", f"ghp_{RANDOM[:36]} "),
    ],
)
def test_five_megabytes_of_near_matches_take_less_than_five_seconds(piece):
    text = piece * (5_000_000 // len(piece))
    began = time.process_time()
    redact(text)
    assert time.process_time() - began < 5
