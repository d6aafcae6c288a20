"""Lossless conversion between spans and scores and their rows in a table.

Nested values are stored as JSON text, which full-text search and SQL can read and which compresses
well.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from typing import Any, NamedTuple

import pyarrow as pa
from msgspec import json

from halo_engine.schema import (
    Document,
    Message,
    Origin,
    Score,
    Span,
    SpanEvent,
    SpanKind,
    Status,
    StatusCode,
    ToolDefinition,
    Usage,
)
from halo_engine.store.columns import SCORES
from halo_engine.store.copies import copied_texts, put_back

ARROW = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
}
ARROW["TIMESTAMP"] = pa.timestamp("us")  # always UTC
ARROW["VARCHAR[]"] = pa.list_(pa.string())

ENCODER = json.Encoder()
MESSAGES = json.Decoder(tuple[Message, ...])
TOOLS = json.Decoder(tuple[ToolDefinition, ...])
DOCUMENTS = json.Decoder(tuple[Document, ...])
EVENTS = json.Decoder(tuple[SpanEvent, ...])
MAP = json.Decoder(dict[str, Any])

SqlRow = tuple[Any, ...]


class DerivedTable(NamedTuple):
    """A table of what was derived from traces: ``columns`` are names and DuckDB types."""

    name: str
    columns: dict[str, str]
    rows: Iterable[SqlRow]


def table_of(columns: dict[str, str], rows: Iterable[SqlRow]) -> pa.Table:
    """``rows``, each in the order of ``columns`` (name -> DuckDB type), as an Arrow table."""
    arrays = list(zip(*rows, strict=True)) or [()] * len(columns)
    types = [ARROW[kind] for kind in columns.values()]
    return pa.table(
        [pa.array(a, t) for a, t in zip(arrays, types, strict=True)], names=list(columns)
    )


def span_row(span: Span) -> SqlRow:
    """``span`` in the order of ``SPANS``; ``size`` is the length of its texts in characters."""
    usage, origin, status = span.usage, span.origin, span.status
    copied = copied_texts(span)
    attributes = {**span.attributes, **dict.fromkeys(copied)} if copied else span.attributes
    texts = (
        span.input,
        span.output,
        json_text(span.input_messages),
        json_text(span.output_messages),
        json_text(span.tools),
        None if span.documents is None else dumps(span.documents),
    )
    kept = (
        json_text(span.events),
        json_text(attributes),
        json_text(span.resource),
    )
    size = sum(map(len, filter(None, (span.name, status.message, *texts, *kept))))
    return (
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        span.name,
        span.kind,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        status.code,
        status.message,
        *texts,
        span.tool_name,
        span.tool_call_id,
        span.tool_error,
        span.agent_name,
        span.model_name,
        span.finish_reason,
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.total_tokens,
        usage.cost,
        span.session_id,
        span.user_id,
        *kept,
        origin.platform if origin else None,
        origin.project if origin else None,
        origin.reference if origin else None,
        origin.keeps_empty_texts if origin else None,
        json_text(copied),
        size,
    )


def span_of(row: SqlRow) -> Span:
    """The span of a row that ``span_row`` made."""
    (trace_id, span_id, parent, name, kind, start, end, code, message, *rest) = row
    (text_in, text_out, messages_in, messages_out, tools, documents, *rest) = rest
    (tool_name, tool_call_id, tool_error, agent_name, *rest) = rest
    (model, finish, prompt, completion, total, cost, *rest) = rest
    (session_id, user_id, events, attributes, resource, *origin, copied, _) = rest
    span = Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent,
        name=name,
        kind=SpanKind(kind) if kind else None,
        start_time_unix_nano=start,
        end_time_unix_nano=end,
        status=Status(code=StatusCode(code) if code else None, message=message),
        input=text_in,
        output=text_out,
        input_messages=MESSAGES.decode(messages_in) if messages_in else (),
        output_messages=MESSAGES.decode(messages_out) if messages_out else (),
        tools=TOOLS.decode(tools) if tools else (),
        documents=DOCUMENTS.decode(documents) if documents else None,
        tool_name=tool_name,
        tool_call_id=tool_call_id,
        tool_error=tool_error,
        agent_name=agent_name,
        model_name=model,
        finish_reason=finish,
        usage=Usage(
            prompt_tokens=prompt, completion_tokens=completion, total_tokens=total, cost=cost
        ),
        session_id=session_id,
        user_id=user_id,
        events=EVENTS.decode(events) if events else (),
        attributes=MAP.decode(attributes) if attributes else {},
        resource=MAP.decode(resource) if resource else {},
        origin=origin_of(*origin),
    )
    if copied:
        put_back(span, MAP.decode(copied))
    return span


def score_row(trace_id: str, score: Score) -> SqlRow:
    """``score`` in the order of ``SCORES``."""
    return (
        trace_id,
        score.span_id,
        score.name,
        score.label,
        score.value,
        score.explanation,
        score.source,
        score.identifier,
        score.created_at.astimezone(UTC).replace(tzinfo=None) if score.created_at else None,
        json_text(score.metadata),
    )


def score_of(row: SqlRow) -> Score:
    """The score of a row that ``score_row`` made."""
    values = dict(zip(SCORES, row, strict=True))
    del values["trace_id"]
    values["metadata"] = MAP.decode(values["metadata"] or "{}")
    if values["created_at"]:
        values["created_at"] = values["created_at"].replace(tzinfo=UTC)
    return Score(**values)


def origin_of(
    platform: str | None,
    project: str | None,
    reference: str | None,
    keeps_empty_texts: bool | None,
) -> Origin | None:
    """The origin, or None if the row has no platform."""
    if not platform:
        return None
    return Origin(
        platform=platform,
        project=project,
        reference=reference,
        # None where the store of a version was taken over that did not know
        keeps_empty_texts=keeps_empty_texts is not False,
    )


def json_text(value: Any) -> str | None:
    """``value`` as JSON text; an empty one as None, which takes less space."""
    return dumps(value) if value else None


def dumps(value: Any) -> str:
    """``value`` as JSON text; raises ``TypeError`` for what JSON cannot represent."""
    return ENCODER.encode(value).decode()
