"""DSPy as the OpenInference instrumentation records it.

DSPy asks models for fields in a text of its own (``[[ ## answer ## ]]``) or as JSON. Its agent has
the next call of a tool among these fields, and its prompt declares the tools. See
``openinference.instrumentation.dspy`` and ``dspy.predict.react``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from openinference.semconv.trace import SpanAttributes

from halo_adapters.dialects.base import Dialect, RawSpan, only_for
from halo_adapters.json_values import JsonObject, parse_json
from halo_adapters.messages.decode import decode_messages
from halo_adapters.messages.python_reprs import python_literal
from halo_engine.fields import as_text
from halo_engine.schema import SpanKind

CALLS = (".__call__", ".acall")
FORWARDS = (".forward", ".aforward")

FIELD_MARK = "[[ ## "
FIELD = re.compile(r"\[\[ ## (\w+) ## \]\]\s*")
THOUGHT, TOOL_NAME, TOOL_ARGUMENTS = "next_thought", "next_tool_name", "next_tool_args"
# The fields that lead to an answer and are none of it.
WORKINGS = frozenset({"trajectory", "reasoning", "completed"})
# How the prompt of the agent declares a tool, and how it names the tools.
DECLARATION = re.compile(
    r"^\s*\(\d+\) (\S+), whose description is <desc>(.*?)</desc>\. It takes arguments (\{.*\})",
    re.MULTILINE,
)


class DSPy(Dialect):
    """The modules, tools and model calls of DSPy."""

    name = "dspy"
    rank = 90

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Every span of OpenInference may be one; its name and what it holds tell."""
        return SpanAttributes.OPENINFERENCE_SPAN_KIND in attributes

    @only_for(SpanKind.LLM, SpanKind.TOOL, SpanKind.CHAIN)
    def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Calls out of texts, answers out of predictions, names of tools out of those of spans."""
        kind, name = fields["kind"], span.name or ""
        if kind is SpanKind.LLM:
            return dspy_call_fields(fields) if is_dspy_call(fields) else {}
        if kind is SpanKind.TOOL and name.endswith(CALLS):
            return {"tool_name": fields.get("tool_name") or name.rpartition(".")[0]}
        if kind is SpanKind.CHAIN and name.endswith(FORWARDS):
            return prediction_texts(fields)
        return {}


def is_dspy_call(fields: Mapping[str, Any]) -> bool:
    """Whether a model call is one of DSPy, by what it was asked for or answered."""
    asked, answered = fields.get("input") or "", fields.get("output") or ""
    return TOOL_NAME in asked or TOOL_NAME in answered or FIELD_MARK in answered


def dspy_call_fields(fields: Mapping[str, Any]) -> JsonObject:
    """The answer of a model as DSPy reads it, and the tools that its prompt declares."""
    answer = decode_messages(fields.get("output_messages") or [])[:1]
    text = answer[0].content if answer else None
    asked_for = fields_in(text) if text and not answer[0].tool_calls else {}
    found: JsonObject = {}
    if message := message_of(asked_for):
        found["output_messages"] = [{"role": "assistant", **message}]
    if "tools" not in fields and (prompt := system_prompt(fields)):
        found["tools"] = tools_in_prompt(prompt) or None
    return found


def fields_in(text: str) -> JsonObject:
    """The fields in the answer of a model; none where it is no answer to DSPy."""
    if FIELD_MARK in text:
        parts = FIELD.split(text)
        return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))
    value = parse_json(text) if f'"{TOOL_NAME}"' in text else None
    return value if isinstance(value, dict) else {}


def message_of(answer: JsonObject) -> JsonObject:
    """Content and tool calls of a message with these fields; nothing where it is best as it is."""
    if TOOL_NAME in answer:
        call = {"name": answer[TOOL_NAME], "arguments": answer.get(TOOL_ARGUMENTS)}
        return {"content": as_text(answer.get(THOUGHT)), "tool_calls": [call]}
    texts = [text for name, text in answer.items() if name not in WORKINGS]
    return {"content": texts[0]} if len(texts) == 1 else {}


def system_prompt(fields: Mapping[str, Any]) -> str | None:
    """The first input message, where that declares the tools of an agent."""
    first = decode_messages((fields.get("input_messages") or [])[:1])
    text = first[0].content if first else None
    return text if text and TOOL_NAME in text else None


@lru_cache(maxsize=64)  # the prompt of an agent is the same in all of its calls
def tools_in_prompt(prompt: str) -> list[JsonObject]:
    """The tools that the prompt of an agent declares."""
    return [
        {"name": name, "description": description.strip(), "parameters": schema_of(arguments)}
        for name, description, arguments in DECLARATION.findall(prompt)
    ]


def schema_of(arguments: str) -> JsonObject | None:
    """The JSON Schema of arguments, which are in Python's notation, each with its own schema."""
    properties = python_literal(arguments)
    return {"type": "object", "properties": properties} if isinstance(properties, dict) else None


def prediction_texts(fields: Mapping[str, Any]) -> JsonObject:
    """Question and answer of a module that recorded its arguments and its prediction."""
    texts = ((side, text_of_fields(fields.get(side))) for side in ("input", "output"))
    return {side: text for side, text in texts if text is not None}


def text_of_fields(recorded: str | None) -> str | None:
    """The only field in what is recorded, else the JSON of those that are no workings.

    None where it holds no fields, and for a call of a tool, which is no answer.
    """
    value = parse_json(recorded) if recorded and recorded.startswith("{") else None
    if isinstance(value, dict) and value.keys() == {"input_args"}:
        value = value["input_args"]
    if not isinstance(value, dict) or TOOL_NAME in value:
        return None
    told = {name: held for name, held in value.items() if name not in WORKINGS}
    return as_text(next(iter(told.values())) if len(told) == 1 else told or value)
