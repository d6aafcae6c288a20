"""Messages that are log records beside their spans, as Semantic Kernel 1.45 and the Agent Framework
1.23 (with ``ENABLE_MESSAGE_EVENTS``, up to version 1.36 of the conventions) write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from halo_engine.schema import Message, Span, SpanKind, ToolCall
from recordings import kinds, of_kind, recorded, root_of, traces_in

KERNEL, FRAMEWORK = "semantic_kernel", "agent_framework_events"
SYSTEM = "You are the support agent of a shop. Use the tools to look up, cancel and refund orders."
IDS = {"traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1"}


def write(path: Path, *exports: dict[str, Any]) -> None:
    """Write ``exports``, one a line."""
    path.write_text("".join(json.dumps(export) + "\n" for export in exports))


def only_span_in(folder: Path) -> Span:
    """The one span in the files of ``folder``."""
    ((span,),) = [trace.spans for trace in traces_in(folder).values()]
    return span


def span_export(**attributes: str) -> dict[str, Any]:
    """The export of one span."""
    pairs = [{"key": key, "value": {"stringValue": held}} for key, held in attributes.items()]
    span = {**IDS, "name": "chat", "startTimeUnixNano": "1795858003861815808", "attributes": pairs}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def log_export(*records: dict[str, Any]) -> dict[str, Any]:
    """The export of log records."""
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": list(records)}]}]}


CHAT = span_export(**{"gen_ai.operation.name": "chat"})


@pytest.mark.parametrize("name", [KERNEL, FRAMEWORK])
def test_a_model_call_has_the_messages_of_its_log_records(name: str) -> None:
    first, second = of_kind(recorded(name, "tool_raises"), SpanKind.LLM)
    assert first.input_messages[0].content == SYSTEM
    assert [m.role for m in second.input_messages] == ["system", "user", "assistant", "tool"]
    (call,) = first.output_messages[0].tool_calls
    assert call == ToolCall(
        id=call.id, name="refund_order", arguments='{"order_id": "A-17", "amount": 10}'
    )
    assert second.input_messages[-1].tool_call_id == call.id
    assert second.output_messages == (
        Message(role="assistant", content="Your refund of 10 EUR is done."),
    )


@pytest.mark.parametrize("name", [KERNEL, FRAMEWORK])
def test_an_answer_that_was_cut_says_so(name: str) -> None:
    assert (of_kind(recorded(name, "length"), SpanKind.LLM)[-1].finish_reason or "").lower() == (
        "length"
    )


def test_a_run_of_the_kernel_has_the_answer_that_its_span_says() -> None:
    trace = recorded(KERNEL, "ok")
    assert kinds(trace)[:3] == [
        ("invoke_agent support", "AGENT"),
        ("AutoFunctionInvocationLoop", "CHAIN"),
        ("chat gpt-4o-mini", "LLM"),
    ]
    root = root_of(trace)
    assert (root.input, root.output) == (None, "Your order A-17 was shipped on Monday.")
    assert [tool.name for tool in root.tools] == [
        "Orders-cancel_order",
        "Orders-get_order",
        "Orders-refund_order",
    ]


def test_a_run_of_the_kernel_that_answered_with_nothing_has_an_empty_output() -> None:
    assert root_of(recorded(KERNEL, "empty")).output == ""


def test_a_choice_without_content_is_empty_where_other_messages_have_theirs() -> None:
    last = of_kind(recorded(FRAMEWORK, "empty"), SpanKind.LLM)[-1]
    assert last.output_messages == (Message(role="assistant", content=""),)


def test_details_in_a_log_record_are_the_messages_of_its_span(tmp_path: Path) -> None:
    text = {"stringValue": "text"}, {"stringValue": "Hi"}
    part = [
        {"key": key, "value": held} for key, held in zip(("type", "content"), text, strict=True)
    ]
    message = [
        {"key": "role", "value": {"stringValue": "user"}},
        {
            "key": "parts",
            "value": {"arrayValue": {"values": [{"kvlistValue": {"values": part}}]}},
        },
    ]
    details = {
        **IDS,
        "eventName": "gen_ai.client.inference.operation.details",
        "attributes": [
            {
                "key": "gen_ai.input.messages",
                "value": {"arrayValue": {"values": [{"kvlistValue": {"values": message}}]}},
            }
        ],
    }
    write(tmp_path / "a.jsonl", CHAT, log_export(details))
    found = only_span_in(tmp_path)
    assert found.input_messages == (Message(role="user", content="Hi"),)


def test_contents_of_gemini_and_those_kept_back_are_read(tmp_path: Path) -> None:
    asked = {"content": {"role": "user", "parts": [{"text": "Hi"}]}}
    call = {"function_call": {"id": "c1", "name": "get_order", "args": {"order_id": "A-17"}}}
    called = {"content": {"role": "model", "parts": [call]}, "index": 0, "finish_reason": "STOP"}
    records = [
        {**IDS, "eventName": name, "body": {"stringValue": json.dumps(body)}}
        for name, body in (
            ("gen_ai.system.message", {"content": "<elided>"}),
            ("gen_ai.user.message", asked),
            ("gen_ai.choice", called),
        )
    ]
    write(tmp_path / "a.jsonl", CHAT, log_export(*records))
    found = only_span_in(tmp_path)
    assert found.input_messages == (Message(role="system"), Message(role="user", content="Hi"))
    requested = ToolCall(id="c1", name="get_order", arguments='{"order_id":"A-17"}')
    assert found.output_messages == (Message(role="assistant", tool_calls=(requested,)),)
    assert found.finish_reason == "STOP"
