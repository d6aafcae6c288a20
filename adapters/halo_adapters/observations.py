"""Langfuse observations as ``Span``: as its API answers, and as its exports have them.

Observations come in two forms: from ``v2/observations`` (input and output as raw text, flat
metadata, "" for what is absent) and from the legacy endpoints (parsed, nested, null). Both give the
same span where the server stored the same. Nothing here raises, whatever a row holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from halo_adapters.dialects.errors import DialectErrors
from halo_adapters.dialects.otel_genai import (
    GEN_AI_OPERATION_NAME,
    content_of_event,
    unpacked_event,
)
from halo_adapters.dialects.spans import span_fields
from halo_adapters.json_values import (
    JsonObject,
    held_json,
    json_safe,
    json_safe_map,
    name_of,
    unix_nano,
)
from halo_adapters.messages.langfuse_observations import (
    OBSERVATION_KINDS,
    OTHER_KIND,
    observed_usage,
)
from halo_adapters.messages.recorded_io import recorded_fields
from halo_adapters.messages.run_texts import RUN_KINDS
from halo_adapters.otlp import decode_any_value, decode_attributes
from halo_engine.fields import as_text
from halo_engine.instrumentations import SCOPE_NAME
from halo_engine.schema import Origin, Span, SpanKind, Status, StatusCode, Usage

Row = Mapping[str, Any]
# The keys of the metadata that hold OpenTelemetry attributes of the span and of the resource.
ATTRIBUTES, RESOURCE = "attributes", "resourceAttributes"
# How the name of the library begins that recorded a span, where it is Langfuse's own.
SDK = "langfuse-sdk"

# Resource attribute -> field of an observation that has it, and of a legacy trace.
OBSERVATION_FIELDS = {
    "langfuse.trace.name": "traceName",
    "langfuse.trace.tags": "tags",
    "langfuse.trace.release": "release",
    "langfuse.trace.version": "version",
    "langfuse.trace.environment": "environment",
}
LEGACY_TRACE_FIELDS = {
    f"langfuse.trace.{name}": name
    for name in ("name", "tags", "release", "version", "environment", "metadata", "input", "output")
}
NO_TRACE: Row = {}


def span_from_observation(
    row: Row,
    origin: Origin,
    trace: Row | None = None,
    errors: DialectErrors | None = None,
) -> Span:
    """An observation as a span.

    ``trace`` is the legacy trace that it belongs to, which has the session and the user; ``errors``
    as in ``span_from_attributes``.
    """
    attributes, resource = observation_attributes(row)
    name, status = name_of(json_safe(row.get("name"))), observation_status(row)
    kind = OBSERVATION_KINDS.get(str(row.get("type"))) or kind_in(attributes, name)
    if kind is None and not is_of_another_library(resource):
        kind = OTHER_KIND
    found = span_fields(
        attributes,
        name=name,
        status=status,
        platform_fields=({"kind": kind} if kind else {}) | input_and_output(row, kind, attributes),
        errors=errors,
    )
    found.update(plain_fields(row, trace or NO_TRACE))
    if found.setdefault("kind", kind) is SpanKind.TOOL:
        found.setdefault("tool_name", name)
    if usage := observed_usage(
        row.get("usageDetails"), row.get("costDetails"), row.get("totalCost")
    ):
        found["usage"] = Usage(**usage)
    found.update(
        trace_id=as_text(json_safe(row.get("traceId"))) or "",
        span_id=as_text(json_safe(row.get("id"))) or "",
        parent_span_id=name_of(json_safe(row.get("parentObservationId"))),
        name=name,
        start_time_unix_nano=unix_nano(row.get("startTime")),
        end_time_unix_nano=unix_nano(row.get("endTime")),
        status=status,
        attributes=attributes,
        resource={**resource, **trace_attributes(row, trace or NO_TRACE)},
        origin=origin,
    )
    return Span(**found)


def observation_attributes(row: Row) -> tuple[JsonObject, JsonObject]:
    """Span and resource attributes of an observation, as far as Langfuse has kept them."""
    attributes, resource = attributes_in_metadata(row.get("metadata"))
    if parameters := row.get("modelParameters"):
        attributes["llm.invocation_parameters"] = json_safe(parameters)
    return attributes, resource


def attributes_in_metadata(metadata: Any) -> tuple[JsonObject, JsonObject]:
    """Span and resource attributes in metadata, flat or nested; other entries are the span's."""
    found: dict[str, dict[str, Any]] = {ATTRIBUTES: {}, RESOURCE: {}, "": {}}
    for key, value in json_safe_map(metadata).items() if isinstance(metadata, Mapping) else ():
        group, _, rest = key.partition(".")
        if group in (ATTRIBUTES, RESOURCE) and rest:
            found[group][rest] = decoded_if_otlp(value)
        elif key in (ATTRIBUTES, RESOURCE) and isinstance(value, dict):
            found[key].update(value)
        else:
            found[""][key] = value
    return {**found[""], **found[ATTRIBUTES]}, {**found[RESOURCE], **library_scope(found[""])}


def library_scope(metadata: JsonObject) -> JsonObject:
    """The name of the library that recorded an observation, as an attribute of the resource."""
    nested = metadata.get("scope")
    name = metadata.get("scope.name") or (nested.get("name") if isinstance(nested, dict) else None)
    return {SCOPE_NAME: name} if isinstance(name, str) and name else {}


def decoded_if_otlp(value: Any) -> Any:
    """A list or map that Langfuse has left as OTLP writes it, as it does with an empty list.

    Of a map that becomes an input or output it leaves the list of its members.
    """
    if not isinstance(value, dict) or len(value) != 1:
        return value
    if is_otlp_map(value):
        return decode_attributes(value["values"])
    return decode_any_value(value) if "arrayValue" in value or "kvlistValue" in value else value


def is_otlp_map(value: JsonObject) -> bool:
    """Whether ``value`` is the map of an OTLP value: a list of keys with values."""
    members = value.get("values")
    return isinstance(members, list) and bool(members) and all(map(is_otlp_member, members))


def is_otlp_member(member: Any) -> bool:
    """Whether ``member`` is a key with a value, as OTLP writes it."""
    return isinstance(member, dict) and member.keys() == {"key", "value"}


def plain_fields(row: Row, trace: Row) -> JsonObject:
    """Model, session and user, where the row or its trace has them: they override attributes."""
    names = {
        "model_name": row.get("model"),
        "session_id": row.get("sessionId") or trace.get("sessionId"),
        "user_id": row.get("userId") or trace.get("userId"),
    }
    return {field: name_of(json_safe(value)) for field, value in names.items() if value}


def is_of_another_library(resource: JsonObject) -> bool:
    """Whether Langfuse received the span from another library than its own SDK.

    Then its type says nothing: it is SPAN for whatever such a library does not name.
    """
    library = resource.get(SCOPE_NAME)
    return isinstance(library, str) and not library.startswith(SDK)


def kind_in(attributes: JsonObject, name: str | None) -> SpanKind | None:
    """The span kind that attributes and name tell, for an observation whose type is none."""
    return span_fields(attributes, name=name, errors=DialectErrors()).get("kind")


def input_and_output(row: Row, kind: SpanKind | None, attributes: JsonObject) -> JsonObject:
    """Input and output as text, with the messages or documents in them.

    They can be the events of the span, where it is one of OpenTelemetry GenAI.
    """
    given, returned = (
        decoded_if_otlp(held_json(json_safe(row.get(side)))) for side in ("input", "output")
    )
    if GEN_AI_OPERATION_NAME in attributes:
        given, returned = unpacked_event(given), unpacked_event(returned)
        if kind is SpanKind.TOOL:
            given, returned = content_of_event(given), content_of_event(returned)
    found = recorded_fields(kind, given, returned)
    if kind not in RUN_KINDS:
        texts = {side: input_text(row.get(side)) for side in ("input", "output")}
        # What was in no wrapper stays as it was written, blanks and all.
        same = {side: text for side, text in texts.items() if is_same_json(text, found.get(side))}
        found = {**texts, **found, **same}
    return {field: value for field, value in found.items() if value is not None}


def is_same_json(text: str | None, other: Any) -> bool:
    """Whether two texts are the same value as JSON."""
    return isinstance(other, str) and text is not None and held_json(text) == held_json(other)


def input_text(value: Any) -> str | None:
    """An input or output as text, as it was stored."""
    value = json_safe(value)
    if isinstance(value, str):
        return value
    return None if value is None else orjson.dumps(value).decode()


def observation_status(row: Row) -> Status:
    """ERROR where the level is, else UNSET: Langfuse records only whether there was an error.

    Other levels may have a status message too. None where the row has no level at all.
    """
    level = row.get("level")
    code = StatusCode.ERROR if level == "ERROR" else StatusCode.UNSET if level else None
    return Status(code=code, message=name_of(json_safe(row.get("statusMessage"))))


def trace_attributes(row: Row, trace: Row) -> JsonObject:
    """The fields of the trace as a whole, as attributes of the resource."""
    sources = ((row, OBSERVATION_FIELDS), (trace, LEGACY_TRACE_FIELDS))
    return {
        name: json_safe(holder[field])
        for holder, fields in sources
        for name, field in fields.items()
        if holder.get(field)
    }
