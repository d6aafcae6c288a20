"""Objects with the names of OpenTelemetry as ``Span``.

Names are read in every spelling in which exporters write them, ids also as integers, times in any
unit. The formats bring their rows to these names. Nothing here raises, whatever a row holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from halo_adapters import otlp
from halo_adapters.attributes import parsed_object
from halo_adapters.dialects.errors import DialectErrors
from halo_adapters.dialects.spans import EVENT_TIMES, span_from_attributes
from halo_adapters.files.asides import Asides
from halo_adapters.files.records import Problem
from halo_adapters.files.strangers import what_it_is
from halo_adapters.json_values import JsonObject, json_safe, name_of, time_faults, unix_nano
from halo_adapters.phoenix_spans import as_recorded
from halo_engine.schema import Origin, Span

PLATFORM = "files"

TRACE_IDS = ("trace_id", "traceId")
SPAN_IDS = ("span_id", "spanId")
PARENT_IDS = ("parent_span_id", "parentSpanId", "parent_id", "parentId")
# Objects that hold the ids of the span, and of its parent.
CONTEXTS = ("context", "spanContext")
PARENTS = ("parent", "parentSpanContext")
STARTS = ("start_time", "startTimeUnixNano", "start_time_unix_nano", "startTime")
ENDS = ("end_time", "endTimeUnixNano", "end_time_unix_nano", "endTime")
# An object with ids but none of these refers to a span and is not one (an annotation, for example).
SPAN_KEYS = {"name", "attributes", *STARTS, *ENDS}


def has_ids(row: JsonObject) -> bool:
    """Whether ``row`` has the ids of a span, and something else that spans have."""
    names = context_of(row).keys()
    return not (
        names.isdisjoint(TRACE_IDS)
        or names.isdisjoint(SPAN_IDS)
        or row.keys().isdisjoint(SPAN_KEYS)
    )


def context_of(row: JsonObject) -> JsonObject:
    """The object with the ids of a span: one in it, or the span itself."""
    for name in CONTEXTS:
        if isinstance(found := row.get(name), dict):
            return found
    return row


class Place(NamedTuple):
    """Where a row stands, what else its files say of it, and who collects errors of dialects."""

    reference: str
    asides: Asides
    errors: DialectErrors


def read_span_object(
    row: Any, resource: JsonObject | None, place: Place
) -> tuple[Span | Problem, ...]:
    """``row`` as a span, then a ``Problem`` for times in it that are none.

    ``resource`` are the attributes of its resource where it stands in an OTLP document.
    """
    span = span_from_row(row, resource, place)
    if not isinstance(span, Span) or not lacks_time(span):
        return (span,)
    if faults := time_faults(times_in_row(row)):
        what = f"holds a span with times that cannot be right: {faults}."
        return (span, Problem(what, place.reference))
    return (span,)


def lacks_time(span: Span) -> bool:
    """Whether ``span`` or one of its events has no time, as where that could not be read."""
    if span.start_time_unix_nano is None or span.end_time_unix_nano is None:
        return True
    return bool(span.events) and any(event.time_unix_nano is None for event in span.events)


def times_in_row(row: JsonObject) -> JsonObject:
    """The times of a span and of its events, by name; a side with a right time is left out."""
    events = row["events"] if isinstance(row.get("events"), list) else []
    holders = [
        ("start", row, STARTS),
        ("end", row, ENDS),
        *(("event", event, EVENT_TIMES) for event in events if isinstance(event, dict)),
    ]
    return {
        f"{side} ({name})": holder[name]
        for side, holder, names in holders
        if time_from_row(holder, names) is None
        for name in names
        if name in holder
    }


def span_from_row(row: Any, resource: JsonObject | None, place: Place) -> Span | Problem:
    """``row`` as a span; see ``read_span_object``."""
    reference = place.reference
    if not isinstance(row, dict):
        return Problem("is JSON but not an object, so not a span.", reference)
    context = context_of(row)
    trace_id = id_from_row(context, TRACE_IDS, otlp.full_trace_id)
    span_id = id_from_row(context, SPAN_IDS)
    if trace_id is None or span_id is None or row.keys().isdisjoint(SPAN_KEYS):
        return Problem(not_a_span_reason(row, trace_id, span_id), reference)
    code, message = status_from_row(row, None if resource is None else {})
    if resource is None:
        resource = resource_attributes(row.get("resource")) | otlp.scope_attributes(row)
    attributes, events = attributes_from_row(row), events_from_row(row)
    for aside in place.asides.on(trace_id, span_id):
        attributes = aside.attributes | attributes
        events += [aside.event] if aside.event else []
    return span_from_attributes(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent_id_from_row(row),
        name=row.get("name"),
        start_time_unix_nano=time_from_row(row, STARTS),
        end_time_unix_nano=time_from_row(row, ENDS),
        status_code=code,
        status_message=message,
        **recorded_attributes(row, attributes),
        events=events,
        resource=resource,
        origin=Origin(platform=PLATFORM, project=project_name(resource), reference=reference),
        errors=place.errors,
    )


def recorded_attributes(row: JsonObject, attributes: JsonObject) -> JsonObject:
    """Attributes for ``span_from_attributes``, and which of them an export of Phoenix has added."""
    kind = row.get("span_kind")
    return as_recorded(kind, attributes) if isinstance(kind, str) else {"attributes": attributes}


def not_a_span_reason(row: JsonObject, trace_id: str | None, span_id: str | None) -> str:
    """Why ``row`` is not a span: an id is missing, or all other fields of spans are."""
    if not row.keys().isdisjoint(SPAN_KEYS) and (trace_id or span_id):
        return f"is a span without a {'span' if trace_id else 'trace'} id."
    return what_it_is(row)


def id_from_row(
    row: JsonObject, names: tuple[str, ...], read: Callable[[Any], str | None] = otlp.id_of
) -> str | None:
    """The first valid id under ``names``."""
    for name in names:
        if name in row and (found := read(row[name])):
            return found
    return None


def parent_id_from_row(row: JsonObject) -> str | None:
    """The id of the parent, also in an object that describes it."""
    for name in PARENTS:
        if isinstance(row.get(name), dict):
            return id_from_row(row[name], SPAN_IDS)
    return id_from_row(row, PARENT_IDS)


def time_from_row(row: JsonObject, names: tuple[str, ...]) -> int | None:
    """The first valid time under ``names``, in nanoseconds since 1970."""
    for name in names:
        if name in row and (found := unix_nano(row[name])):
            return found
    return None


def status_from_row(row: JsonObject, absent: Any) -> tuple[Any, Any]:
    """The status code and message; ``absent`` is the default of a missing ``status``.

    A status without a code is UNSET: protobuf omits default values.
    """
    status = row.get("status", absent)
    if not isinstance(status, dict):
        return in_capitals(status or row.get("status_code")), row.get("status_message")
    code = status.get("code", status.get("status_code"))
    message = status.get("message", status.get("description"))
    return "UNSET" if code is None else in_capitals(code), message


def in_capitals(code: Any) -> Any:
    """A status code as OpenTelemetry spells it: some exporters write "Ok" or "error"."""
    return code.upper() if isinstance(code, str) else code


def attributes_from_row(row: JsonObject) -> JsonObject:
    """The attributes, from an object, a list of key values, or JSON text."""
    attributes = row.get("attributes")
    return (
        parsed_object(attributes)
        if isinstance(attributes, str)
        else otlp.decode_attributes(attributes)
    )


def events_from_row(row: JsonObject) -> list[Any]:
    """The events, their attributes as dicts."""
    events = row.get("events")
    return [event_with_attributes(event) for event in events] if isinstance(events, list) else []


def event_with_attributes(event: Any) -> Any:
    """One event with its attributes as a dict."""
    if not isinstance(event, dict):
        return event
    return {**event, "attributes": otlp.decode_attributes(event.get("attributes"))}


def resource_attributes(value: Any) -> JsonObject:
    """The attributes of a resource, at its top level or below ``attributes``."""
    resource = otlp.object_or_empty(value)
    return otlp.decode_attributes(resource.get("attributes", resource))


def project_name(resource: JsonObject) -> str | None:
    """The project of a resource: OpenInference's project name, else the service name."""
    name = resource.get("openinference.project.name") or resource.get("service.name")
    return name_of(json_safe(name))
