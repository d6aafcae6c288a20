"""Streamed answers of OpenAI's chat completions API, assembled into the form of whole ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from halo_engine.llm.openai_answers import mapping

EVENT_STREAM = "text/event-stream"
TEXTS = ("content", "refusal", "reasoning_content", "reasoning")


def assembled_answer(content: bytes) -> dict[str, Any] | None:
    """The answer in the server-sent events of ``content``; None if they end before it does.

    An event with an error takes its place.
    """
    choice: dict[str, Any] = {"message": {}, "finish_reason": None}
    usage: Any = None
    for event in sent_events(content):
        if event.get("error"):
            return dict(event)
        usage = event.get("usage") or usage
        for part in event.get("choices") or ():
            add_choice_delta(choice, mapping(part))
    if choice["finish_reason"] is None:
        return None
    return {"choices": [choice], "usage": usage}


def sent_events(content: bytes) -> Iterator[Mapping[str, Any]]:
    """The JSON objects in the ``data`` of server-sent events; ``[DONE]`` is none."""
    for line in content.splitlines():
        if line.startswith(b"data:"):
            try:
                yield mapping(json.loads(line.removeprefix(b"data:")))
            except (ValueError, RecursionError):
                continue


def add_choice_delta(choice: dict[str, Any], part: Mapping[str, Any]) -> None:
    """Add the part of an answer that one event brings."""
    message, delta = choice["message"], mapping(part.get("delta"))
    choice["finish_reason"] = part.get("finish_reason") or choice["finish_reason"]
    for name in TEXTS:
        if isinstance(text := delta.get(name), str):
            message[name] = message.get(name, "") + text
    for call in delta.get("tool_calls") or ():
        add_call(message.setdefault("tool_calls", []), mapping(call))


def add_call(calls: list[dict[str, Any]], part: Mapping[str, Any]) -> None:
    """Add a part of a call to the one with the same index."""
    index = part.get("index", 0)
    call = next((call for call in calls if call["index"] == index), None)
    if call is None:
        call = {"index": index, "id": "", "function": {"name": "", "arguments": ""}}
        calls.append(call)
    call["id"] = part.get("id") or call["id"]
    for name, text in mapping(part.get("function")).items():
        if name in call["function"] and isinstance(text, str):
            call["function"][name] += text
