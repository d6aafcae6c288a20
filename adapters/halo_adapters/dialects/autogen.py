"""The spans of OpenInference's instrumentation of AutoGen.

AutoGen makes spans itself, without contents, around and inside of these. What the instrumentation
adds to the conventions: results of tools beside a message in place of in it, and the messages that
an agent gets in Python's notation.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from openinference.semconv.trace import SpanAttributes

from halo_adapters.attributes import items_of, parsed_object
from halo_adapters.dialects.base import Dialect, RawSpan, only_for
from halo_adapters.json_values import JsonObject
from halo_adapters.messages.run_texts import RUN_KINDS
from halo_engine.schema import SpanKind

# How a message of AutoGen says from whom it is and what; the text is a literal of Python.
SOURCE = re.compile(r"\bsource='([^']*)'")
CONTENT = re.compile(r"""\bcontent=('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")
RESULTS = "function"


class AutoGen(Dialect):
    """Results of tools in model calls, and what an agent was asked."""

    name = "autogen"
    rank = 95

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Whether there are messages or an input; only what is in them tells AutoGen's."""
        names = (SpanAttributes.LLM_INPUT_MESSAGES, SpanAttributes.INPUT_VALUE)
        return not attributes.isdisjoint(names)

    @only_for(SpanKind.LLM, *RUN_KINDS)
    def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Messages with the results that stand beside them; the text of what was asked."""
        messages = fields.get("input_messages", ())
        if any(map(has_results, messages)):
            return {"input_messages": [each for item in messages for each in with_results(item)]}
        given = fields.get("input") or ""
        if fields["kind"] in RUN_KINDS and "source='" in given:
            return {"input": text_of_request(parsed_object(given)) or given}
        return {}


def has_results(item: Any) -> bool:
    """Whether results of tools stand beside the message in ``item``."""
    return isinstance(item, dict) and "message" in item and RESULTS in item


def with_results(item: Any) -> list[Any]:
    """``item``, or in its place the results of tools that stand beside it."""
    if not has_results(item):
        return [item]
    results = map(parsed_result, items_of(item[RESULTS]) or ())
    return [
        {
            "role": "tool",
            "name": result.get("name"),
            "content": result.get("content"),
            "tool_call_id": result.get("call_id"),
            "is_error": result.get("is_error"),
        }
        for result in results
    ]


def parsed_result(value: Any) -> JsonObject:
    """The object of one result, which is its JSON text."""
    if isinstance(value, str):
        return parsed_object(value)
    return value if isinstance(value, dict) else {}


def text_of_request(given: JsonObject) -> str | None:
    """The text of the last message of the user in what an agent got, else of the last message."""
    texts = [text for text in items_of(given.get("messages")) or () if isinstance(text, str)]
    of_user = [text for text in texts if (found := SOURCE.search(text)) and found[1] == "user"]
    content = next((CONTENT.search(text) for text in reversed(of_user or texts)), None)
    try:
        return str(ast.literal_eval(content[1])) if content else None
    except (ValueError, SyntaxError, MemoryError):
        return None
