"""The answer that the chunks of a model's stream make up.

Read are the chunks of OpenAI's chat API, the events of its responses API and of Anthropic's
messages API, and plain texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from halo_adapters.json_values import JsonObject

FINAL_EVENTS = ("response.completed", "response.incomplete", "response.failed")


def streamed_answer(chunks: Sequence[Any]) -> Any:
    """The response that ``chunks`` (JSON already parsed) make up.

    A text, where all of them are; None where they are of no known kind.
    """
    if not chunks:
        return None
    if all(isinstance(chunk, str) for chunk in chunks):
        return "".join(chunks)
    objects = [chunk for chunk in chunks if isinstance(chunk, dict)]
    for chunk in reversed(objects):
        if chunk.get("type") in FINAL_EVENTS:
            return chunk.get("response")
    if any(chunk.get("type") == "message_start" for chunk in objects):
        return anthropic_message(objects)
    choices = [choice for chunk in objects for choice in objects_in(chunk.get("choices"))]
    return {"choices": [whole_choice(choices)]} if choices else None


def objects_in(value: Any) -> Iterator[JsonObject]:
    """The objects in a list; none where ``value`` is something else."""
    return (
        (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())
    )


def whole_choice(choices: list[JsonObject]) -> JsonObject:
    """The first choice of a chat completion, from its parts."""
    message: JsonObject = {"role": "assistant", "content": None}
    calls: dict[str, JsonObject] = {}
    reason = None
    for choice in choices:
        if choice.get("index", 0) != 0:
            continue
        reason = choice.get("finish_reason") or reason
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            continue
        for key in ("content", "refusal"):
            if isinstance(delta.get(key), str):
                message[key] = (message.get(key) or "") + delta[key]
        for part in objects_in(delta.get("tool_calls")):
            add_part(calls.setdefault(str(part.get("index")), {"id": None, "function": {}}), part)
    return {"message": {**message, "tool_calls": list(calls.values())}, "finish_reason": reason}


def add_part(call: JsonObject, part: JsonObject) -> None:
    """Add a part of a streamed tool call to ``call``."""
    call["id"] = call["id"] or part.get("id")
    function = part.get("function")
    for key in ("name", "arguments"):
        if isinstance(function, dict) and isinstance(function.get(key), str):
            call["function"][key] = call["function"].get(key, "") + function[key]


def anthropic_message(events: list[JsonObject]) -> JsonObject:
    """The message that the events of a stream of Anthropic make up."""
    blocks: dict[str, JsonObject] = {}
    reason = None
    for event in events:
        index = str(event.get("index"))
        block, delta = event.get("content_block"), event.get("delta")
        if isinstance(block, dict):
            blocks[index] = {**block, "input": ""} if "input" in block else dict(block)
        elif isinstance(delta, dict):
            reason = delta.get("stop_reason") or reason
            add_delta(blocks.get(index, {}), delta)
    return {"role": "assistant", "content": list(blocks.values()), "stop_reason": reason}


def add_delta(block: JsonObject, delta: JsonObject) -> None:
    """Add a piece of text, or of the arguments of a tool call, to ``block``."""
    for key, target in (("text", "text"), ("partial_json", "input")):
        if isinstance(delta.get(key), str):
            block[target] = str(block.get(target) or "") + delta[key]
