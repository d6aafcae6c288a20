"""Attributes and events of an OpenTelemetry span -> ``Span``: the mapping that all adapters share.

``merged_fields`` reads the attributes in all installed dialects, ``decoded_fields`` turns what it
found into messages, tools, documents and usage. A field that no attribute gives, or none in a form
that is understood, stays None; the attribute is still in ``Span.attributes``. Nothing here raises,
whatever the attributes hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from halo_adapters.attributes import by_dotted_name
from halo_adapters.dialects.base import Dialect, RawSpan, read_span_kind
from halo_adapters.dialects.registry import by_rank, installed_dialects
from halo_adapters.json_values import json_safe, json_safe_map, name_of, unix_nano
from halo_adapters.messages.decode import (
    decode_documents,
    decode_messages,
    decode_tools,
    finish_reason_of,
)
from halo_engine.fields import as_text
from halo_engine.schema import Message, Origin, Span, SpanEvent, SpanKind, Status, StatusCode, Usage

NO_STATUS = Status()
NO_NAMES: frozenset[str] = frozenset()
STATUSES = {
    spelling: Status(code=code)
    for number, code in enumerate(StatusCode)
    for spelling in (number, str(number), code.value, f"STATUS_CODE_{code.value}")
}
USAGE_FIELDS = tuple(Usage.model_fields)
EVENT_TIMES = ("timestamp", "time_unix_nano", "timeUnixNano")


def span_from_attributes(
    *,
    trace_id: str,
    span_id: str,
    parent_span_id: str | None = None,
    name: str | None = None,
    start_time_unix_nano: int | None = None,
    end_time_unix_nano: int | None = None,
    status_code: Any = None,
    status_message: Any = None,
    attributes: Mapping[Any, Any],
    events: Iterable[Any] = (),
    resource: Mapping[Any, Any] | None = None,
    origin: Origin | None = None,
    kind: str | None = None,
    dialects: tuple[Dialect, ...] | None = None,
) -> Span:
    """The span that ``attributes`` and ``events`` describe.

    ``status_code`` is ERROR, STATUS_CODE_ERROR or 2, as any OpenTelemetry format writes it.
    ``events`` are objects with ``name``, ``attributes`` and a time under ``timestamp``,
    ``time_unix_nano`` or ``timeUnixNano``. ``kind`` is the span kind where a platform gives it
    beside the attributes; it comes first, except UNKNOWN, which comes last. ``dialects`` are the
    installed ones by default.
    """
    safe_attributes = json_safe_map(attributes)
    span_events = tuple(map(span_event, events))
    safe_name = as_text(json_safe(name))
    fields = span_fields(safe_attributes, span_events, name=safe_name, dialects=dialects)
    platform_kind = read_span_kind(kind)
    if platform_kind not in (None, SpanKind.UNKNOWN):
        fields["kind"] = platform_kind
    elif platform_kind:
        fields.setdefault("kind", platform_kind)
    fields.update(
        trace_id=json_safe(trace_id),
        span_id=json_safe(span_id),
        parent_span_id=json_safe(parent_span_id),
        name=safe_name,
        start_time_unix_nano=start_time_unix_nano,
        end_time_unix_nano=end_time_unix_nano,
        status=span_status(status_code, status_message),
        events=span_events,
        attributes=safe_attributes,
        resource=json_safe_map(resource or {}),
        origin=origin,
    )
    return Span.model_validate(fields)


def span_fields(
    attributes: dict[str, Any],
    events: tuple[SpanEvent, ...] = (),
    *,
    name: str | None = None,
    dialects: tuple[Dialect, ...] | None = None,
) -> dict[str, Any]:
    """The fields of a span that its JSON-safe ``attributes``, its events and its name give."""
    chosen = installed_dialects() if dialects is None else dialects
    named = by_dotted_name(attributes)
    if events and (recorded := attributes_in_events(events, attribute_event_names(chosen))):
        named = {**by_dotted_name(recorded), **named}
    return decoded_fields(merged_fields(named, events, name, chosen))


def merged_fields(
    attributes: Mapping[str, Any],
    events: tuple[SpanEvent, ...],
    name: str | None,
    dialects: tuple[Dialect, ...],
) -> dict[str, Any]:
    """The fields of a span, each from the first dialect that has it.

    Field by field, in order of trust: first what an attribute gives, then (only where no attribute
    gives messages) the messages in events, then what the dialects derive.
    """
    plan = reading_plan(dialects, tuple(attributes), event_names(events) if events else NO_NAMES)
    fields: dict[str, Any] = {}
    for field, read, attribute in plan.sources:
        if field not in fields:
            value = read(attributes[attribute])
            if value is not None:
                fields[field] = value
    if events and "input_messages" not in fields and "output_messages" not in fields:
        fields.update(messages_in_events(events, plan.dialects))
    for dialect in plan.deriving:
        derived = dialect.derived_fields(RawSpan(attributes, events, name), fields)
        for field, value in derived.items():
            if value is not None:
                fields.setdefault(field, value)
    return fields


class ReadingPlan(NamedTuple):
    """How to read a span: its dialects, and its attributes that give fields, by order of trust.

    A source is a field, the function that reads it, and an attribute. ``deriving`` are the
    dialects that do not inherit ``Dialect.derived_fields``, which gives nothing.
    """

    dialects: tuple[Dialect, ...]
    deriving: tuple[Dialect, ...]
    sources: tuple[tuple[str, Callable[[Any], Any], str], ...]


@lru_cache(maxsize=256)  # the spans of one instrumentation have the same names
def reading_plan(
    dialects: tuple[Dialect, ...], attributes: tuple[str, ...], events: frozenset[str]
) -> ReadingPlan:
    """How to read a span whose attributes and events have these names."""
    present = frozenset(attributes)
    applicable = tuple(
        dialect for dialect in by_rank(dialects) if dialect.applies_to(present, events)
    )
    return ReadingPlan(
        dialects=applicable,
        deriving=tuple(
            dialect
            for dialect in applicable
            if type(dialect).derived_fields is not Dialect.derived_fields
        ),
        sources=tuple(
            (field.name, field.read, attribute)
            for dialect in applicable
            for field in dialect.fields
            for attribute in field.attributes
            if attribute in present
        ),
    )


def event_names(events: tuple[SpanEvent, ...]) -> frozenset[str]:
    """The names of ``events``."""
    return frozenset([event.name for event in events if event.name])


@lru_cache
def attribute_event_names(dialects: tuple[Dialect, ...]) -> frozenset[str]:
    """The names of the events whose attributes count as attributes of their span."""
    return frozenset(name for dialect in dialects for name in dialect.attribute_events)


def attributes_in_events(events: tuple[SpanEvent, ...], names: frozenset[str]) -> dict[str, Any]:
    """The attributes of the events with these names; a later event replaces an earlier one's."""
    found: dict[str, Any] = {}
    for event in events:
        if event.name in names:
            found.update(event.attributes)
    return found


def messages_in_events(
    events: tuple[SpanEvent, ...], dialects: Sequence[Dialect]
) -> dict[str, list[Any]]:
    """The messages in events, as fields, from the first dialect that finds any."""
    for dialect in dialects:
        inputs, outputs = dialect.event_messages(events)
        if inputs or outputs:
            return {"input_messages": inputs, "output_messages": outputs}
    return {}


def decoded_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """``fields`` with messages, tools, documents and usage as the types of the schema."""
    decode_conversation(fields)
    if "tools" in fields:
        fields["tools"] = decode_tools(fields["tools"])
    if "documents" in fields:
        fields["documents"] = decode_documents(fields["documents"])
    usage = {name: fields.pop(name) for name in USAGE_FIELDS if name in fields}
    return {**fields, "usage": usage} if usage else fields


def decode_conversation(fields: dict[str, Any]) -> None:
    """Decode the messages in ``fields``, and take a missing finish reason from them."""
    inputs, outputs = fields.pop("input_messages", None), fields.pop("output_messages", None)
    system = fields.pop("system_instructions", None)
    if inputs or system:
        fields["input_messages"] = with_system_message(decode_messages(inputs or []), system)
    if outputs:
        fields["output_messages"] = decode_messages(outputs)
    if "finish_reason" not in fields and fields.get("kind") is SpanKind.LLM:
        fields["finish_reason"] = finish_reason_of(outputs, fields.get("output"))


def with_system_message(
    messages: tuple[Message, ...], instructions: list[Any] | None
) -> tuple[Message, ...]:
    """``messages`` after the system instructions, unless one of them is a system message."""
    if not instructions or any(message.role == "system" for message in messages):
        return messages
    return decode_messages([{"role": "system", "parts": instructions}]) + messages


def span_event(event: Any) -> SpanEvent:
    """``event`` as a span event; one that is not an object is kept as the attribute ``value``."""
    if not isinstance(event, Mapping):
        return SpanEvent(attributes={"value": json_safe(event)})
    attributes = event.get("attributes")
    times = (unix_nano(event.get(key)) for key in EVENT_TIMES)
    return SpanEvent(
        name=as_text(json_safe(event.get("name"))),
        time_unix_nano=next((time for time in times if time), None),
        attributes=json_safe_map(attributes) if isinstance(attributes, Mapping) else {},
    )


def span_status(code: Any, message: Any = None) -> Status:
    """The status with ``code`` as any OpenTelemetry format writes it (ERROR, STATUS_CODE_ERROR or
    2); an unknown code becomes None, and so does an empty message."""
    status = STATUSES.get(code, NO_STATUS) if type(code) in (str, int) else NO_STATUS
    return Status(code=status.code, message=name_of(json_safe(message))) if message else status
