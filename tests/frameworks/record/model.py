"""Turns in the forms of three interfaces: chat completions, responses and messages, also streamed.

Each function gives the body of an answer; where the request asks for a stream, the events of it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from script import Call, Fail, Say

Event = tuple[str | None, dict[str, Any] | str]
Json = dict[str, Any]


def new_id(prefix: str) -> str:
    """An identifier as providers write them."""
    return f"{prefix}_{uuid4().hex[:12]}"


def tokens(request: Json) -> tuple[int, int]:
    """How many tokens a request and its answer have, about."""
    return len(json.dumps(request)) // 4, 12


# Chat completions


def chat_completion(request: Json, turn: Say | Call) -> Json:
    """The answer of ``/chat/completions``."""
    return {
        **_chat_head(request, "chat.completion"),
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "refusal": None, **_chat_message(turn)},
                "finish_reason": turn.finish,
                "logprobs": None,
            }
        ],
        "usage": _chat_usage(request),
    }


def chat_stream(request: Json, turn: Say | Call) -> Iterator[Event]:
    """The same as a stream: the text by words, the arguments in two pieces, then the end."""
    head = _chat_head(request, "chat.completion.chunk")
    yield None, _chunk(head, {"role": "assistant", "content": ""})
    if isinstance(turn, Say):
        for word in turn.text.split(" ") if turn.text else ():
            yield None, _chunk(head, {"content": f"{word} "})
    else:
        yield None, _chunk(head, {"tool_calls": [{"index": 0, **_chat_call(turn, "")}]})
        for piece in _halves(turn.arguments):
            yield (
                None,
                _chunk(head, {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}),
            )
    yield None, _chunk(head, {}, turn.finish)
    if (request.get("stream_options") or {}).get("include_usage"):
        yield None, {**head, "choices": [], "usage": _chat_usage(request)}
    yield None, "[DONE]"


def _chat_head(request: Json, kind: str) -> Json:
    return {
        "id": new_id("chatcmpl"),
        "object": kind,
        "created": int(time.time()),
        "model": request.get("model"),
    }


def _chat_message(turn: Say | Call) -> Json:
    if isinstance(turn, Say):
        return {"content": turn.text}
    return {"content": None, "tool_calls": [_chat_call(turn, turn.arguments)]}


def _chat_call(turn: Call, arguments: str) -> Json:
    function = {"name": turn.tool, "arguments": arguments}
    return {"id": new_id("call"), "type": "function", "function": function}


def _chat_usage(request: Json) -> Json:
    prompt, answer = tokens(request)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
    }


def _chunk(head: Json, delta: Json, finish: str | None = None) -> Json:
    return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def _halves(text: str) -> tuple[str, str]:
    middle = len(text) // 2
    return text[:middle], text[middle:]


# Responses


def response(request: Json, turn: Say | Call) -> Json:
    """The answer of ``/responses``."""
    prompt, answer = tokens(request)
    reason = {"length": "max_output_tokens"}.get(turn.finish, turn.finish)
    cut = isinstance(turn, Say) and turn.finish != "stop"
    return {
        "id": new_id("resp"),
        "object": "response",
        "created_at": int(time.time()),
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": reason} if cut else None,
        "error": None,
        "model": request.get("model"),
        "instructions": request.get("instructions"),
        "output": [_item(turn)],
        "tools": request.get("tools", []),
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "metadata": {},
        "usage": {
            "input_tokens": prompt,
            "output_tokens": answer,
            "total_tokens": prompt + answer,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
    }


def response_stream(request: Json, turn: Say | Call) -> Iterator[Event]:
    """The same as a stream; clients take the whole of it from its last event."""
    whole = response(request, turn)
    item = whole["output"][0]
    started = {**whole, "status": "in_progress", "output": []}
    ended = "response.incomplete" if whole["incomplete_details"] else "response.completed"
    events: list[tuple[str, Json]] = [
        ("response.created", {"response": started}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        (ended, {"response": whole}),
    ]
    for number, (kind, content) in enumerate(events):
        yield kind, {"type": kind, "sequence_number": number, **content}


def _item(turn: Say | Call) -> Json:
    if isinstance(turn, Call):
        called = {"name": turn.tool, "arguments": turn.arguments, "call_id": new_id("call")}
        return {"type": "function_call", "id": new_id("fc"), "status": "completed", **called}
    text = {"type": "output_text", "text": turn.text, "annotations": []}
    status = "completed" if turn.finish == "stop" else "incomplete"
    return {
        "type": "message",
        "id": new_id("msg"),
        "role": "assistant",
        "status": status,
        "content": [text],
    }


# Messages

STOP_REASONS = {
    "tool_calls": "tool_use",
    "stop": "end_turn",
    "length": "max_tokens",
    "content_filter": "refusal",
}


def message(request: Json, turn: Say | Call) -> Json:
    """The answer of ``/messages``."""
    prompt, answer = tokens(request)
    return {
        "id": new_id("msg"),
        "type": "message",
        "role": "assistant",
        "model": request.get("model"),
        "content": _blocks(turn),
        "stop_reason": STOP_REASONS[turn.finish],
        "stop_sequence": None,
        "usage": {"input_tokens": prompt, "output_tokens": answer},
    }


def message_stream(request: Json, turn: Say | Call) -> Iterator[Event]:
    """The same as a stream; arguments that are not JSON can be told only here."""
    whole = message(request, turn)
    started = {**whole, "content": [], "stop_reason": None}
    yield _typed("message_start", message=started)
    for index, block in enumerate(whole["content"]):
        empty = {**block, "input": {}} if isinstance(turn, Call) else {**block, "text": ""}
        delta = (
            {"type": "input_json_delta", "partial_json": turn.arguments}
            if isinstance(turn, Call)
            else {"type": "text_delta", "text": turn.text}
        )
        yield _typed("content_block_start", index=index, content_block=empty)
        yield _typed("content_block_delta", index=index, delta=delta)
        yield _typed("content_block_stop", index=index)
    ending = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield _typed("message_delta", delta=ending, usage=whole["usage"])
    yield _typed("message_stop")


def _blocks(turn: Say | Call) -> list[Json]:
    if isinstance(turn, Say):
        return [{"type": "text", "text": turn.text}] if turn.text else []
    try:
        given = json.loads(turn.arguments)
    except ValueError:
        given = {}
    return [{"type": "tool_use", "id": new_id("toolu"), "name": turn.tool, "input": given}]


def _typed(kind: str, **content: Any) -> Event:
    return kind, {"type": kind, **content}


# Errors

ERROR_TYPES = {429: "rate_limit_error", 400: "invalid_request_error"}


def error(turn: Fail) -> Json:
    """The body of an error, as clients of all three read it."""
    kind = ERROR_TYPES.get(turn.status, "server_error")
    told = {"message": turn.message, "type": kind, "code": turn.code, "param": None}
    return {"type": "error", "error": told}
