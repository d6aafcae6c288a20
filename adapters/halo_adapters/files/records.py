"""JSON records of trace files as spans, in any of the accepted formats.

A record is a span as a flat object (as in HALO's export), a span as Phoenix's REST API and client
return it, an OTLP JSON document, or a list of these. The format is recognised by the content, not
by the file name, so formats may be mixed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import orjson

from halo_adapters import otlp
from halo_adapters.attributes import parsed_object
from halo_adapters.dialects.errors import DialectErrors
from halo_adapters.dialects.spans import EVENT_TIMES, span_from_attributes
from halo_adapters.files.broken_json import whole_items
from halo_adapters.json_values import JsonObject, json_safe, name_of, time_faults, unix_nano
from halo_engine.schema import Origin, Span
from halo_engine.text.unicode import valid_text

PLATFORM = "files"
ACCEPTED = (
    "JSON lines of OpenInference spans (also HALO's format), spans as Phoenix's API and client "
    "give them (also in a JSON array), OTLP JSON (a document, or one per line), each also as .gz"
)
BOM = b"\xef\xbb\xbf"

TRACE_IDS = ("trace_id", "traceId")
SPAN_IDS = ("span_id", "spanId")
PARENT_IDS = ("parent_span_id", "parentSpanId", "parent_id")
STARTS = ("start_time", "startTimeUnixNano", "start_time_unix_nano")
ENDS = ("end_time", "endTimeUnixNano", "end_time_unix_nano")
# An object with ids but none of these refers to a span and is not one (an annotation, for example).
SPAN_KEYS = {"name", "attributes", *STARTS, *ENDS}
# How many keys of an object a message lists.
KEYS_SHOWN = 8


class Problem(NamedTuple):
    """Why a record, or a part of it, is not a span: a sentence without its subject.

    ``where`` is the reference of the part, "" for the record as a whole.
    """

    what: str
    where: str = ""


def parse(record: bytes) -> tuple[Any, Problem | None]:
    """The JSON value of ``record``, with a ``Problem`` where it could be read only in part.

    NaN, Infinity and lone surrogates, which are not JSON but which exporters write, are accepted;
    bytes that are not UTF-8 are replaced by U+FFFD. Raises ``ValueError`` with the reason where the
    record is not JSON.
    """
    try:
        return orjson.loads(record), None
    except orjson.JSONDecodeError:
        return parse_leniently(record)


def parse_leniently(record: bytes) -> tuple[Any, Problem | None]:
    """``parse`` with the parser of the standard library, which is slower and accepts more."""
    text = record.removeprefix(BOM).decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("is nested too deeply.") from None
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}.") from None
    replaced = Problem("holds bytes that are not UTF-8; they were replaced by U+FFFD.")
    return value, None if is_utf8(record) else replaced


def parse_broken(record: bytes, error: ValueError) -> tuple[Any, Problem]:
    """What can be read of a record that ``parse`` refused with ``error``: its whole items."""
    value = whole_items(record.removeprefix(BOM).decode("utf-8", "replace"))
    if not value or next(rows_in_record(value), None) is None:
        return [], Problem(str(error))
    return value, Problem(f"{error} It was read as far as its items are whole.")


def is_utf8(record: bytes) -> bool:
    """Whether ``record`` is UTF-8."""
    try:
        record.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_record(line: bytes) -> bool:
    """Whether ``line`` is a complete JSON record that has a span."""
    try:
        value, _ = parse(line)
    except ValueError:
        return False
    errors = DialectErrors()  # of a first look; they come again when the line is read
    return any(isinstance(found, Span) for found in spans_in_record(value, "", errors))


def spans_in_record(value: Any, reference: str, errors: DialectErrors) -> Iterator[Span | Problem]:
    """Every span in a parsed record; a ``Problem`` for each part of it that is not one.

    ``reference`` is that of the record; in a list or document, ``#number`` is appended to it.
    ``errors`` collects what dialects raise.
    """
    if not isinstance(value, list) and not is_container(value):
        yield from span_and_problems(value, reference, None, errors)
        return
    for number, (row, resource) in enumerate(rows_in_record(value), 1):
        yield from span_and_problems(row, f"{reference}#{number}", resource, errors)


def is_container(value: Any) -> bool:
    """Whether ``value`` contains spans: an OTLP document, or an answer of Phoenix's API."""
    return isinstance(value, dict) and (
        "resourceSpans" in value or "resource_spans" in value or isinstance(value.get("data"), list)
    )


def rows_in_record(value: Any) -> Iterator[tuple[Any, JsonObject | None]]:
    """The objects in a list, an OTLP document or an answer of Phoenix's API, one per span.

    Each comes with the attributes of its resource in an OTLP document, else with None.
    """
    for element in value if isinstance(value, list) else [value]:
        if not is_container(element):
            yield element, None
        elif isinstance(element.get("data"), list):
            yield from ((row, None) for row in element["data"])
        else:
            yield from otlp.spans_in_document(element)


def span_and_problems(
    row: Any, reference: str, resource: JsonObject | None, errors: DialectErrors
) -> Iterator[Span | Problem]:
    """``row`` as a span (see ``span_from_row``), then a ``Problem`` for times in it that are none."""
    span = span_from_row(row, reference, resource, errors)
    yield span
    if isinstance(span, Span) and (faults := time_faults(times_in_row(row))):
        yield Problem(f"holds a span with times that cannot be right: {faults}.", reference)


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


def span_from_row(
    row: Any, reference: str, resource: JsonObject | None, errors: DialectErrors
) -> Span | Problem:
    """``row`` as a span; ``resource`` are the attributes of its resource in an OTLP document."""
    if not isinstance(row, dict):
        return Problem("is JSON but not an object, so not a span.", reference)
    context = row["context"] if isinstance(row.get("context"), dict) else row
    trace_id = id_from_row(context, TRACE_IDS, otlp.full_trace_id)
    span_id = id_from_row(context, SPAN_IDS)
    if trace_id is None or span_id is None or row.keys().isdisjoint(SPAN_KEYS):
        return Problem(not_a_span_reason(row, trace_id, span_id), reference)
    code, message = status_from_row(row, None if resource is None else {})
    resource = resource_attributes(row.get("resource")) if resource is None else resource
    return span_from_attributes(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=id_from_row(row, PARENT_IDS),
        name=row.get("name"),
        kind=row.get("span_kind"),
        start_time_unix_nano=time_from_row(row, STARTS),
        end_time_unix_nano=time_from_row(row, ENDS),
        status_code=code,
        status_message=message,
        attributes=attributes_from_row(row),
        events=events_from_row(row),
        resource=resource,
        origin=Origin(platform=PLATFORM, project=project_name(resource), reference=reference),
        errors=errors,
    )


def not_a_span_reason(row: JsonObject, trace_id: str | None, span_id: str | None) -> str:
    """Why ``row`` is not a span: an id is missing, or all other fields of spans are."""
    if not row.keys().isdisjoint(SPAN_KEYS) and (trace_id or span_id):
        return f"is a span without a {'span' if trace_id else 'trace'} id."
    if any(name in row for name in otlp.OTHER_SIGNALS):
        return "holds OpenTelemetry metrics or logs, not traces."
    keys = ", ".join(repr(valid_text(key)) for key in list(row)[:KEYS_SHOWN])
    return f"is JSON but not a span: its keys are {keys or 'none'}."


def id_from_row(
    row: JsonObject, names: tuple[str, ...], read: Callable[[Any], str | None] = otlp.id_of
) -> str | None:
    """The first valid id under ``names``."""
    for name in names:
        if name in row and (found := read(row[name])):
            return found
    return None


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
        return status or row.get("status_code"), row.get("status_message")
    code = status.get("code", status.get("status_code"))
    return "UNSET" if code is None else code, status.get("message", status.get("description"))


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
