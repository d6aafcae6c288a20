"""Attributes and events of an OpenTelemetry span -> ``Span``: the mapping that all adapters share.

``merged_fields`` reads the attributes in all installed dialects, ``decoded_fields`` turns what it
found into messages, tools, documents and usage. A field that no attribute gives, or none in a form
that is understood, stays None; the attribute is still in ``Span.attributes``. Nothing here raises,
whatever the attributes hold.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import NoneType
from typing import Any, NamedTuple, TypeVar

from halo_adapters.attributes import by_dotted_name
from halo_adapters.dialects.base import (
    FIELD_TYPES,
    NO_STATUS,
    Dialect,
    EventMessages,
    RawSpan,
    read_span_kind,
)
from halo_adapters.dialects.errors import DialectError, DialectErrors, raised
from halo_adapters.dialects.registry import by_rank, installed_dialects
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

T = TypeVar("T")
FieldsMethod = Callable[[RawSpan, Mapping[str, Any]], Mapping[str, Any]]

NO_NAMES: frozenset[str] = frozenset()
NO_FIELDS: Mapping[str, Any] = {}
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
    chosen = installed_dialects() if dialects is None else dialects
    named = by_dotted_name(attributes)
    if events and (recorded := attributes_in_events(events, attribute_event_names(chosen))):
        named = {**by_dotted_name(recorded), **named}
    merged = merged_fields(RawSpan(named, events, name, status), platform_fields, chosen)
    if errors is not None:
        errors.add(merged.errors)
    elif merged.errors:
        merged.errors[0].raise_as_type_error()
    return decoded_fields(merged.fields)


class MergedFields:
    """The fields of one span as its dialects give them, one after the other, and their errors."""

    def __init__(
        self, platform_fields: Mapping[str, Any] = NO_FIELDS, errors: Iterable[DialectError] = ()
    ) -> None:
        self.fields: dict[str, Any] = dict(platform_fields)
        self.errors = list(errors)

    def call(self, dialect: Dialect, method: Callable[..., T], *args: Any) -> T | None:
        """What ``method`` of ``dialect`` returns; None where it raises."""
        try:
            return method(*args)
        except Exception as error:  # noqa: BLE001 - third-party code can raise anything
            self.errors.append(raised(dialect, error))
            return None

    def read(self, sources: Iterable[FieldSource], attributes: Mapping[str, Any]) -> None:
        """Set those fields that attributes give and that are not set yet."""
        for dialect, field, read, attribute in sources:
            if field in self.fields:
                continue
            try:
                value = read(attributes[attribute])
            except Exception as error:  # noqa: BLE001 - third-party code can raise anything
                self.errors.append(raised(dialect, error))
                continue
            if value is not None:
                self.replace(dialect, field, value)

    def add_all(self, methods: Iterable[DialectMethod], span: RawSpan) -> None:
        """Set those fields that ``methods`` give and that are not set yet."""
        for dialect, field, value in self.given(methods, span):
            self.add(dialect, field, value)

    def replace_all(self, methods: Iterable[DialectMethod], span: RawSpan) -> None:
        """Set the fields that ``methods`` give; see ``replace``."""
        for dialect, field, value in self.given(methods, span):
            self.replace(dialect, field, value)

    def given(
        self, methods: Iterable[DialectMethod], span: RawSpan
    ) -> Iterator[tuple[Dialect, str, Any]]:
        """What ``methods`` give, one after the other; each sees what was set before it.

        One that raises, or gives no mapping, gives nothing.
        """
        for dialect, method in methods:
            try:
                found = method(span, self.fields)
                items = tuple(dict(found).items()) if found else ()
            except Exception as error:  # noqa: BLE001 - third-party code can raise anything
                self.errors.append(raised(dialect, error))
                continue
            for field, value in items:
                yield dialect, field, value

    def add(self, dialect: Dialect, field: str, value: Any) -> None:
        """Set a field that is not set yet."""
        if value is not None and field not in self.fields:
            self.replace(dialect, field, value)

    def replace(self, dialect: Dialect, field: str, value: Any) -> None:
        """Set a field, or take it away where ``value`` is None."""
        if value is None:
            self.fields.pop(field, None)
        elif is_of_kind(value, FIELD_TYPES.get(field, NoneType)):
            self.fields[field] = value
        else:
            what = f"gave {type(value).__name__} for the field {field}"
            self.errors.append(DialectError(dialect, what))


def is_of_kind(value: Any, kind: type | tuple[type, ...]) -> bool:
    """Whether ``value`` is of the type ``kind``, or of one of them. True and False are no numbers."""
    found = type(value)
    return found is kind or (found is not bool and isinstance(value, kind))


def merged_fields(
    span: RawSpan, platform_fields: Mapping[str, Any], dialects: tuple[Dialect, ...]
) -> MergedFields:
    """The fields of a span, each from the first dialect that has it.

    Field by field, in order of trust: first what the platform and what attributes give, then (only
    where no attribute gives messages) the messages in events, then what the dialects derive; at
    last they refine what was found.
    """
    attributes, events = span.attributes, span.events
    plan = reading_plan(dialects, tuple(attributes), event_names(events) if events else NO_NAMES)
    merged = MergedFields(platform_fields, plan.errors)
    for sources, payloads in plan.readers:
        merged.read(sources, attributes)
        merged.add_all(payloads, span)
    if events and merged.fields.keys().isdisjoint(("input_messages", "output_messages")):
        add_event_messages(merged, events, plan.dialects)
    merged.add_all(plan.deriving, span)
    merged.replace_all(plan.refining, span)
    return merged


class DialectMethod(NamedTuple):
    """A method of a dialect that gives fields of a span."""

    dialect: Dialect
    method: FieldsMethod


class FieldSource(NamedTuple):
    """An attribute of a span that gives a field, and the function of a dialect that reads it."""

    dialect: Dialect
    field: str
    read: Callable[[Any], Any]
    attribute: str


class AttributeReader(NamedTuple):
    """What is read of the attributes of a span: one by one, then by ``payload_fields``."""

    sources: tuple[FieldSource, ...]
    payloads: tuple[DialectMethod, ...]


class ReadingPlan(NamedTuple):
    """How to read a span: its dialects, and what they read of it, by order of trust.

    ``deriving`` are the methods of dialects that do not inherit ``Dialect.derived_fields``, which
    gives nothing, ``refining`` those of dialects that do not inherit ``Dialect.refined_fields``.
    ``errors`` are those of dialects that cannot say whether they apply. ``written_in`` names the
    dialect of the span: the one that gives its kind, since others refine what that one gives. Where
    none has an attribute for the kind, it is the first that reads any attribute, or any payload;
    None where no dialect applies.
    """

    dialects: tuple[Dialect, ...]
    readers: tuple[AttributeReader, ...]
    deriving: tuple[DialectMethod, ...]
    refining: tuple[DialectMethod, ...]
    errors: tuple[DialectError, ...]
    written_in: str | None


@lru_cache(maxsize=256)  # the spans of one instrumentation have the same names
def reading_plan(
    dialects: tuple[Dialect, ...], attributes: tuple[str, ...], events: frozenset[str]
) -> ReadingPlan:
    """How to read a span whose attributes and events have these names."""
    present = frozenset(attributes)
    asked = MergedFields()
    applicable = tuple(
        dialect
        for dialect in by_rank(dialects)
        if asked.call(dialect, dialect.applies_to, present, events)
    )
    readers = tuple(attribute_readers(applicable, present))
    return ReadingPlan(
        dialects=applicable,
        readers=readers,
        deriving=own_methods(applicable, "derived_fields"),
        refining=own_methods(applicable, "refined_fields"),
        errors=tuple(asked.errors),
        written_in=next((d.name for d in (*dialects_that_read(readers), *applicable)), None),
    )


def attribute_readers(
    dialects: Iterable[Dialect], present: frozenset[str]
) -> Iterator[AttributeReader]:
    """What ``dialects`` read of a span that has the attributes ``present``."""
    sources: list[FieldSource] = []
    for dialect in dialects:
        sources += [
            FieldSource(dialect, field.name, field.read, attribute)
            for field in dialect.fields
            for attribute in field.attributes
            if attribute in present
        ]
        if payloads := own_methods([dialect], "payload_fields"):
            yield AttributeReader(tuple(sources), payloads)
            sources = []
    yield AttributeReader(tuple(sources), ())


def dialects_that_read(readers: tuple[AttributeReader, ...]) -> Iterator[Dialect]:
    """The dialects of ``readers``, before the others those that read the kind."""
    yield from (s.dialect for reader in readers for s in reader.sources if s.field == "kind")
    yield from (each.dialect for reader in readers for part in reader for each in part)


def own_methods(dialects: Iterable[Dialect], name: str) -> tuple[DialectMethod, ...]:
    """The methods called ``name`` of those ``dialects`` that do not inherit it from ``Dialect``."""
    return tuple(
        DialectMethod(dialect, getattr(dialect, name))
        for dialect in dialects
        if getattr(type(dialect), name) is not getattr(Dialect, name)
    )


def event_names(events: tuple[SpanEvent, ...]) -> frozenset[str]:
    """The names of ``events``."""
    return frozenset([event.name for event in events if event.name])


@lru_cache
def attribute_event_names(dialects: tuple[Dialect, ...]) -> frozenset[str]:
    """The names of the events whose attributes count as attributes of their span."""
    return frozenset(name for dialect in dialects for name in dialect.attribute_events)


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


def add_event_messages(
    merged: MergedFields, events: tuple[SpanEvent, ...], dialects: Sequence[Dialect]
) -> None:
    """Add the messages in events, from the first dialect that finds any."""
    for dialect in dialects:
        found = merged.call(dialect, event_messages, dialect, events)
        if found and any(found):
            merged.add(dialect, "input_messages", found.inputs)
            merged.add(dialect, "output_messages", found.outputs)
            return


def event_messages(dialect: Dialect, events: tuple[SpanEvent, ...]) -> EventMessages:
    """The messages in events as ``dialect`` reads them; raises what it raises, and for no lists."""
    inputs, outputs = dialect.event_messages(events)
    return EventMessages(list(inputs), list(outputs))


def decoded_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """``fields`` with messages, tools, documents and usage as the types of the schema."""
    decode_conversation(fields)
    if "tools" in fields:
        fields["tools"] = decode_tools(fields["tools"])
    if fields.get("kind") is SpanKind.TOOL:
        unwrap_tool_run(fields)
    if "documents" in fields:
        fields["documents"] = decode_documents(fields["documents"])
    usage = {name: fields.pop(name) for name in USAGE_FIELDS if name in fields}
    if usage:
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
