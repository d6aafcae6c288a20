"""Builders of spans and traces, to test a detector of your own.

    from halo_integrations.testing import agent, call, llm, tool, trace

    def test_finds_a_refund_without_a_lookup():
        run = trace(
            agent(output="Your refund is on its way."),
            llm(calls=[call("issue_refund", {"order": "A1"}, id="c1")]),
            tool("issue_refund", {"order": "A1"}, output="done", tool_call_id="c1"),
            llm("Your refund is on its way."),
        )
        assert refund_without_lookup(run)

Every builder takes further fields of ``Span`` by name; given fields are never changed. ``trace``
sets the others, always in the same way: ids by position, the first span as the parent of the
others, one second for each span in turn, and the first span from the start to the end of all.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from msgspec import convert, structs

from halo_engine.schema import (
    Document,
    Message,
    Span,
    SpanEvent,
    SpanKind,
    Status,
    StatusCode,
    ToolCall,
    ToolDefinition,
    Trace,
    sort_spans,
)

SECOND = 1_000_000_000
# 2026-01-01T00:00:00Z in nanoseconds since 1970.
START = 1_767_225_600 * SECOND

Json = dict[str, Any] | str | None


def at(seconds: float) -> int:
    """The time ``seconds`` after the start of every trace, in nanoseconds since 1970."""
    return START + round(seconds * SECOND)


class BuiltSpan(Span):
    """A span that ``trace`` has yet to place; ``left_none`` are the fields given as None."""

    left_none: frozenset[str] = frozenset()


def span(**fields: Any) -> Span:
    """A span of any kind, with status UNSET as in OpenTelemetry; ``trace`` sets ids and times.

    Raises ``msgspec.ValidationError`` for a field that spans do not have, or of another type.
    """
    unset = Status(code=StatusCode.UNSET)
    left_none = frozenset(name for name, value in fields.items() if value is None)
    made = {"trace_id": "", "span_id": "", "status": unset, **fields}
    return convert(made | {"left_none": left_none}, BuiltSpan)


def agent(name: str = "agent", *, input: str = "Please help.", **fields: Any) -> Span:
    """The span of an agent's whole run, which answers ``Done.`` unless an ``output`` is given."""
    return span(
        **{"kind": SpanKind.AGENT, "name": name, "input": input, "output": "Done."} | fields
    )


def llm(
    content: str | None = None,
    *,
    calls: Sequence[ToolCall] = (),
    messages: Sequence[Message] | None = None,
    tools: Sequence[ToolDefinition] = (),
    **fields: Any,
) -> Span:
    """A model call that answers ``content``, or asks for the tool ``calls``.

    ``messages`` are what the model was given (by default one from a user), ``tools`` what was
    declared to it.
    """
    given = (message("user", "Please help."),) if messages is None else tuple(messages)
    answer = Message(role="assistant", content=content, tool_calls=tuple(calls))
    made: dict[str, Any] = {
        "kind": SpanKind.LLM,
        "name": "ChatCompletion",
        "input_messages": given,
        "output_messages": (answer,),
        "tools": tuple(tools),
    }
    return span(**made | fields)


def tool(name: str, arguments: Json = None, output: Json = None, **fields: Any) -> Span:
    """A run of the tool ``name``; objects are written as JSON."""
    made: dict[str, Any] = {
        "kind": SpanKind.TOOL,
        "name": name,
        "tool_name": name,
        "input": as_json(arguments),
        "output": as_json(output),
    }
    return span(**made | fields)


def retriever(
    *contents: str, query: str = "query", scores: Sequence[float] = (), **fields: Any
) -> Span:
    """A retrieval that found documents with ``contents``, and ``scores`` if they have any."""
    padded = [*scores, *[None] * (len(contents) - len(scores))]
    documents = tuple(Document(content=c, score=s) for c, s in zip(contents, padded, strict=True))
    made = {"kind": SpanKind.RETRIEVER, "name": "retrieve", "input": query, "documents": documents}
    return span(**made | fields)


def call(name: str | None, arguments: Json = None, *, id: str | None = None) -> ToolCall:
    """A tool call by a model; an object is written as JSON."""
    return ToolCall(id=id, name=name, arguments=as_json(arguments))


def message(role: str, content: str | None = None, **fields: Any) -> Message:
    """A chat message."""
    return Message(role=role, content=content, **fields)


def declared(name: str | None, parameters: dict[str, Any] | None = None) -> ToolDefinition:
    """A tool that is declared to a model, with the JSON Schema of its arguments."""
    return ToolDefinition(name=name, parameters=parameters)


def failed(text: str | None = None) -> Status:
    """The status ERROR with the message ``text``."""
    return Status(code=StatusCode.ERROR, message=text)


def passed() -> Status:
    """The status OK."""
    return Status(code=StatusCode.OK)


def exception(type: str, text: str) -> SpanEvent:
    """The event of an exception, as OpenTelemetry records it."""
    return SpanEvent(
        name="exception", attributes={"exception.type": type, "exception.message": text}
    )


def trace(*spans: Span, number: int = 1) -> Trace:
    """The trace of ``spans``; ``number`` distinguishes several traces in one test."""
    trace_id = f"{number:032x}"
    ids = [s.span_id or f"{number:08x}{order:08x}" for order, s in enumerate(spans, start=1)]
    placed = [
        placed_span(s, trace_id, span_id, parent=ids[0] if order else None, order=order)
        for order, (s, span_id) in enumerate(zip(spans, ids, strict=True))
    ]
    if spans and is_lacking(spans[0], "end_time_unix_nano"):
        end = max(s.end_time_unix_nano or 0 for s in placed)
        placed[0] = structs.replace(placed[0], end_time_unix_nano=end)
    return Trace(trace_id=trace_id, spans=tuple(sort_spans(placed)))


def placed_span(span: Span, trace_id: str, span_id: str, *, parent: str | None, order: int) -> Span:
    """``span`` with these ids, and with its parent and its times where none were given."""
    place = {
        "parent_span_id": parent,
        "start_time_unix_nano": at(order),
        "end_time_unix_nano": at(order + 1),
    }
    lacking = {field: value for field, value in place.items() if is_lacking(span, field)}
    given = {field: getattr(span, field) for field in Span.__struct_fields__}
    return Span(**given | lacking | {"trace_id": trace_id, "span_id": span_id})


def is_lacking(span: Span, field: str) -> bool:
    """Whether ``field`` of ``span`` was not given, not even as None."""
    left_none = span.left_none if isinstance(span, BuiltSpan) else ()
    return getattr(span, field) is None and field not in left_none


def as_json(value: Json) -> str | None:
    """Text as it is, an object as JSON."""
    return value if value is None or isinstance(value, str) else json.dumps(value)
