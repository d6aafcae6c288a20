"""LlamaIndex as the OpenInference instrumentation records it.

Every method of a model is a model call to it, and the events of a workflow are recorded in Python's
notation, cut after 200 characters. See ``openinference.instrumentation.llama_index._handler``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from openinference.semconv.trace import SpanAttributes

from halo_adapters.dialects.base import Dialect, RawSpan
from halo_adapters.json_values import JsonObject, name_of, parse_json
from halo_adapters.messages.python_reprs import python_literal
from halo_adapters.messages.run_texts import RUN_KINDS
from halo_engine.fields import as_text
from halo_engine.schema import SpanKind

# In what LlamaIndex says of each of its models, recorded as the parameters of the call.
MODEL_METADATA = ('"context_window"', '"is_chat_model"')
CALL_ATTRIBUTES = (SpanAttributes.LLM_INPUT_MESSAGES, SpanAttributes.LLM_PROMPTS)
# What a step that is no model call has not.
NO_CALL = {"kind": SpanKind.CHAIN, "input_messages": None, "output_messages": None, "tools": None}

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

    def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is no model call as a step; question and answer of a workflow out of its events."""
        kind = fields.get("kind")
        if kind is SpanKind.LLM and is_around_a_call(span.attributes):
            return NO_CALL
        return run_texts_in_events(fields) if kind in RUN_KINDS else {}


def is_around_a_call(attributes: Mapping[str, Any]) -> bool:
    """Whether a method of a model only prepares a call, or makes it by another one.

    The method that makes the call has its messages.
    """
    if any(name in attributes for name in CALL_ATTRIBUTES):
        return False
    if (
        SpanAttributes.INPUT_VALUE not in attributes
        and SpanAttributes.OUTPUT_VALUE not in attributes
    ):
        return False  # a platform keeps what was said apart from the attributes
    metadata = as_text(attributes.get(SpanAttributes.LLM_INVOCATION_PARAMETERS)) or ""
    return any(mark in metadata for mark in MODEL_METADATA)


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
