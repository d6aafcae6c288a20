"""Reading the texts of a span: JSON values, error results, error messages, completions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import orjson
from opentelemetry.semconv.attributes.exception_attributes import (
    EXCEPTION_MESSAGE,
    EXCEPTION_STACKTRACE,
    EXCEPTION_TYPE,
)

from halo_engine.schema import Message, Span, SpanEvent, SpanKind

TRACEBACK = "Traceback (most recent call last)"
EXCEPTION_EVENT = "exception"
INVOCATION_PARAMETERS = "llm.invocation_parameters"
MAX_LINE = 200  # characters
# An error's line is searched in this many characters: the first ones of a text, the last ones of a
# traceback.
SEARCHED = 4000

# How frameworks return a failed tool call as a text: "Error: ...", "ValueError: ...", "Exception in
# ...", "Error executing tool search: ...". "Error handling in Python" is a title, not an error.
ERROR_TEXT = re.compile(
    r"\s{0,20}(?:"
    r"(?:[A-Za-z_.]{0,80}(?:Error|Exception)|ERROR|error)\s?(?:\([^)\n]{0,80}\)\s?)?:"
    r"|Error (?:executing|calling|invoking|running|processing|fetching|while|during|in tool)\b"
    r"|Exception (?:in|while|during)\b"
    r")"
)
# A part of the name of each member that can mark a failure.
MARKS_OF_FAILURE = ("rror", '"ok"', '"success"', '"status"')
FAILED_STATUS = frozenset({"error", "failed", "failure"})
MESSAGE_KEYS = ("error", "errors", "message", "reason", "detail", "details", "description", "msg")


class NotJson(ValueError):
    """A text is not JSON; the message names the position of the error."""


class TooDeep(ValueError):
    """A JSON text is nested too deeply to be parsed."""


def decode_json(text: str) -> Any:
    """The value of a JSON text. Raises ``NotJson`` or ``TooDeep``."""
    try:
        return orjson.loads(text)
    except ValueError:
        return decode_json_leniently(text)


def decode_json_leniently(text: str) -> Any:
    """As ``decode_json``, by the standard library, which accepts NaN and lone surrogates."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise TooDeep(str(error)) from error
    except ValueError as error:
        raise NotJson(str(error)) from error


def parses_as_json(text: str) -> bool:
    """Whether a text is JSON."""
    try:
        decode_json(text)
    except ValueError:
        return False
    return True


def json_or_none(text: str | None) -> Any:
    """The value of a JSON text, None for any other text."""
    try:
        return None if text is None else decode_json(text)
    except ValueError:
        return None


def json_object(text: str | None) -> dict[str, Any]:
    """The JSON object in a text, empty when the text is no object."""
    value = json_or_none(text) if text and text.lstrip()[:1] == "{" else None
    return value if isinstance(value, dict) else {}


def is_error_result(output: str | None) -> bool:
    """Whether a tool's output reports that the call failed.

    Such an output is an object with ``isError: true``, ``ok: false``, ``success: false``, a failed
    ``status`` or a non-empty ``error``; a traceback; or the error text of a framework. A status
    code inside a result is data.
    """
    if not output:
        return False
    if TRACEBACK in output or ERROR_TEXT.match(output):
        return True
    return may_report_failure(output) and reports_failure(json_object(output))


def may_report_failure(output: str) -> bool:
    """Whether a text holds the name of a member that can mark a failure; parsing it takes longer."""
    return holds_any(MARKS_OF_FAILURE, output)


def holds_any(words: tuple[str, ...], text: str) -> bool:
    """Whether ``text`` holds one of ``words``: far faster than a pattern tells."""
    for word in words:  # noqa: SIM110 - a generator takes twice the time
        if word in text:
            return True
    return False


def reports_failure(result: dict[str, Any]) -> bool:
    """Whether the object that a tool returned has a member that marks a failure."""
    status = result.get("status")
    return (
        result.get("isError") is True
        or result.get("ok") is False
        or result.get("success") is False
        or (isinstance(status, str) and status.lower() in FAILED_STATUS)
        or bool(result.get("error") or result.get("errors"))
    )


def error_line(text: str) -> str:
    """The one line of an error's text that names what failed, at most ``MAX_LINE`` characters."""
    message = error_message(json_object(text))
    return first_or_last_line(text if message is None else message)


def first_or_last_line(text: str) -> str:
    """The last line of a traceback, the first line of any other text."""
    is_traceback = TRACEBACK in text
    part = text[-SEARCHED:] if is_traceback else text.lstrip()[:SEARCHED]
    lines = [line.strip() for line in part.splitlines() if line.strip()] or [""]
    return lines[-1 if is_traceback else 0][:MAX_LINE]


def error_message(value: Any, depth: int = 3) -> str | None:
    """The message inside an error object, such as ``{"error": {"message": ...}}``.

    At most ``depth`` levels of nesting are searched.
    """
    if isinstance(value, str):
        return value if value.strip() else None
    if depth == 0:
        return None
    if isinstance(value, list):
        return error_message(value[0], depth - 1) if value else None
    if isinstance(value, dict):
        found = (error_message(value.get(key), depth - 1) for key in MESSAGE_KEYS)
        return next((message for message in found if message), None)
    return None


def error_fields(span: Span) -> Iterator[str]:
    """The fields that hold why a span failed: those of its exceptions, then the status message."""
    for index, event in enumerate(span.events):
        if event.name == EXCEPTION_EVENT:
            yield from (f"events.{index}.attributes.{key}" for key in exception_texts(event))
    if span.status.message and span.status.message.strip():
        yield "status.message"


def exception_texts(event: SpanEvent) -> Iterator[str]:
    """The attributes of an exception event that hold a text, the message first.

    The stack trace only where nothing else says what was raised.
    """
    told = [key for key in (EXCEPTION_MESSAGE, EXCEPTION_TYPE) if attribute_text(event, key)]
    yield from told or [key for key in [EXCEPTION_STACKTRACE] if attribute_text(event, key)]


def attribute_text(event: SpanEvent, key: str) -> str:
    """The text of an attribute of ``event``, empty where it has none."""
    value = event.attributes.get(key)
    return value if isinstance(value, str) and value.strip() else ""


def error_text(span: Span) -> str:
    """Why a span failed: its status message and its exceptions, one a line."""
    lines = [span.status.message or "", *map(exception_line, span.exceptions)]
    return "\n".join(line for line in lines if line.strip())


def exception_line(event: SpanEvent) -> str:
    """Type and message of an exception event, or what its stack trace says of them."""
    told = (attribute_text(event, key) for key in (EXCEPTION_TYPE, EXCEPTION_MESSAGE))
    line = ": ".join(text for text in told if text)
    return line or raised_line(attribute_text(event, EXCEPTION_STACKTRACE))


def raised_line(stack_trace: str) -> str:
    """The line of a stack trace that names the exception; empty where that was cut off.

    In Python it is the first one after the frames, which are indented, of the last of a chain of
    exceptions; elsewhere the first of all.
    """
    _, found, after = stack_trace.rpartition(TRACEBACK)
    lines = after.splitlines()[1:] if found else stack_trace.strip().splitlines()
    return next((line for line in lines if line[:1].strip()), "")


def completion_field(span: Span) -> str | None:
    """The field of the text of a model's answer: the first message with one, or ``output``."""
    if not span.output_messages:
        return None if span.output is None else "output"
    recorded = [i for i, m in enumerate(span.output_messages) if m.content is not None]
    filled = (i for i in recorded if (span.output_messages[i].content or "").strip())
    index = next(filled, recorded[0] if recorded else None)
    return None if index is None else f"output_messages.{index}.content"


def completion_text(span: Span) -> str | None:
    """The text of a model's answer, None where none was recorded."""
    if not span.output_messages:
        return span.output
    blank = None
    for message in span.output_messages:
        if message.content is not None:
            if message.content.strip():
                return message.content
            blank = message.content if blank is None else blank
    return blank


def has_tool_calls(span: Span) -> bool:
    """Whether the model's answer holds a tool call."""
    for message in span.output_messages:  # noqa: SIM110 - a generator takes twice the time
        if message.tool_calls:
            return True
    return False


def invocation_parameters(span: Span) -> dict[str, Any]:
    """The parameters of the model call, empty if not recorded."""
    value = span.attributes.get(INVOCATION_PARAMETERS)
    if isinstance(value, str):
        return parameters_in(value)
    return value if isinstance(value, dict) else {}


@lru_cache(maxsize=256)
def parameters_in(text: str) -> dict[str, Any]:
    """The parameters in a JSON text, which all calls of an agent share."""
    return json_object(text)


def is_llm(span: Span) -> bool:
    """Whether the span is a call of a language model."""
    return span.kind is SpanKind.LLM


def plain_apostrophes(text: str) -> str:
    """``text`` with ASCII apostrophes, so that a pattern needs only one kind."""
    return text.replace("’", "'")


def message_texts(field: str, messages: tuple[Message, ...]) -> Iterator[tuple[str, str | None]]:
    """The contents and the arguments of tool calls in messages, with their fields."""
    for i, message in enumerate(messages):
        yield f"{field}.{i}.content", message.content
        for j, call in enumerate(message.tool_calls):
            yield f"{field}.{i}.tool_calls.{j}.arguments", call.arguments
