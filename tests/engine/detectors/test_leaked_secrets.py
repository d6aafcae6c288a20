"""The detector of secrets in traces."""

from __future__ import annotations

import pytest

from halo_engine.detectors.leaked_secrets import secret_in_trace
from halo_engine.schema import Document, SpanKind
from halo_engine.text.levels import Level
from halo_engine.text.redaction import Redactor
from halo_integrations.testing import agent, call, exception, failed, llm, message, tool, trace
from outcomes import not_applicable, quotes, signal, signals

KEY = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dF3gH6"


@pytest.mark.parametrize(
    ("step", "field"),
    [
        (tool("run", f"git clone https://{KEY}@github.com/a/b", "ok"), "input"),
        (tool("run", {}, f"token={KEY}"), "output"),
        (tool("run", {}, status=failed(f"bad key {KEY}")), "status.message"),
        (llm("hi", messages=[message("user", KEY)]), "input_messages.0.content"),
        (
            llm(calls=[call("run", {"key": KEY})]),
            "output_messages.0.tool_calls.0.arguments",
        ),
        (
            tool("run", {}, "", events=(exception("E", KEY),)),
            "events.0.attributes.exception.message",
        ),
        (tool("run", {}, "", attributes={"http.header": KEY}), "attributes.http.header"),
        (tool("run", {}, "", attributes={"deep": {"list": [KEY]}}), "attributes.deep"),
        (
            tool("run", {}, "", kind=SpanKind.RETRIEVER, documents=(Document(content=KEY),)),
            "documents.0.content",
        ),
    ],
)
def test_a_key_is_found_in_every_text_and_never_quoted(step, field):
    found = signal(secret_in_trace, trace(agent(), step))
    assert found.message == "github-token"
    assert found.reason == f"{field} holds a secret (github-token)"
    assert KEY not in repr(found)


def test_what_stands_before_a_key_is_quoted() -> None:
    found = signal(secret_in_trace, trace(agent(), tool("run", {}, f"the token={KEY} is new")))
    assert quotes(found) == [("output", "the token=")]


def test_a_masked_key_is_found_and_its_placeholder_quoted() -> None:
    shown = Redactor(key=b"run").text(f"the token={KEY} is new")
    found = signal(secret_in_trace, trace(agent(), tool("run", {}, shown)))
    assert found.message == "github-token"
    assert quotes(found) == [("output", shown.removesuffix(" is new"))]


def test_what_redaction_masked_in_a_trace_is_found_in_what_it_made_of_it() -> None:
    masked = Redactor(key=b"run").trace(trace(agent(), tool("run", {}, f"is {KEY}")))
    assert signal(secret_in_trace, masked).message == "github-token"


def test_card_numbers_and_personal_data_are_no_credentials() -> None:
    shown = Redactor(Level.STRICT, b"run").text("4111 1111 1111 1111 of ann@beispiel.de")
    assert shown.count("[redacted:") == 2
    run = trace(agent(), tool("run", {}, shown), tool("run", {}, "4111 1111 1111 1111"))
    assert signals(secret_in_trace, run) == []


def test_a_secret_that_is_repeated_in_a_trace_is_reported_once():
    run = trace(agent(), tool("run", {}, KEY), llm("hi", messages=[message("tool", f"is {KEY}")]))
    assert len(signals(secret_in_trace, run)) == 1


def test_different_secrets_are_each_reported():
    run = trace(agent(), tool("run", {}, f"{KEY} {KEY[:-1]}x"))
    assert len(signals(secret_in_trace, run)) == 2


def test_ordinary_texts_hold_no_secret():
    run = trace(agent(), tool("run", {"id": "a" * 40}, "desk-lamp task-42 risk-free"))
    assert signals(secret_in_trace, run) == []


def test_secrets_are_not_judged_in_a_trace_without_spans():
    assert not_applicable(secret_in_trace, trace()) == "no spans"
