"""Requests in the form of OpenAI's chat completions API, which litellm takes as well."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from halo_engine.llm.chat import (
    AnswerForm,
    AnswerFormKind,
    ChatMessage,
    Completion,
    FunctionCall,
)

RUN_WITH_NEXT = "(run together with the next call)"
CACHE_MARK = {"type": "ephemeral"}


def form_parameters(form: AnswerForm | None) -> dict[str, Any]:
    """The parameters of a request that ask for an answer in ``form``."""
    if form is None:
        return {}
    if form.kind is AnswerFormKind.STRUCTURED:
        schema = {"name": form.name, "schema": form.json_schema, "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    function = {
        "name": form.name,
        "description": form.description,
        "parameters": form.json_schema,
    }
    return {"tools": [{"type": "function", "function": function}]}


def sent_messages(messages: Sequence[ChatMessage], form: AnswerForm | None) -> list[dict[str, Any]]:
    """``messages`` as they are sent; calls are shown as such only to who is asked for some."""
    shows_calls = form is not None and form.kind is AnswerFormKind.CALL
    sent: list[dict[str, Any]] = []
    called: Completion | None = None
    for message in messages:
        if called and message.role == "user":
            sent += result_messages(called, message.content)
            called = None
            continue
        called = message.origin if shows_calls else None
        sent.append(call_message(called) if called else plain_message(message))
    return sent


def plain_message(message: ChatMessage) -> dict[str, Any]:
    """A message with nothing but a text."""
    return {"role": message.role, "content": message.content}


def call_message(answer: Completion) -> dict[str, Any]:
    """An ``answer`` with calls as its provider sent it."""
    return {
        "role": "assistant",
        "content": answer.text or None,
        "tool_calls": [sent_call(call) for call in answer.calls],
        **answer.reasoning,
    }


def sent_call(call: FunctionCall) -> dict[str, Any]:
    """A call; arguments that are no object, which providers refuse, become one."""
    arguments = call.arguments
    if not is_json_object(arguments):
        arguments = json.dumps({"text": arguments})
    function = {"name": call.name, "arguments": arguments}
    return {"id": call.id, "type": "function", "function": function, **call.extra}


def is_json_object(text: str) -> bool:
    """Whether ``text`` is a JSON object."""
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def result_messages(answer: Completion, content: str) -> Iterator[dict[str, Any]]:
    """``content`` as the result of the calls of ``answer``, which are run together."""
    *before, last = answer.calls
    for call in before:
        yield {"role": "tool", "tool_call_id": call.id, "content": RUN_WITH_NEXT}
    yield {"role": "tool", "tool_call_id": last.id, "content": content}


def with_cache_marks(sent: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """``sent`` with marks for the provider's cache: on the system message, which many requests share.

    Where there are answers already, the conversation goes on: its last message is marked as well.
    """
    goes_on = any(message["role"] == "assistant" for message in sent)
    last = len(sent) - 1
    return [
        marked(message)
        if message["role"] == "system" or (goes_on and number == last)
        else dict(message)
        for number, message in enumerate(sent)
    ]


def marked(message: Mapping[str, Any]) -> dict[str, Any]:
    """``message`` with a mark behind its text."""
    part = {"type": "text", "text": message["content"], "cache_control": CACHE_MARK}
    return {**message, "content": [part]}
