"""What six providers answer, as their public references state it.

Built from the references of OpenAI (chat completions), Anthropic (messages), Gemini
(generateContent), Ollama (/api/chat), vLLM (its OpenAI-compatible server) and Amazon Bedrock
(Converse, and the event stream encoding of AWS). None of it was recorded from the providers.

Every usage counts 160 tokens of prompt, 100 of them from the cache where the provider says so, and 45
of the answer, 40 of them hidden reasoning where it says so.
"""

from __future__ import annotations

import binascii
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loopback import Answer

CODE = "print(6 * 7)"
ROWS = '{"rows": [{"trace": "T1", "ok": true}]}'
HIDDEN = "hidden thoughts"
SIGNATURE = "c2lnbmF0dXJl"
WAIT = {"retry-after": "7"}
PROMPT, CACHED, COMPLETION = 160, 100, 45


@dataclass(frozen=True)
class Provider:
    """A model of a provider for litellm, the variable with its address, and its answers by case.

    ``cached`` are the tokens that it says it read from its cache. ``returned`` is what it wants back
    with the results of a call, beside the call.
    """

    model: str
    variable: str
    answers: Mapping[str, Answer]
    path: str = ""
    cached: int = CACHED
    returned: str | None = None


def events(*sent: Mapping[str, Any], named: bool = False, done: bool = False) -> Answer:
    """Server-sent events; ``named`` ones have their type in a line of its own."""
    lines = [
        (f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event)}\n\n"
        for event in sent
    ]
    content = "".join([*lines, "data: [DONE]\n\n" if done else ""])
    return Answer(body=content.encode(), headers={"content-type": "text/event-stream"})


def broken(answer: Answer) -> Answer:
    """``answer``, whose connection is closed in the middle of it."""
    return Answer(answer.status, answer.body, answer.headers, cut=True)


# -- OpenAI and vLLM -----------------------------------------------------------------------------

OPENAI_USAGE = {
    "prompt_tokens": PROMPT,
    "completion_tokens": COMPLETION,
    "total_tokens": PROMPT + COMPLETION,
    "prompt_tokens_details": {"cached_tokens": CACHED, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 40, "audio_tokens": 0},
}
OPENAI_CALL = {"id": "call_1", "type": "function"}
PYTHON = {"name": "python", "arguments": json.dumps({"code": CODE})}


def openai(content: str | None, reason: str = "stop", **message: Any) -> Answer:
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, **message},
                "finish_reason": reason,
                "logprobs": None,
            }
        ],
        "usage": OPENAI_USAGE,
    }
    return Answer(body=body)


def openai_part(delta: Mapping[str, Any] | None, reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice] if delta is not None else [],
        "usage": OPENAI_USAGE if delta is None else None,
    }


def openai_stream(*deltas: Mapping[str, Any], reason: str = "stop") -> Answer:
    parts = [openai_part({"role": "assistant", "content": ""}), *map(openai_part, deltas)]
    return events(*parts, openai_part({}, reason), openai_part(None), done=True)


def openai_answers(**reasoning: Any) -> dict[str, Answer]:
    call = {**OPENAI_CALL, "function": PYTHON}
    begun = {"index": 0, **OPENAI_CALL, "function": {"name": "python", "arguments": ""}}
    half, other = PYTHON["arguments"][:9], PYTHON["arguments"][9:]
    error = {"message": "Slow down.", "type": "requests", "code": "rate_limit_exceeded"}
    return {
        "text": openai("fine"),
        "rows": openai(ROWS),
        "call": openai(None, "tool_calls", tool_calls=[call], **reasoning),
        "reasoning": openai("fine", **reasoning),
        "cut": openai("fi", "length"),
        "withheld": openai("", "content_filter"),
        "busy": Answer(429, {"error": error}, WAIT),
        "failing": Answer(500, {"error": {"message": "It failed.", "type": "server_error"}}),
        "refused": Answer(400, {"error": {"message": "Invalid parameter", "type": "invalid"}}),
        "stream": openai_stream({"content": "fi", **reasoning}, {"content": "ne"}),
        "streamed call": openai_stream(
            {"tool_calls": [begun]},
            {"tool_calls": [{"index": 0, "function": {"arguments": half}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": other}}]},
            reason="tool_calls",
        ),
        "stream without end": events(openai_part({"role": "assistant", "content": "fi"})),
    }


OPENAI = Provider("openai/gpt-5", "OPENAI_BASE_URL", openai_answers(), path="/v1")
VLLM = Provider(
    "hosted_vllm/qwen3",
    "HOSTED_VLLM_API_BASE",
    openai_answers(reasoning_content=HIDDEN),
    path="/v1",
    returned=HIDDEN,
)

# -- OpenAI's responses, which litellm takes for calls of models that reason with an effort --------

RESPONSES_USAGE = {
    "input_tokens": PROMPT,
    "input_tokens_details": {"cached_tokens": CACHED},
    "output_tokens": COMPLETION,
    "output_tokens_details": {"reasoning_tokens": 40},
    "total_tokens": PROMPT + COMPLETION,
}
REASONING_ITEM = {"type": "reasoning", "id": "rs_1", "summary": []}
MESSAGE_ITEM = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "fine", "annotations": []}],
}


def response(*output: Mapping[str, Any], **changes: Any) -> Answer:
    body = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "gpt-5.5",
        "output": output,
        "usage": RESPONSES_USAGE,
        "error": None,
        "incomplete_details": None,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        **changes,
    }
    return Answer(body=body)


OPENAI_RESPONSES = Provider(
    "openai/gpt-5.5",
    "OPENAI_BASE_URL",
    {
        "call": response(
            REASONING_ITEM, {"type": "function_call", "id": "fc_1", "call_id": "call_1", **PYTHON}
        ),
        "text": response(REASONING_ITEM, MESSAGE_ITEM),
        "cut": response(
            REASONING_ITEM,
            status="incomplete",
            incomplete_details={"reason": "max_output_tokens"},
        ),
    },
    path="/v1",
)

# -- Anthropic -----------------------------------------------------------------------------------

ANTHROPIC_USAGE = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 50,
    "cache_read_input_tokens": CACHED,
    "output_tokens": COMPLETION,
}
THINKING = {"type": "thinking", "thinking": HIDDEN, "signature": SIGNATURE}
TOOL_USE = {"type": "tool_use", "id": "toolu_1", "name": "python", "input": {"code": CODE}}


def anthropic(*content: Mapping[str, Any], reason: str = "end_turn") -> Answer:
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": ANTHROPIC_USAGE,
    }
    return Answer(body=body)


def anthropic_text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def anthropic_error(status: int, kind: str, **headers: str) -> Answer:
    error = {"type": kind, "message": "It is not possible."}
    return Answer(status, {"type": "error", "error": error}, headers)


def anthropic_block(number: int, block: Mapping[str, Any], *deltas: Mapping[str, Any]) -> Any:
    yield {"type": "content_block_start", "index": number, "content_block": block}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": number, "delta": delta}
    yield {"type": "content_block_stop", "index": number}


def anthropic_stream(*blocks: Any, reason: str | None = "end_turn") -> Answer:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "c", "content": []}
    usage = {**ANTHROPIC_USAGE, "output_tokens": 1}
    sent = [{"type": "message_start", "message": {**message, "usage": usage}}]
    sent += [event for block in blocks for event in block]
    if reason:
        counted = {"output_tokens": COMPLETION}
        sent.append({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": counted})
        sent.append({"type": "message_stop"})
    return events(*sent, named=True)


ANTHROPIC = Provider(
    "anthropic/claude-sonnet-4-5",
    "ANTHROPIC_API_BASE",
    {
        "text": anthropic(anthropic_text("fine")),
        "rows": anthropic(anthropic_text(ROWS)),
        "call": anthropic(THINKING, anthropic_text("I look."), TOOL_USE, reason="tool_use"),
        "reasoning": anthropic(THINKING, anthropic_text("fine")),
        "cut": anthropic(anthropic_text("fi"), reason="max_tokens"),
        "withheld": anthropic(reason="refusal"),
        "busy": anthropic_error(429, "rate_limit_error", **WAIT),
        "failing": anthropic_error(529, "overloaded_error"),
        "refused": anthropic_error(400, "invalid_request_error"),
        "stream": anthropic_stream(
            anthropic_block(
                0,
                {"type": "thinking", "thinking": ""},
                {"type": "thinking_delta", "thinking": HIDDEN},
                {"type": "signature_delta", "signature": SIGNATURE},
            ),
            anthropic_block(
                1,
                anthropic_text(""),
                {"type": "text_delta", "text": "fi"},
                {"type": "text_delta", "text": "ne"},
            ),
        ),
        "streamed call": anthropic_stream(
            anthropic_block(
                0,
                {**TOOL_USE, "input": {}},
                {"type": "input_json_delta", "partial_json": '{"code": '},
                {"type": "input_json_delta", "partial_json": f'"{CODE}"}}'},
            ),
            reason="tool_use",
        ),
        "stream without end": anthropic_stream(
            anthropic_block(0, anthropic_text(""), {"type": "text_delta", "text": "fi"}),
            reason=None,
        ),
    },
    returned=SIGNATURE,
)

# -- Gemini --------------------------------------------------------------------------------------

GEMINI_USAGE = {
    "promptTokenCount": PROMPT,
    "cachedContentTokenCount": CACHED,
    "candidatesTokenCount": 5,
    "thoughtsTokenCount": 40,
    "totalTokenCount": PROMPT + COMPLETION,
}
FUNCTION_CALL = {"name": "python", "args": {"code": CODE}}


def gemini(*parts: Mapping[str, Any], reason: str = "STOP") -> Answer:
    content = {"role": "model", "parts": parts}
    body = {
        "candidates": [{"content": content, "finishReason": reason, "index": 0}],
        "usageMetadata": GEMINI_USAGE,
        "modelVersion": "gemini-2.5-pro",
        "responseId": "r",
    }
    return Answer(body=body)


def gemini_error(code: int, status: str, **headers: str) -> Answer:
    error = {"code": code, "message": "It is not possible.", "status": status}
    return Answer(code, {"error": error}, headers)


GEMINI = Provider(
    "gemini/gemini-2.5-pro",
    "GEMINI_API_BASE",
    {
        "text": gemini({"text": "fine"}),
        "rows": gemini({"text": ROWS}),
        "call": gemini({"functionCall": FUNCTION_CALL, "thoughtSignature": SIGNATURE}),
        "reasoning": gemini({"text": HIDDEN, "thought": True}, {"text": "fine"}),
        "cut": gemini({"text": "fi"}, reason="MAX_TOKENS"),
        "withheld": Answer(
            body={
                "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
                "usageMetadata": {"promptTokenCount": PROMPT, "totalTokenCount": PROMPT},
            }
        ),
        "busy": gemini_error(429, "RESOURCE_EXHAUSTED", **WAIT),
        "failing": gemini_error(503, "UNAVAILABLE"),
        "refused": gemini_error(400, "INVALID_ARGUMENT"),
    },
    returned=SIGNATURE,
)

# -- Ollama --------------------------------------------------------------------------------------


def ollama_part(message: Mapping[str, Any], reason: str | None = "stop") -> dict[str, Any]:
    part = {
        "model": "qwen3",
        "created_at": "2026-01-01T00:00:00Z",
        "message": {"role": "assistant", **message},
        "done": reason is not None,
    }
    counts = {"prompt_eval_count": PROMPT, "eval_count": COMPLETION, "total_duration": 1}
    return {**part, "done_reason": reason, **counts} if reason else part


def ollama(message: Mapping[str, Any], reason: str = "stop") -> Answer:
    return Answer(body=ollama_part(message, reason))


def ollama_stream(*messages: Mapping[str, Any], ends: bool = True) -> Answer:
    parts = [ollama_part(message, None) for message in messages]
    parts += [ollama_part({"content": ""})] if ends else []
    content = "".join(json.dumps(part) + "\n" for part in parts)
    return Answer(body=content.encode(), headers={"content-type": "application/x-ndjson"})


OLLAMA_CALL = {"content": "", "tool_calls": [{"function": {**PYTHON, "arguments": {"code": CODE}}}]}
OLLAMA_SHOW = Answer(
    body={"capabilities": ["completion", "tools"], "model_info": {"qwen3.context_length": 40_960}}
)
OLLAMA = Provider(
    "ollama_chat/qwen3",
    "OLLAMA_API_BASE",
    {
        "text": ollama({"content": "fine"}),
        "rows": ollama({"content": ROWS}),
        "call": ollama(OLLAMA_CALL),
        "reasoning": ollama({"content": "fine", "thinking": HIDDEN}),
        "cut": ollama({"content": "fi"}, "length"),
        "busy": Answer(429, {"error": "too many requests"}, WAIT),
        "failing": Answer(503, {"error": "server busy, please try again."}),
        "refused": Answer(400, {"error": "qwen3 does not support tools"}),
        "stream": ollama_stream({"content": "", "thinking": HIDDEN}, {"content": "fine"}),
        "streamed call": ollama_stream(OLLAMA_CALL),
        "stream without end": ollama_stream({"content": "fi"}, ends=False),
    },
    cached=0,
)

# -- Bedrock -------------------------------------------------------------------------------------

BEDROCK_USAGE = {
    "inputTokens": 10,
    "outputTokens": COMPLETION,
    "totalTokens": PROMPT + COMPLETION,
    "cacheReadInputTokens": CACHED,
    "cacheWriteInputTokens": 50,
}
TOOL_USE_ID = {"toolUseId": "tooluse_1", "name": "python"}


def bedrock(*content: Mapping[str, Any], reason: str = "end_turn") -> Answer:
    body = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": reason,
        "usage": BEDROCK_USAGE,
        "metrics": {"latencyMs": 10},
    }
    return Answer(body=body)


def bedrock_error(status: int, kind: str, **headers: str) -> Answer:
    return Answer(status, {"message": "It is not possible."}, {"x-amzn-ErrorType": kind, **headers})


def event_header(name: str, value: str) -> bytes:
    """A header of the event stream encoding: its name, the type of a string, and the string."""
    text = value.encode()
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(text)) + text


def event_message(kind: str, payload: Mapping[str, Any]) -> bytes:
    """A message of the event stream encoding: prelude, headers, payload, with their checksums."""
    headers = b"".join(
        (
            event_header(":event-type", kind),
            event_header(":content-type", "application/json"),
            event_header(":message-type", "event"),
        )
    )
    content = json.dumps(payload).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(content), len(headers))
    prelude += struct.pack(">I", binascii.crc32(prelude))
    message = prelude + headers + content
    return message + struct.pack(">I", binascii.crc32(message))


def bedrock_stream(*sent: tuple[str, Mapping[str, Any]], reason: str | None = "end_turn") -> Answer:
    metadata = {"usage": BEDROCK_USAGE, "metrics": {"latencyMs": 10}}
    ending = [("messageStop", {"stopReason": reason}), ("metadata", metadata)]
    whole = [("messageStart", {"role": "assistant"}), *sent, *(ending if reason else [])]
    content = b"".join(event_message(kind, payload) for kind, payload in whole)
    return Answer(body=content, headers={"content-type": "application/vnd.amazon.eventstream"})


def bedrock_delta(number: int, delta: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    return "contentBlockDelta", {"contentBlockIndex": number, "delta": delta}


REASONING_TEXT = {"reasoningContent": {"reasoningText": {"text": HIDDEN, "signature": SIGNATURE}}}
BEDROCK = Provider(
    "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "AWS_BEDROCK_RUNTIME_ENDPOINT",
    {
        "text": bedrock({"text": "fine"}),
        "rows": bedrock({"text": ROWS}),
        "call": bedrock(
            REASONING_TEXT,
            {"text": "I look."},
            {"toolUse": {**TOOL_USE_ID, "input": {"code": CODE}}},
            reason="tool_use",
        ),
        "reasoning": bedrock(REASONING_TEXT, {"text": "fine"}),
        "cut": bedrock({"text": "fi"}, reason="max_tokens"),
        "withheld": bedrock({"text": "no"}, reason="guardrail_intervened"),
        "busy": bedrock_error(429, "ThrottlingException", **WAIT),
        "failing": bedrock_error(503, "ServiceUnavailableException"),
        "refused": bedrock_error(400, "ValidationException"),
        "stream": bedrock_stream(
            bedrock_delta(0, {"reasoningContent": {"text": HIDDEN}}),
            bedrock_delta(0, {"reasoningContent": {"signature": SIGNATURE}}),
            bedrock_delta(1, {"text": "fi"}),
            bedrock_delta(1, {"text": "ne"}),
        ),
        "streamed call": bedrock_stream(
            ("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": TOOL_USE_ID}}),
            bedrock_delta(0, {"toolUse": {"input": '{"code": '}}),
            bedrock_delta(0, {"toolUse": {"input": f'"{CODE}"}}'}}),
            reason="tool_use",
        ),
        "stream without end": bedrock_stream(bedrock_delta(0, {"text": "fi"}), reason=None),
    },
    returned=SIGNATURE,
)

PROVIDERS = {
    "OpenAI": OPENAI,
    "Anthropic": ANTHROPIC,
    "Gemini": GEMINI,
    "Ollama": OLLAMA,
    "vLLM": VLLM,
    "Bedrock": BEDROCK,
}
KEYS = {
    **dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"), "made-up"),
    **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "made-up"),
    "AWS_REGION_NAME": "us-east-1",
}
