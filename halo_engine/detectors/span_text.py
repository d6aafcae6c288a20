"""What the texts of a trace say: JSON or not, an error or not, and its essential line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import orjson

from halo_engine.schema import Span, SpanEvent, SpanKind

TRACEBACK = "Traceback (most recent call last)"
MAX_LINE = 200
# Where an error's line is looked for: the head of a text, and the tail of a traceback.
LOOKED_AT = 4000

# How frameworks return a failed tool call as a text: "Error: ...", "ValueError: ...", "Exception in
# ...", "Error executing tool search: ...". "Error handling in Python" is a title, and no error.
ERROR_TEXT = re.compile(
    r"\s{0,20}(?:"
    r"(?:[A-Za-z_.]{0,80}(?:Error|Exception)|ERROR|error)\s?(?:\([^)\n]{0,80}\)\s?)?:"
    r"|Error (?:executing|calling|invoking|running|processing|fetching|while|during|in tool)\b"
    r"|Exception (?:in|while|during)\b"
    r")"
)
FAILED_STATUS = frozenset({"error", "failed", "failure"})
SAYS = ("error", "errors", "message", "reason", "detail", "details", "description", "msg")


class NotJson(ValueError):
    """A text that is not JSON; its message says where it breaks."""


class TooDeep(ValueError):
    """A text that is nested too deeply to be read."""


def parsed(text: str) -> Any:
    """The value of a JSON text. Raises ``NotJson`` or ``TooDeep``."""
    try:
        return orjson.loads(text)
    except ValueError:
        return parsed_leniently(text)


def parsed_leniently(text: str) -> Any:
    """As ``parsed``, by Python's own reader: it takes NaN and lone surrogates, and says where."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise TooDeep(str(error)) from error
    except ValueError as error:
        raise NotJson(str(error)) from error


def is_json(text: str) -> bool:
    """Whether a text is JSON."""
    try:
        parsed(text)
    except ValueError:
        return False
    return True


def json_or_none(text: str | None) -> Any:
    """The value of a JSON text, None for any other text."""
    try:
        return None if text is None else parsed(text)
    except ValueError:
        return None


def json_object(text: str | None) -> dict[str, Any]:
    """The object that a text holds, empty when it holds none."""
    value = json_or_none(text) if text and text.lstrip()[:1] == "{" else None
    return value if isinstance(value, dict) else {}


def is_envelope(output: str | None) -> bool:
    """Whether a tool's output says that the call failed.

    So do an object with ``isError: true``, ``ok: false``, ``success: false``, a failed ``status``
    or a non-empty ``error``; a traceback; and the error texts of frameworks. A status code inside a
    result is data.
    """
    if not output:
        return False
    if TRACEBACK in output or ERROR_TEXT.match(output):
        return True
    return says_failure(json_object(output))


def says_failure(result: dict[str, Any]) -> bool:
    """Whether the object of a tool's output declares a failure."""
    status = result.get("status")
    return (
        result.get("isError") is True
        or result.get("ok") is False
        or result.get("success") is False
        or (isinstance(status, str) and status.lower() in FAILED_STATUS)
        or bool(result.get("error") or result.get("errors"))
    )


def essential(text: str) -> str:
    """The one line of an error's text that says what failed, at most ``MAX_LINE`` characters."""
    said = said_by(json_object(text))
    if said is not None:
        return essential_line(said)
    return essential_line(text)


def essential_line(text: str) -> str:
    """The last line of a traceback, the first line of any other text."""
    traced = TRACEBACK in text
    part = text[-LOOKED_AT:] if traced else text.lstrip()[:LOOKED_AT]
    lines = [line.strip() for line in part.splitlines() if line.strip()] or [""]
    return lines[-1 if traced else 0][:MAX_LINE]


def said_by(value: Any, depth: int = 3) -> str | None:
    """The message inside an error object, such as ``{"error": {"message": ...}}``."""
    if isinstance(value, str):
        return value if value.strip() else None
    if depth == 0:
        return None
    if isinstance(value, list):
        return said_by(value[0], depth - 1) if value else None
    if isinstance(value, dict):
        found = (said_by(value.get(key), depth - 1) for key in SAYS)
        return next((said for said in found if said), None)
    return None


def error_fields(span: Span) -> Iterator[str]:
    """The fields in which a span says why it failed, the most telling first."""
    for index, event in enumerate(span.events):
        if event.name == "exception":
            yield from (f"events.{index}.attributes.{key}" for key in said_in(event))
    if span.status.message and span.status.message.strip():
        yield "status.message"


def said_in(event: SpanEvent) -> Iterator[str]:
    """The attributes of an exception event that hold text."""
    for key in ("exception.message", "exception.type"):
        value = event.attributes.get(key)
        if isinstance(value, str) and value.strip():
            yield key


def error_text(span: Span) -> str:
    """What a span says about its failure: status message and exceptions, one a line."""
    said = [span.status.message or ""]
    for event in span.exceptions:
        values = (event.attributes.get(f"exception.{part}") for part in ("type", "message"))
        said.append(": ".join(value for value in values if isinstance(value, str)))
    return "\n".join(part for part in said if part.strip())


def completion_field(span: Span) -> str | None:
    """Where the text of a model's answer stands: the first message that has one, or ``output``."""
    if not span.output_messages:
        return None if span.output is None else "output"
    spoken = [i for i, m in enumerate(span.output_messages) if m.content is not None]
    telling = (i for i in spoken if (span.output_messages[i].content or "").strip())
    index = next(telling, spoken[0] if spoken else None)
    return None if index is None else f"output_messages.{index}.content"


def completion(span: Span) -> str | None:
    """The text of a model's answer, None where none was recorded."""
    if not span.output_messages:
        return span.output
    contents = [m.content for m in span.output_messages if m.content is not None]
    return next((c for c in contents if c.strip()), contents[0] if contents else None)


def asks_for_tools(span: Span) -> bool:
    """Whether the model's answer holds a tool call."""
    return any(message.tool_calls for message in span.output_messages)


def invocation_parameters(span: Span) -> dict[str, Any]:
    """The parameters of the model call (``llm.invocation_parameters``), empty if not recorded."""
    value = span.attributes.get("llm.invocation_parameters")
    return (
        value if isinstance(value, dict) else json_object(value if isinstance(value, str) else None)
    )


def is_llm(span: Span) -> bool:
    """Whether the span is a call of a model."""
    return span.kind is SpanKind.LLM


def plain_apostrophes(text: str) -> str:
    """``text`` with typewriter apostrophes, so that a pattern needs to name one only."""
    return text.replace("’", "'")
