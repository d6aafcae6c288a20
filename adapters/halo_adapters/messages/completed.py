"""Messages of OpenInference, completed from the request and the response recorded beside them.

The instrumentations leave out a content that is empty, and what the conventions have no name for: a
refusal, the mark of a failed call, in some of them the ids of calls. A text that is hidden is
``__REDACTED__``, and of hidden messages there is none.
"""

from __future__ import annotations

import re
from typing import Any

from halo_adapters.attributes import items_of
from halo_adapters.json_values import JsonObject, parse_json
from halo_adapters.messages.decode import decode_messages
from halo_adapters.messages.payloads import extract_messages, message_objects

# What a message has beside its content, and parts of a content that hold nothing.
NO_CONTENT = frozenset({"role", "name", "tool_call_id"})
EMPTY_PARTS = ({"type": "text"}, {"message_content": {"type": "text"}})
ERROR_MARK = re.compile(r'"(?:is_error|isError)":\s*true|"status":\s*"error"')
IN_ERROR_MARKS = "rror"
RESULT_IDS = ('"tool_call_id"', '"tool_use_id"', '"toolUseId"')


def completed_answers(messages: list[Any], output: str) -> list[Any]:
    """The output messages of a model call, completed from its response ``output``."""
    if any(map(is_answer_without_content, messages)):
        text = answer_in_response(output)
        messages = [with_content(m, text) if is_answer_without_content(m) else m for m in messages]
    if '"tool_calls"' in output and any(map(has_call_without_id, messages)):
        return like_recorded(messages, message_objects(parse_json(output), "assistant"))
    return messages


def completed_request(messages: list[Any], given: str) -> list[Any]:
    """The input messages of a model call, completed from its request ``given``."""
    if any(map(is_result_without_id, messages)) and any(mark in given for mark in RESULT_IDS):
        messages = like_recorded(messages, message_objects(parse_json(given), "user"))
    if IN_ERROR_MARKS in given and ERROR_MARK.search(given):
        failed = failed_calls(given)
        messages = [with_error(item) if call_id_of(item) in failed else item for item in messages]
    if any(map(is_without_content, messages)):
        return [with_content(item, "") if is_without_content(item) else item for item in messages]
    return messages


def is_without_content(item: Any) -> bool:
    """Whether the message ``item`` has a role and neither text nor tool calls."""
    node = message_in(item)
    if node is None or "content" in node or "role" not in node:
        return False
    content = node.keys() - NO_CONTENT
    if content == {"contents"} and (parts := items_of(node["contents"])) is not None:
        return all(part in EMPTY_PARTS for part in parts)
    return not content


def is_answer_without_content(item: Any) -> bool:
    """Whether ``item`` is a message of the model without content."""
    return is_without_content(item) and item.get("message", item)["role"] != "tool"


def is_result_without_id(item: Any) -> bool:
    """Whether ``item`` is the result of a tool, and does not say of which call."""
    node = message_in(item)
    return node is not None and node.get("role") == "tool" and "tool_call_id" not in node


def has_call_without_id(item: Any) -> bool:
    """Whether the message ``item`` calls a tool without the id of the call."""
    node = message_in(item)
    if node is None or "tool_calls" not in node:
        return False
    return any(call.id is None for call in decode_messages([node])[0].tool_calls)


def message_in(item: Any) -> JsonObject | None:
    """The message ``item`` without its wrapper; None where it is no object."""
    node = item.get("message", item) if isinstance(item, dict) else None
    return node if isinstance(node, dict) else None


def with_content(item: Any, text: str) -> JsonObject:
    """The message ``item`` with ``text`` as its content."""
    return {**(message_in(item) or {}), "contents": None, "content": text}


def with_error(item: Any) -> JsonObject:
    """The message ``item``, marked as the result of a call that failed."""
    return {**(message_in(item) or {}), "is_error": True}


def call_id_of(item: Any) -> str | None:
    """The id of the call that the message ``item`` answers."""
    found = (message_in(item) or {}).get("tool_call_id")
    return found if isinstance(found, str) else None


def like_recorded(messages: list[Any], found: list[JsonObject]) -> list[Any]:
    """``found`` after the system messages of ``messages``, where they are as many.

    The request may have the system's instructions apart, and a response cannot be another.
    """
    system = [item for item in messages if is_system(item)]
    others = [item for item in found if not is_system(item)]
    return [*system, *others] if len(system) + len(others) == len(messages) else messages


def is_system(item: Any) -> bool:
    """Whether ``item`` is a message of the system."""
    return (message_in(item) or {}).get("role") == "system"


def failed_calls(given: str) -> frozenset[str]:
    """The ids of the tool calls that failed, by the marks in the request ``given``."""
    messages = extract_messages(parse_json(given), "user")
    return frozenset(m.tool_call_id for m in messages if m.is_error and m.tool_call_id)


def answer_in_response(output: str) -> str:
    """The text of the response of a provider that ``output`` holds; empty where there is none."""
    if output[:1] not in ("{", "["):
        return ""
    messages = extract_messages(parse_json(output), "assistant")
    return next((message.content for message in messages if message.content), "")
