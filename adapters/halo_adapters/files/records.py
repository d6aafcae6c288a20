"""One JSON record out of a file -> spans, whichever of the known formats it is in.

A record is a span as a flat object (HALO's export and the like), a span as Phoenix's REST API and
client give it, an OTLP document, or a list of these. A format is known by its content, never by
the name of a file, so that formats may be mixed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from halo_adapters import otlp
from halo_adapters.dialects.attributes import parsed_object
from halo_adapters.dialects.openinference import span_from_attributes
from halo_adapters.json_values import json_safe, name_of, unix_nano, valid_text
from halo_engine.schema import Origin, Span

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
# An object with ids and none of these is about a span, not one itself.
SPAN_KEYS = {"name", "attributes", *STARTS, *ENDS}
KEYS_SHOWN = 8

Json = dict[str, Any]


class Problem(NamedTuple):
    """Why something is not a span, or not all of one: a sentence without a subject.

    ``where`` says more closely than the place of its record where it is, if it can.
    """

    what: str
    where: str = ""


def parse(record: bytes) -> tuple[Any, Problem | None]:
    """The JSON value in ``record``, and what was wrong with it although it could be read.

    NaN, Infinity and lone surrogates, which JSON does not have but exporters write, are read;
    bytes that are not UTF-8 are replaced by U+FFFD. Raises ``ValueError`` with the reason where it
    is not JSON.
    """
    try:
        return orjson.loads(record), None
    except orjson.JSONDecodeError:
        return parse_leniently(record)


def parse_leniently(record: bytes) -> tuple[Any, Problem | None]:
    """``parse`` with the reader of the standard library, which takes more, slowly."""
    text = record.removeprefix(BOM).decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("is nested too deeply.") from None
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}.") from None
    replaced = Problem("holds bytes that are not UTF-8; they were replaced by U+FFFD.")
    return value, None if is_utf8(record) else replaced


def is_utf8(record: bytes) -> bool:
    """Whether ``record`` is UTF-8."""
    try:
        record.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_record(line: bytes) -> bool:
    """Whether ``line`` is a whole JSON record with a span in it."""
    try:
        value, _ = parse(line)
    except ValueError:
        return False
    return any(isinstance(found, Span) for found in spans_in(value, ""))


def spans_in(value: Any, reference: str) -> Iterator[Span | Problem]:
    """Every span in a parsed record; a ``Problem`` for each thing in it that is not one.

    ``reference`` says where the record is; the spans of one that holds several are numbered.
    """
    if not isinstance(value, list) and not is_container(value):
        yield span_in(value, reference)
        return
    for number, (row, resource) in enumerate(rows_in(value), 1):
        yield span_in(row, f"{reference}#{number}", resource)


def is_container(value: Any) -> bool:
    """Whether ``value`` holds spans: an OTLP document, or an answer of Phoenix's API."""
    return isinstance(value, dict) and (
        "resourceSpans" in value or "resource_spans" in value or isinstance(value.get("data"), list)
    )


def rows_in(value: Any) -> Iterator[tuple[Any, Json | None]]:
    """The objects in a list, an OTLP document or an answer of Phoenix's API, one per span.

    In an OTLP document each comes with the attributes of its resource.
    """
    for element in value if isinstance(value, list) else [value]:
        if not is_container(element):
            yield element, None
        elif isinstance(element.get("data"), list):
            yield from ((row, None) for row in element["data"])
        else:
            yield from otlp.rows(element)


def span_in(row: Any, reference: str, resource: Json | None = None) -> Span | Problem:
    """The span that ``row`` holds; ``resource`` where it stands in an OTLP document."""
    if not isinstance(row, dict):
        return Problem("is JSON but not an object, so not a span.", reference)
    context = row["context"] if isinstance(row.get("context"), dict) else row
    trace_id, span_id = id_in(context, TRACE_IDS), id_in(context, SPAN_IDS)
    if trace_id is None or span_id is None or row.keys().isdisjoint(SPAN_KEYS):
        return Problem(not_a_span(row, trace_id, span_id), reference)
    code, message = status_in(row, None if resource is None else {})
    resource = resource_of(row.get("resource")) if resource is None else resource
    return span_from_attributes(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=id_in(row, PARENT_IDS),
        name=row.get("name"),
        kind=row.get("span_kind"),
        start_time_unix_nano=time_in(row, STARTS),
        end_time_unix_nano=time_in(row, ENDS),
        status_code=code,
        status_message=message,
        attributes=attributes_in(row),
        events=events_in(row),
        resource=resource,
        origin=Origin(platform=PLATFORM, project=project_of(resource), reference=reference),
    )


def not_a_span(row: Json, trace_id: str | None, span_id: str | None) -> str:
    """Why ``row`` is not a span: it lacks an id, or all that a span has besides."""
    if not row.keys().isdisjoint(SPAN_KEYS) and (trace_id or span_id):
        return f"is a span without a {'span' if trace_id else 'trace'} id."
    if any(name in row for name in otlp.OTHER_SIGNALS):
        return "holds OpenTelemetry metrics or logs, not traces."
    keys = ", ".join(repr(valid_text(key)) for key in list(row)[:KEYS_SHOWN])
    return f"is JSON but not a span: its keys are {keys or 'none'}."


def id_in(row: Json, names: tuple[str, ...]) -> str | None:
    """The first id under ``names``."""
    for name in names:
        if name in row and (found := otlp.id_of(row[name])):
            return found
    return None


def time_in(row: Json, names: tuple[str, ...]) -> int | None:
    """The first time under ``names``, in nanoseconds since 1970."""
    for name in names:
        if name in row and (found := unix_nano(row[name])):
            return found
    return None


def status_in(row: Json, absent: Any) -> tuple[Any, Any]:
    """The status code and message, with ``absent`` for the status where there is none.

    A status without a code means UNSET: protobuf leaves out what is the default.
    """
    status = row.get("status", absent)
    if not isinstance(status, dict):
        return status or row.get("status_code"), row.get("status_message")
    code = status.get("code", status.get("status_code"))
    return "UNSET" if code is None else code, status.get("message", status.get("description"))


def attributes_in(row: Json) -> Json:
    """The attributes, whether an object, a list of key values, or JSON text."""
    attributes = row.get("attributes")
    return (
        parsed_object(attributes) if isinstance(attributes, str) else otlp.attributes_of(attributes)
    )


def events_in(row: Json) -> list[Any]:
    """The events, their attributes as dicts."""
    events = row.get("events")
    return [event_in(event) for event in events] if isinstance(events, list) else []


def event_in(event: Any) -> Any:
    """One event with its attributes as a dict."""
    if not isinstance(event, dict):
        return event
    return {**event, "attributes": otlp.attributes_of(event.get("attributes"))}


def resource_of(value: Any) -> Json:
    """The attributes of a resource, which may stand in it under ``attributes``."""
    resource = otlp.as_dict(value)
    return otlp.attributes_of(resource.get("attributes", resource))


def project_of(resource: Json) -> str | None:
    """The project that a resource names: OpenInference's, else the service."""
    name = resource.get("openinference.project.name") or resource.get("service.name")
    return name_of(json_safe(name))
