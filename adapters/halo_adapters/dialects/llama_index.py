"""LlamaIndex as the OpenInference instrumentation records it.

Every method of a model is a model call to it, and the events of a workflow are recorded in Python's
notation, cut after 200 characters. See ``openinference.instrumentation.llama_index._handler``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from openinference.semconv.trace import SpanAttributes

from halo_adapters.attributes import items_of
from halo_adapters.dialects.base import Dialect, RawSpan, only_for
from halo_adapters.json_values import JsonObject, name_of, parse_json
from halo_adapters.messages.decode import value_at
from halo_adapters.messages.python_reprs import object_of_repr, python_literal
from halo_adapters.messages.run_texts import RUN_KINDS
from halo_engine.fields import as_text
from halo_engine.schema import SpanKind

# In what LlamaIndex says of each of its models, recorded as the parameters of the call.
MODEL_METADATA = ('"context_window"', '"is_chat_model"')
CALL_ATTRIBUTES = (SpanAttributes.LLM_INPUT_MESSAGES, SpanAttributes.LLM_PROMPTS)
# The methods of a model that make a call: each also asynchronous, and streaming.
CALL_METHODS = re.compile(r"\.a?(?:stream_)?(?:chat|complete)$")
# What a step that is no model call has not.
NO_CALL = {"kind": SpanKind.CHAIN, "input_messages": None, "output_messages": None, "tools": None}

CHAT_MESSAGE = "ChatMessage("
ANSWERS = "assistant: "
ANSWER_EVENTS = ("StopEvent(", "AgentOutput(")
LITERAL = r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
ANSWER = re.compile(rf"^StopEvent\(result={LITERAL}|\bTextBlock\(block_type='text', text={LITERAL}")
NO_BLOCKS = "blocks=[]"
EMPTY_EVENT = re.compile(r"\w+\(\)")


class LlamaIndex(Dialect):
    """The model calls and workflows of LlamaIndex."""

    name = "llama_index"
    rank = 90

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Every span of OpenInference may be one; what it holds tells."""
        return SpanAttributes.OPENINFERENCE_SPAN_KIND in attributes

    @only_for(SpanKind.LLM, *RUN_KINDS)
    def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is no model call as a step; question and answer of a workflow out of its events."""
        if fields["kind"] is SpanKind.LLM:
            return NO_CALL if is_around_a_call(span) else call_in_notation(fields)
        return run_texts_in_events(fields)


def is_around_a_call(span: RawSpan) -> bool:
    """Whether a method of a model only prepares a call, or makes it by another one.

    The method that makes the call has its messages. A platform that keeps what was said apart from
    the attributes drops these: there its name tells.
    """
    attributes = span.attributes
    if not attributes.keys().isdisjoint(CALL_ATTRIBUTES):
        return False
    metadata = as_text(attributes.get(SpanAttributes.LLM_INVOCATION_PARAMETERS)) or ""
    if not any(mark in metadata for mark in MODEL_METADATA):
        return False
    is_whole = SpanAttributes.INPUT_VALUE in attributes or SpanAttributes.OUTPUT_VALUE in attributes
    return is_whole or CALL_METHODS.search(span.name or "") is None


def call_in_notation(fields: Mapping[str, Any]) -> JsonObject:
    """The messages of a call whose request has them in Python's notation.

    Its answer is then a text, the role before it; the tools that it calls are not in it.
    """
    given = fields.get("input_messages") or ()
    if not given or not all(map(is_in_notation, given)):
        return {}
    texts = map(message_content, given)
    found: JsonObject = {"input_messages": [message_in_notation(text) for text in texts]}
    answer = fields.get("output") or ""
    if answer.startswith(ANSWERS):
        text = answer.removeprefix(ANSWERS)
        found |= {"output": text, "output_messages": [{"role": "assistant", "content": text}]}
    return found


def is_in_notation(message: Any) -> bool:
    """Whether the content of a message object is a chat message in Python's notation."""
    return message_content(message).startswith(CHAT_MESSAGE)


def message_content(message: Any) -> str:
    """The content of a message object, as text."""
    return str(value_at(message, ("content",)))


def message_in_notation(text: str) -> JsonObject:
    """The message object of a chat message in Python's notation; ``text`` where it is cut."""
    message = object_of_repr(text)
    if not isinstance(message, dict):
        return {"role": "user", "content": text}
    blocks = (value_at(block, ("text",)) for block in items_of(message.get("blocks")) or ())
    texts = [text for text in blocks if isinstance(text, str)]
    return {
        "role": message.get("role"),
        "content": "".join(texts) if texts else None,
        "tool_calls": value_at(message, ("additional_kwargs", "tool_calls")),
        "tool_call_id": value_at(message, ("additional_kwargs", "tool_call_id")),
    }


def run_texts_in_events(fields: Mapping[str, Any]) -> JsonObject:
    """Input and output of a run that recorded its events as these, each where it is one."""
    given, output = fields.get("input"), fields.get("output")
    found: JsonObject = {}
    if given and '"init_state"' in given:
        found["input"] = start_event(given)
    if output and output.startswith(ANSWER_EVENTS):
        found["output"] = answer_in_event(output)
    return found


def start_event(given: str) -> str | None:
    """The event that a workflow began with; None where it holds nothing, as that of an agent."""
    call = parse_json(given)
    event = name_of(call.get("start_event")) if isinstance(call, dict) else None
    return None if event is None or EMPTY_EVENT.fullmatch(event) else event


def answer_in_event(output: str) -> str | None:
    """The text of the answer in the event that ended a run; None where it was cut."""
    if found := ANSWER.search(output):
        return as_text(python_literal(found[1] or found[2]))
    return "" if NO_BLOCKS in output else None
