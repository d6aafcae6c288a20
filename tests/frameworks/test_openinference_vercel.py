"""Spans of the Vercel AI SDK that ``@arizeai/openinference-vercel`` has rewritten: 2.8.1 for version
6 of the SDK, 3.2.1 for version 7. Recorded with the tools of the other recordings."""

from __future__ import annotations

import json

import pytest

from halo_engine.schema import Message, SpanKind
from recordings import of_kind, recorded, root_of

RECORDINGS = ("vercel-ai6-openinference", "vercel-ai7-openinference")


@pytest.mark.parametrize("recording", RECORDINGS)
def test_the_run_says_what_was_asked_and_answered(recording: str) -> None:
    root = root_of(recorded(recording, "ok"))
    assert root.kind is SpanKind.AGENT
    assert "When will my order A-17 come?" in (root.input or "")
    assert root.output == "Your order A-17 was shipped on Monday."


@pytest.mark.parametrize("recording", RECORDINGS)
def test_tools_are_declared_with_their_schema(recording: str) -> None:
    for call in of_kind(recorded(recording, "ok"), SpanKind.LLM):
        assert [tool.name for tool in call.tools] == ["get_order", "cancel_order", "refund_order"]
        assert all(tool.parameters for tool in call.tools)


@pytest.mark.parametrize("recording", RECORDINGS)
def test_arguments_are_decoded_once_more(recording: str) -> None:
    first = of_kind(recorded(recording, "ok"), SpanKind.LLM)[0]
    assert json.loads(first.output_messages[0].tool_calls[0].arguments or "") == {
        "order_id": "A-17"
    }
    bad = of_kind(recorded(recording, "bad_json"), SpanKind.LLM)[0]
    assert bad.output_messages[0].tool_calls[0].arguments == '{"order_id": "A-17"'


@pytest.mark.parametrize("recording", RECORDINGS)
def test_an_empty_answer_is_empty(recording: str) -> None:
    last = of_kind(recorded(recording, "empty"), SpanKind.LLM)[-1]
    assert last.output_messages == (Message(role="assistant", content=""),)


def test_session_and_user_are_those_of_the_metadata() -> None:
    for span in recorded("vercel-ai6-openinference", "ok").spans:
        assert (span.session_id, span.user_id) == ("s-1", "u-1")
