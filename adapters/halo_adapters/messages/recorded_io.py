"""Input and output as tracing SDKs record them: what they mean depends on the kind of the span.

For a model call they are a request and a response. For anything else a decorator records the
arguments of the function that it wraps, and what it returned: a text by itself, or in an object
under the name of a parameter, or the whole state of a graph.
"""

from __future__ import annotations

from typing import Any

from halo_adapters.json_values import JsonObject
from halo_adapters.messages.decode import finish_reason_of
from halo_adapters.messages.documents import documents_in
from halo_adapters.messages.payloads import call_fields, extract_messages
from halo_adapters.messages.run_texts import RUN_KINDS, text_answered, text_asked
from halo_engine.fields import as_text
from halo_engine.schema import SpanKind

CALL_KEYS = {"args", "kwargs"}


def recorded_fields(kind: SpanKind | None, given: Any, returned: Any) -> JsonObject:
    """The fields of a span of ``kind`` whose input and output were recorded (JSON parsed).

    Messages, tools and documents are objects, for ``halo_adapters.messages.decode``.
    """
    if kind in RUN_KINDS:
        found: JsonObject = {"input": asked_of(given), "output": answered_with(returned)}
    elif kind is SpanKind.LLM:
        found = call_fields(given, returned)
    else:
        found = {"input": as_text(given), "output": as_text(returned)}
    if kind is SpanKind.RETRIEVER:
        found["documents"] = documents_in(returned)
    return {field: value for field, value in found.items() if value is not None}


def asked_of(arguments: Any) -> str | None:
    """What a function was asked with ``arguments`` (JSON already parsed), as text.

    The last text of the user where they hold messages, else the only argument, else all of them.
    """
    given = given_values(arguments)
    if isinstance(given, str):
        return given
    asked = text_asked(extract_messages(given, "user"))
    if asked is not None:
        return asked
    only = sole_value(given)
    return only if isinstance(only, str) else as_text(given)


def given_values(arguments: Any) -> Any:
    """The arguments of a recorded call: the only one, else those by position, else those by name."""
    if not isinstance(arguments, dict) or arguments.keys() != CALL_KEYS:
        return arguments
    positional, named = arguments["args"], arguments["kwargs"]
    if not positional:
        return named
    if named or not isinstance(positional, list):
        return arguments
    return positional[0] if len(positional) == 1 else positional


def answered_with(result: Any, depth: int = 0) -> str | None:
    """What a function answered that returned ``result`` (JSON already parsed), as text.

    None where it returned messages that end without an answer; "null" where it is recorded that it
    returned nothing.
    """
    if result is None or isinstance(result, str):
        return result
    messages = extract_messages(result, "assistant")
    if messages:
        items = result[-1:] if isinstance(result, list) else [result]
        return text_answered(messages, finish_reason_of(items, None))
    if isinstance(result, dict) and [*result.values()] == [None]:
        return "null"
    only = sole_value(result)
    return as_text(result) if only is None or depth else answered_with(only, depth + 1)


def sole_value(node: Any) -> Any:
    """The value of an object with one key; None for anything else."""
    return next(iter(node.values())) if isinstance(node, dict) and len(node) == 1 else None
