"""Smolagents as the OpenInference instrumentation records it.

Its agents answer by calling the tool ``final_answer``, and keep calls and results as texts in roles
of their own. See ``openinference.instrumentation.smolagents`` and ``smolagents.memory``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from openinference.semconv.trace import SpanAttributes

from halo_adapters.dialects.base import Dialect, RawSpan, only_for
from halo_adapters.json_values import JsonObject, name_of, parse_json
from halo_adapters.messages.decode import decode_messages
from halo_adapters.messages.python_reprs import python_literal
from halo_engine.fields import as_text
from halo_engine.schema import SpanKind

MAX_STEPS, TOOL_NAMES = "smolagents.max_steps", "smolagents.tools_names"
FINAL_ANSWER, FINAL_ANSWER_CLASS = "final_answer", "FinalAnswerTool"
# How arguments that were cut can go on, so that what there is of the answer can be read.
ENDS_OF_ARGUMENTS = ("", '"}', "}")
# Finish reasons of a model that calls a tool.
CALLS_TOOLS = ("tool_calls", "tool_use")
# The response of the provider, recorded in Python's notation.
FINISH_REASON = re.compile(r"\bfinish_reason='(\w+)'")

CALL_ROLE, RESULT_ROLE = "tool-call", "tool-response"
CALLS, OBSERVATION = "Calling tools:\n", "Observation:\n"
ERROR = re.compile(r"(?:Call id: (\S+)\n)?Error:\n")


class Smolagents(Dialect):
    """The runs and model calls of the agents of smolagents."""

    name = "smolagents"
    rank = 90

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Every span of OpenInference may be one; what it holds tells."""
        return SpanAttributes.OPENINFERENCE_SPAN_KIND in attributes

    @only_for(SpanKind.LLM, SpanKind.AGENT)
    def derived_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The finish reason in a recorded response, and the names of the tools of an agent."""
        output = fields.get("output") or ""
        if fields["kind"] is SpanKind.LLM and "finish_reason='" in output:
            found = FINISH_REASON.search(output)
            return {"finish_reason": found[1] if found else None}
        names = span.attributes.get(TOOL_NAMES)
        return {"tools": [{"name": name} for name in names]} if isinstance(names, list) else {}

    @only_for(SpanKind.LLM, SpanKind.TOOL, SpanKind.AGENT)
    def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The final answer as an answer, calls and results as those of tools, the task as input."""
        kind = fields["kind"]
        if kind is SpanKind.LLM:
            return call_with_answer(fields) | conversation_with_tools(fields)
        if kind is SpanKind.TOOL and span.name == FINAL_ANSWER_CLASS:
            return {"kind": SpanKind.CHAIN, "tool_name": None, "tools": None}
        if kind is SpanKind.AGENT and MAX_STEPS in span.attributes:
            return {"input": task_in(fields.get("input"))}
        return {}


def task_in(given: str | None) -> str | None:
    """The task in the arguments of a run; they themselves where there is none.

    The attribute ``smolagents.task`` has the task of the run before.
    """
    arguments = parse_json(given) if given else None
    task = as_text(arguments.get("task")) if isinstance(arguments, dict) else None
    return given if task is None else task


def call_with_answer(fields: Mapping[str, Any]) -> JsonObject:
    """What a model says that calls ``final_answer``: the answer as text, and that it stopped."""
    if FINAL_ANSWER not in (fields.get("output") or ""):
        return {}
    said = decode_messages(fields.get("output_messages") or [])
    calls = said[0].tool_calls if said else ()
    if [call.name for call in calls] != [FINAL_ANSWER]:
        return {}
    answer = answer_in_arguments(calls[0].arguments or "")
    reason = fields.get("finish_reason")
    return {
        "output_messages": [{"role": "assistant", "content": answer}],
        "finish_reason": "stop" if reason in CALLS_TOOLS else reason,
    }


def answer_in_arguments(arguments: str) -> str:
    """The answer in the arguments of the call that gives it, also where these were cut."""
    values = (parse_json(arguments + end) for end in ENDS_OF_ARGUMENTS)
    call = next((value for value in values if isinstance(value, dict)), {})
    answer = as_text(call.get("answer"))
    return arguments if answer is None else answer


def conversation_with_tools(fields: Mapping[str, Any]) -> JsonObject:
    """The input messages with calls of tools and their results as such, where there are any."""
    recorded = fields.get("input_messages") or []
    if not any(role_of_item(item) in (CALL_ROLE, RESULT_ROLE) for item in recorded):
        return {}
    messages: list[JsonObject] = []
    last_call: str | None = None
    for item, message in zip(recorded, decode_messages(recorded), strict=False):
        role, text = role_of_item(item), message.content or ""
        if role == CALL_ROLE:
            calls = calls_in(text)
            last_call = name_of(calls[0].get("id")) if len(calls) == 1 else None
            messages.append({"role": "assistant", "tool_calls": calls} if calls else item)
        elif role == RESULT_ROLE:
            messages.append(result_in_text(text, last_call))
        else:
            messages.append(item)
    return {"input_messages": messages}


def role_of_item(item: Any) -> Any:
    """The role of a message as it was recorded."""
    node = item.get("message", item) if isinstance(item, dict) else None
    return node.get("role") if isinstance(node, dict) else None


def calls_in(text: str) -> list[JsonObject]:
    """The calls that a message lists in Python's notation."""
    listed = python_literal(text.removeprefix(CALLS)) if text.startswith(CALLS) else None
    return [call for call in listed if isinstance(call, dict)] if isinstance(listed, list) else []


def result_in_text(text: str, call_id: str | None) -> JsonObject:
    """The result of a tool in a message, of the call ``call_id`` where it names none itself."""
    if error := ERROR.match(text):
        found = {"content": text[error.end() :], "is_error": True}
        return {"role": "tool", "tool_call_id": error[1] or call_id, **found}
    return {"role": "tool", "tool_call_id": call_id, "content": text.removeprefix(OBSERVATION)}
