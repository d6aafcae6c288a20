"""Traces without their texts: structure, names, kinds, status, times, counts and numbers.

Kept are ids of traces, spans and tool calls; parents; names of spans, tools, models, scores, services
and projects; kinds, roles, status codes, finish reasons, types of exceptions, and which events are
exceptions; times, token counts, costs and scores. Every other text is replaced by
``[withheld:<id>]``, where equal texts of a run have equal ids (a keyed hash, whose key is removed
when all traces are read), so that repeated calls can still be told. What is recorded as
empty stays so. Descriptions and schemas of tools, metadata, labels and explanations are left out.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import structs

from halo_engine.schema import (
    Document,
    Message,
    Score,
    Span,
    SpanEvent,
    Status,
    ToolCall,
    ToolDefinition,
    Trace,
)

ID_BYTES = 5
EMPTY = frozenset({"", "null", "[]", "{}"})
PLACEHOLDER = re.compile(r"\[withheld:[a-z2-7]{8}\]")

# Attributes that are names or codes, and beginnings of those that are counts.
NAMES = frozenset(
    {
        *("openinference.span.kind", "llm.model_name", "llm.provider", "llm.system", "tool.name"),
        *("gen_ai.operation.name", "gen_ai.system", "gen_ai.provider.name", "gen_ai.tool.name"),
        *("gen_ai.request.model", "gen_ai.response.model", "error.type"),
        *("http.response.status_code", "http.status_code"),
    }
)
COUNTS = ("llm.token_count.", "llm.cost.", "gen_ai.usage.")
# The event that OpenTelemetry defines; the name of any other may be a text.
EXCEPTION = "exception"
OF_EXCEPTIONS = frozenset({"exception.type"})
OF_RESOURCES = frozenset({"service.name", "openinference.project.name"})


class TextWithholder:
    """Takes the texts out of traces; ``key`` is that of the run."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def trace(self, trace: Trace) -> Trace:
        """``trace`` without its texts."""
        return Trace(
            trace_id=trace.trace_id,
            spans=tuple(map(self._span, trace.spans)),
            scores=tuple(map(score_without_texts, trace.scores)),
        )

    def _span(self, span: Span) -> Span:
        return structs.replace(
            span,
            status=Status(code=span.status.code, message=self._text(span.status.message)),
            input=self._text(span.input),
            output=self._text(span.output),
            input_messages=tuple(map(self._message, span.input_messages)),
            output_messages=tuple(map(self._message, span.output_messages)),
            tools=tuple(ToolDefinition(name=tool.name) for tool in span.tools),
            documents=span.documents and tuple(map(self._document, span.documents)),
            session_id=self._text(span.session_id),
            user_id=self._text(span.user_id),
            events=tuple(map(self._event, span.events)),
            attributes=only_names_and_counts(span.attributes),
            resource=only(OF_RESOURCES, span.resource),
        )

    def _event(self, event: SpanEvent) -> SpanEvent:
        """The time of an event, and whether and of which type it is an exception."""
        return SpanEvent(
            name=event.name if event.name == EXCEPTION else self._text(event.name),
            time_unix_nano=event.time_unix_nano,
            attributes=only(OF_EXCEPTIONS, event.attributes),
        )

    def _message(self, message: Message) -> Message:
        return Message(
            role=message.role,
            content=self._text(message.content),
            tool_call_id=message.tool_call_id,
            is_error=message.is_error,
            tool_calls=tuple(map(self._tool_call, message.tool_calls)),
        )

    def _tool_call(self, call: ToolCall) -> ToolCall:
        return structs.replace(call, arguments=self._text(call.arguments))

    def _document(self, document: Document) -> Document:
        return Document(content=self._text(document.content), score=document.score)

    def _text(self, text: str | None) -> str | None:
        if text is None or text.strip() in EMPTY or PLACEHOLDER.fullmatch(text):
            return text
        plain = text.encode("utf-8", "replace")
        digest = hashlib.blake2b(plain, digest_size=ID_BYTES, key=self._key).digest()
        return f"[withheld:{base64.b32encode(digest).decode().lower()}]"


def is_without_texts(trace: Trace) -> bool:
    """Whether the texts of ``trace`` were taken out before: then all of them were.

    A text of the agent, or of who talks to it, can have the form of a placeholder.
    """
    texts = (text for span in trace.spans for text in main_texts(span))
    found = (PLACEHOLDER.fullmatch(text) for text in texts if text and text.strip() not in EMPTY)
    return bool(next(found, None)) and all(found)


def main_texts(span: Span) -> Iterator[str | None]:
    """Texts of a span, one of which a span with texts has."""
    yield from (span.input, span.output, span.status.message)
    yield from (message.content for message in (*span.input_messages, *span.output_messages))
    yield from (document.content for document in span.documents or ())


def score_without_texts(score: Score) -> Score:
    """The name and the number of a score, with where, when and by what kind of evaluator."""
    return Score(
        name=score.name,
        span_id=score.span_id,
        value=score.value,
        source=score.source,
        created_at=score.created_at,
    )


def only_names_and_counts(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that are names, codes or counts."""
    counts = {
        name: value
        for name, value in attributes.items()
        if name.startswith(COUNTS) and isinstance(value, (int, float))
    }
    return {**only(NAMES, attributes), **counts}


def only(names: frozenset[str], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of these names."""
    return {name: value for name, value in attributes.items() if name in names}
