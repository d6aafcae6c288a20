"""Attributes and events of an OpenTelemetry span -> ``Span``: the mapping that all adapters share.

They are read in all installed dialects (``merged_fields``), and ``decoded_fields`` turns what that
gives into messages, tools, documents and usage. A field that no attribute gives, or none in a form
that is understood, stays None; the attribute is still in ``Span.attributes``. Nothing here raises,
whatever the attributes hold.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from halo_adapters.attributes import by_dotted_name
from halo_adapters.dialects.base import NO_STATUS, Dialect, RawSpan, read_span_kind
from halo_adapters.dialects.errors import DialectErrors
from halo_adapters.dialects.merging import NO_FIELDS, merged_fields
from halo_adapters.dialects.plans import event_names, reading_plans
from halo_adapters.json_values import json_safe, json_safe_map, name_of, unix_nano
from halo_adapters.messages.decode import (
    decode_messages,
    decode_tools,
    finish_reason_of,
)
from halo_adapters.messages.documents import decode_documents
from halo_adapters.messages.run_texts import RUN_KINDS, text_answered, text_asked
from halo_adapters.messages.tool_runs import tool_arguments, tool_result
from halo_engine.fields import as_text
from halo_engine.schema import Message, Origin, Span, SpanEvent, SpanKind, Status, StatusCode, Usage

NO_NAMES: frozenset[str] = frozenset()
STATUSES = {
    spelling: Status(code=code)
    for number, code in enumerate(StatusCode)
    for spelling in (number, str(number), code.value, f"STATUS_CODE_{code.value}")
}
USAGE_FIELDS = Usage.__struct_fields__
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
    unread: Collection[str] = (),
    dialects: tuple[Dialect, ...] | None = None,
    errors: DialectErrors | None = None,
) -> Span:
    """The span that ``attributes`` and ``events`` describe.

    ``status_code`` is ERROR, STATUS_CODE_ERROR or 2, as any OpenTelemetry format writes it.
    ``events`` are objects with ``name``, ``attributes`` and a time under ``timestamp``,
    ``time_unix_nano`` or ``timeUnixNano``. ``kind`` is the span kind where a platform gives it
    beside the attributes; it comes first, except UNKNOWN, which comes last. ``unread`` are names of
    attributes that are kept, but that no field is taken from. ``dialects`` are the installed ones by
    default; ``errors`` collects what they raise. Without it that is a
    ``TypeError``.
    """
    safe_attributes = json_safe_map(attributes)
    span_events = tuple(map(span_event, events))
    safe_name = as_text(json_safe(name))
    status = span_status(status_code, status_message)
    platform_kind = read_span_kind(kind)
    is_kind = platform_kind not in (None, SpanKind.UNKNOWN)
    read = (
        {k: v for k, v in safe_attributes.items() if k not in unread} if unread else safe_attributes
    )
    fields = span_fields(
        read,
        span_events,
        name=safe_name,
        status=status,
        platform_fields={"kind": platform_kind} if is_kind else NO_FIELDS,
        dialects=dialects,
        errors=errors,
    )
    if platform_kind:
        fields.setdefault("kind", platform_kind)
    return Span(
        **fields,
        trace_id=json_safe(trace_id),
        span_id=json_safe(span_id),
        parent_span_id=json_safe(parent_span_id),
        name=safe_name,
        start_time_unix_nano=start_time_unix_nano,
        end_time_unix_nano=end_time_unix_nano,
        status=status,
        events=span_events,
        attributes=safe_attributes,
        resource=json_safe_map(resource or {}),
        origin=origin,
    )


def span_fields(
    attributes: dict[str, Any],
    events: tuple[SpanEvent, ...] = (),
    *,
    name: str | None = None,
    status: Status = NO_STATUS,
    platform_fields: Mapping[str, Any] = NO_FIELDS,
    dialects: tuple[Dialect, ...] | None = None,
    errors: DialectErrors | None = None,
) -> dict[str, Any]:
    """The fields of a span that its JSON-safe ``attributes``, events, name and status give.

    ``platform_fields`` are those that a platform has beside the attributes: they come before what
    an attribute gives, and dialects refine them like these.
    """
    plans = reading_plans(dialects)
    named = by_dotted_name(attributes)
    if events and (recorded := attributes_in_events(events, plans.attribute_events)):
        named = {**by_dotted_name(recorded), **named}
    plan = plans.plan(tuple(named), event_names(events) if events else NO_NAMES)
    merged = merged_fields(RawSpan(named, events, name, status), plan, platform_fields)
    if errors is not None:
        errors.add(merged.errors)
    elif merged.errors:
        merged.errors[0].raise_as_type_error()
    return decoded_fields(merged.fields)


def attributes_in_events(events: tuple[SpanEvent, ...], names: frozenset[str]) -> dict[str, Any]:
    """The attributes of the events with these names: each from the first event that has it.

    Instrumentations add an event for each attribute, and one more for what they know only at the
    end: what is recorded first is what the span began with.
    """
    found: dict[str, Any] = {}
    for event in events:
        if event.name in names:
            found = {**event.attributes, **found}
    return found


def decoded_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """``fields`` with messages, tools, documents and usage as the types of the schema."""
    decode_conversation(fields)
    if "tools" in fields:
        fields["tools"] = decode_tools(fields["tools"])
    if fields.get("kind") is SpanKind.TOOL:
        unwrap_tool_run(fields)
    if "documents" in fields:
        fields["documents"] = decode_documents(fields["documents"])
    if not fields.keys().isdisjoint(USAGE_FIELDS):
        usage = {name: fields.pop(name) for name in USAGE_FIELDS if name in fields}
        fields["usage"] = Usage(**usage)
    return fields


def decode_conversation(fields: dict[str, Any]) -> None:
    """Decode the messages in ``fields``, and take a missing finish reason from them."""
    inputs, outputs = fields.pop("input_messages", None), fields.pop("output_messages", None)
    system = fields.pop("system_instructions", None)
    if inputs or system:
        fields["input_messages"] = with_system_message(decode_messages(inputs or []), system)
    if outputs:
        fields["output_messages"] = decode_messages(outputs)
    kind = fields.get("kind")
    if "finish_reason" not in fields and kind is SpanKind.LLM:
        fields["finish_reason"] = finish_reason_of(outputs, fields.get("output"))
    if kind in RUN_KINDS:
        add_run_texts(fields)
        fields.setdefault("finish_reason", finish_reason_of((outputs or [])[-1:], None))


def add_run_texts(fields: dict[str, Any]) -> None:
    """Take a missing input and output of an agent's run from its messages."""
    if fields.get("input") is None:
        fields["input"] = text_asked(fields.get("input_messages", ()))
    if fields.get("output") is None:
        fields["output"] = text_answered(
            fields.get("output_messages", ()), fields.get("finish_reason")
        )


def unwrap_tool_run(fields: dict[str, Any]) -> None:
    """Take the arguments and the result of a tool out of what its framework wraps them in."""
    if given := fields.get("input"):
        fields["input"] = tool_arguments(given)
    if (output := fields.get("output")) and (
        result := tool_result(output, fields.get("tool_name"))
    ):
        fields["output"] = result.text
        for field in ("tool_error", "tool_call_id", "documents"):
            if (value := getattr(result, field)) is not None:
                fields.setdefault(field, value)


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
