"""What was asked of a run and what it answered, as texts, from its messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from halo_adapters.json_values import JsonObject, parse_json
from halo_adapters.messages.decode import decode_messages, value_at
from halo_adapters.messages.payloads import message_objects
from halo_engine.schema import Message, SpanKind

# The kinds of spans whose messages say what was asked and answered, where nothing else does.
RUN_KINDS = (SpanKind.AGENT, SpanKind.CHAIN)
# The finish reasons of a turn that calls tools.
TOOL_CALL_REASONS = ("tool_calls", "tool-calls", "tool_call", "tool_use", "function_call")
# Where the state of a run has its messages: in itself, or in an update that LangGraph makes of it.
MESSAGES_IN_STATE: tuple[tuple[str | int, ...], ...] = (
    ("messages",),
    ("update", "messages"),
    (0, "update", "messages"),
)


def text_asked(messages: Sequence[Message]) -> str | None:
    """The text of the last message of the user; None where there is none."""
    texts = (m.content for m in reversed(messages) if m.role == "user" and m.content is not None)
    return next(texts, None)


def text_answered(messages: Sequence[Message], finish_reason: str | None = None) -> str | None:
    """The text of the last message, where that is an answer.

    It is none where it calls a tool, or is the result of one: then the run ended without one. Where
    the run ended for another reason, calls beside the text are those of earlier turns, which the
    Vercel AI SDK puts into one message.
    """
    last = messages[-1] if messages else None
    if last is None or last.role in ("tool", "user", "system"):
        return None
    ended_otherwise = finish_reason is not None and finish_reason not in TOOL_CALL_REASONS
    return last.content if ended_otherwise or not last.tool_calls else None


def texts_in_states(given: str | None, output: str | None) -> dict[str, Any]:
    """Input and output of a run that recorded its state as these, each where it is one.

    What the run said last is also the output message, since it may have been a tool call.
    """
    found: dict[str, Any] = {}
    if asked := state_messages(given, "user"):
        found["input"] = text_asked(decode_messages(asked)) or given
    if said := state_messages(output, "assistant"):
        found["output_messages"] = said[-1:]
        found["output"] = text_answered(decode_messages(said[-1:]))
    return found


def state_messages(text: str | None, role: str) -> list[JsonObject]:
    """The message objects in ``text`` where that is the JSON of a state; none otherwise."""
    if not text or text[0] not in "{[" or '"messages"' not in text:
        return []
    state = parse_json(text)
    lists = (value_at(state, path) for path in MESSAGES_IN_STATE)
    found = next((messages for messages in lists if isinstance(messages, list)), [])
    # texts are what a framework makes of objects that it cannot serialise
    if any(isinstance(message, str) for message in found):
        return []
    return message_objects(found, role)
