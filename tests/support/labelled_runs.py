"""A small labelled set of an agent's conversations, in the form of a dump with labels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Row = dict[str, Any]
ANNOTATOR = "oracle"


def span(trace_id: str, number: int, name: str, kind: str, **attributes: Any) -> Row:
    """A span of a conversation, one second after the one before."""
    parent = "" if number == 0 else span_id(trace_id, 0)
    return {
        "trace_id": trace_id,
        "span_id": span_id(trace_id, number),
        "parent_span_id": parent,
        "name": name,
        "kind": "SPAN_KIND_INTERNAL",
        "start_time": f"2025-08-01T10:00:{number:02}.000000000Z",
        "end_time": f"2025-08-01T10:00:{number + (0 if parent else 40):02}.500000000Z",
        "status": {"code": "STATUS_CODE_UNSET", "message": ""},
        "attributes": {"openinference.span.kind": kind, **attributes},
        "resource": {"attributes": {"service.name": "airline-agent"}},
        "events": [],
    }


def span_id(trace_id: str, number: int) -> str:
    """The id of a span."""
    return f"{trace_id[:12]}{number:04x}"


def said(text: str, role: str) -> Row:
    """What a user or the greeting says."""
    return {"output.value": text, "message.role_raw": role}


def answered(text: str, heard: Row) -> Row:
    """What a model answers to a message."""
    output = {"llm.output_messages.0.message.role": "assistant"}
    output |= {"llm.output_messages.0.message.content": text, "output.value": text}
    return {**new_message(heard), **output, "llm.model_name": "m-1", "llm.token_count.prompt": 900}


def called(call_id: str, tool: str, arguments: Row, heard: Row) -> Row:
    """A model's call of a tool."""
    call = "llm.output_messages.0.message.tool_calls.0.tool_call."
    written = json.dumps(arguments)
    function = {"name": tool, "arguments": written}
    return {
        **new_message(heard),
        "llm.output_messages.0.message.role": "assistant",
        f"{call}id": call_id,
        f"{call}function.name": tool,
        f"{call}function.arguments": written,
        "output.value": json.dumps([{"id": call_id, "function": function}]),
    }


def new_message(message: Row) -> Row:
    """The attributes of a message that a model got."""
    return {f"llm.input_messages.0.message.{key}": value for key, value in message.items()}


def returned(call_id: str, arguments: Row, output: str) -> Row:
    """What a tool returned."""
    return {
        "input.value": json.dumps(arguments),
        "output.value": output,
        "tool_call.id": call_id,
        "dataset.step_index": 4,
    }


def conversation(trace_id: str, refunded: bool) -> list[Row]:
    """Somebody asks for a refund of a booking; without ``refunded`` the agent never cancels it."""
    asked = "Hi! I'd like to cancel reservation ABC123 from May 20, 2024. Could you please help me?"
    booking = {
        "reservation_id": "ABC123",
        "user": {"first_name": "Mia", "last_name": "Garcia"},
        "origin": "SEA",
        "date": "2024-05-20",
        "flights": [{"price": 152}, {"price": 48}],
        "payment": {"amount": 200},
    }
    greeting, question = {"role": "user", "content": asked}, {"reservation_id": "ABC123"}
    found = json.dumps(booking)
    read = {"role": "tool", "content": found, "tool_call_id": "call_1"}
    thanks = "Thank you for your help!###STOP###"
    told = "I found your reservation ABC123, Mia Garcia. The total is $200, please confirm."
    spans = [
        ("airline-agent conversation", "AGENT", {"input.value": asked, "output.value": told}),
        ("agent_greeting", "CHAIN", said("Hi! How can I help you today?", "assistant")),
        ("user_message", "CHAIN", said(asked, "user")),
        ("ChatCompletion", "LLM", called("call_1", "get_reservation", question, greeting)),
        ("get_reservation", "TOOL", returned("call_1", question, found)),
        ("ChatCompletion", "LLM", answered(told, read)),
        ("user_message", "CHAIN", said("Yes, please proceed. I need to go.", "user")),
    ]
    if refunded:
        agreed = {"role": "user", "content": "Yes, please proceed. I need to go."}
        spans += [
            ("ChatCompletion", "LLM", called("call_2", "cancel", question, agreed)),
            ("cancel", "TOOL", returned("call_2", question, "done")),
        ]
    spans.append(("user_message", "CHAIN", said(thanks, "user")))
    return [
        span(trace_id, number, name, kind, **attributes)
        for number, (name, kind, attributes) in enumerate(spans)
    ]


def write_labelled_set(folder: Path, failed: int, successful: int) -> None:
    """A set in which ``failed`` conversations show the one mode there is."""
    folder.mkdir(parents=True)
    bad = [f"{number:032x}" for number in range(1, failed + 1)]
    good = [f"{number:032x}" for number in range(1001, successful + 1001)]
    spans = [s for trace_id in (*bad, *good) for s in conversation(trace_id, trace_id in good)]
    write(folder / "traces.jsonl", spans)
    write(folder / "labels.jsonl", labels(bad))
    write(folder / "outcomes.jsonl", ({"trace_id": t, "success": t in good} for t in (*bad, *good)))
    mode = {
        "mode_id": "m1",
        "annotator": ANNOTATOR,
        "category": "missing_action:cancel",
        "trace_ids": bad,
        "evidence": [[trace_id, span_id(trace_id, 5)] for trace_id in bad],
        "n_traces": failed,
        "corpus_traces": failed + successful,
        "prevalence": failed / (failed + successful),
    }
    write(folder / "modes.jsonl", [mode])


def labels(trace_ids: Iterable[str]) -> Iterator[Row]:
    """The failure of each of these conversations."""
    for trace_id in trace_ids:
        yield {
            "trace_id": trace_id,
            "span_id": span_id(trace_id, 5),
            "annotator": ANNOTATOR,
            "category": "missing_action:cancel",
        }


def write(path: Path, lines: Iterable[Row]) -> None:
    """Rows into a file."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
