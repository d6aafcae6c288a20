"""Attributes -> ``Span``: the mapping that every adapter shares.

Reads the OpenInference conventions first, then those of OpenTelemetry GenAI and its kin (see
``genai``), field by field. What no attribute says stays None; what an attribute says in a way
that is not understood stays None too, and is still there in ``Span.attributes``. Nothing here
raises, whatever the attributes hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from halo_adapters.dialects import otel_genai
from halo_adapters.dialects.attributes import dotted, items_of
from halo_adapters.json_values import (
    integer_of,
    json_safe,
    json_safe_map,
    name_of,
    number_of,
    unix_nano,
)
from halo_adapters.messages.decode import definitions, documents, finish_reason_of, messages
from halo_engine.fields import as_text
from halo_engine.schema import Message, Origin, Span, SpanEvent, SpanKind, Status, StatusCode, Usage

__all__ = ["span_from_attributes", "status_of", "unix_nano"]

KINDS = {kind.value: kind for kind in SpanKind}
NO_STATUS = Status()
STATUSES = {
    spelling: Status(code=code)
    for number, code in enumerate(StatusCode)
    for spelling in (number, str(number), code.value, f"STATUS_CODE_{code.value}")
}
USAGE = tuple(Usage.model_fields)


def kind_of(value: Any) -> SpanKind | None:
    """The OpenInference span kind that ``value`` names, in any case of letters; else None."""
    return KINDS.get(value.upper()) if isinstance(value, str) else None


# Field, how to read it, and the attributes that hold it, the one to trust most first.
FIELDS: list[tuple[str, Callable[[Any], Any], tuple[str, ...]]] = [
    ("kind", kind_of, ("openinference.span.kind",)),
    ("input", as_text, ("input.value",)),
    ("output", as_text, ("output.value",)),
    ("input_messages", items_of, ("llm.input_messages", "llm.prompts")),
    ("output_messages", items_of, ("llm.output_messages", "llm.choices")),
    ("tools", items_of, ("llm.tools",)),
    ("documents", items_of, ("retrieval.documents", "reranker.output_documents")),
    ("tool_name", name_of, ("tool.name",)),
    ("tool_call_id", name_of, ("tool_call.id", "tool.id")),
    (
        "model_name",
        name_of,
        (
            "llm.model_name",
            "llm.response.model_name",
            "llm.request.model_name",
            "embedding.model_name",
            "reranker.model_name",
        ),
    ),
    ("finish_reason", name_of, ("llm.finish_reason",)),
    ("prompt_tokens", integer_of, ("llm.token_count.prompt",)),
    ("completion_tokens", integer_of, ("llm.token_count.completion",)),
    ("total_tokens", integer_of, ("llm.token_count.total",)),
    ("cost", number_of, ("llm.cost.total",)),
    ("session_id", name_of, ("session.id",)),
    ("user_id", name_of, ("user.id",)),
    *otel_genai.FIELDS,
    ("kind", kind_of, ("inference.observation_kind",)),
]

Source = tuple[str, Callable[[Any], Any], str]

# The same, name by name in order of trust, and the place of each name in it.
SOURCES: list[Source] = [
    (field, first_values, name) for field, first_values, names in FIELDS for name in names
]
RANKS = {name: rank for rank, (_, _, name) in enumerate(SOURCES)}


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
) -> Span:
    """The span that ``attributes`` describe.

    ``status_code`` is ERROR, STATUS_CODE_ERROR or 2, as any OpenTelemetry format writes it.
    ``events`` are objects with ``name``, ``attributes`` and a time under ``timestamp``,
    ``time_unix_nano`` or ``timeUnixNano``. ``kind`` is the span kind where a platform gives it
    beside the attributes; its UNKNOWN yields to what the attributes say.
    """
    kept = json_safe_map(attributes)
    happened = tuple(map(event_of, events))
    found = fields_of(kept, happened)
    said = kind_of(kind)
    if said not in (None, SpanKind.UNKNOWN):
        found["kind"] = said
    elif said:
        found.setdefault("kind", said)
    found.update(
        trace_id=json_safe(trace_id),
        span_id=json_safe(span_id),
        parent_span_id=json_safe(parent_span_id),
        name=as_text(json_safe(name)),
        start_time_unix_nano=start_time_unix_nano,
        end_time_unix_nano=end_time_unix_nano,
        status=status_of(status_code, status_message),
        events=happened,
        attributes=kept,
        resource=json_safe_map(resource or {}),
        origin=origin,
    )
    return Span.model_validate(found)


def fields_of(attributes: dict[str, Any], events: tuple[SpanEvent, ...]) -> dict[str, Any]:
    """The fields of a span that its attributes, and the events beside them, tell."""
    names = dotted(attributes)
    if events:
        names = {**dotted(otel_genai.event_details(events)), **names}
    found = first_values(names)
    if found.get("kind") is SpanKind.TOOL and "tool_name" not in found:
        found["tool_name"] = name_of(names.get("traceloop.entity.name"))
    decode_messages(found, events)
    if "tools" in found:
        found["tools"] = definitions(found["tools"])
    if "documents" in found:
        found["documents"] = documents(found["documents"])
    usage = {key: found.pop(key) for key in USAGE if key in found}
    return {**found, "usage": usage} if usage else found


def first_values(names: dict[str, Any]) -> dict[str, Any]:
    """Every field that is told, from the most trusted name that tells it."""
    found: dict[str, Any] = {}
    for field, read_value, name in sources_in(tuple(names)):
        if field not in found:
            value = read_value(names[name])
            if value is not None:
                found[field] = value
    return found


@lru_cache(maxsize=256)  # the spans of one instrumentation have the same names
def sources_in(names: tuple[str, ...]) -> list[Source]:
    """The sources among ``names``, in order of trust."""
    return [SOURCES[rank] for rank in sorted(RANKS[name] for name in names if name in RANKS)]


def decode_messages(found: dict[str, Any], events: tuple[SpanEvent, ...]) -> None:
    """Turn the raw messages in ``found`` into messages, and find the finish reason in them."""
    inputs, outputs = found.pop("input_messages", None), found.pop("output_messages", None)
    system = found.pop("system", None)
    if events and inputs is None and outputs is None:
        inputs, outputs = otel_genai.event_messages(events)
    if inputs or system:
        found["input_messages"] = with_system(messages(inputs or []), system)
    if outputs:
        found["output_messages"] = messages(outputs)
    if "finish_reason" not in found and found.get("kind") is SpanKind.LLM:
        found["finish_reason"] = finish_reason_of(outputs, found.get("output"))


def with_system(said: tuple[Message, ...], system: list[Any] | None) -> tuple[Message, ...]:
    """``said`` after the system instructions, unless it holds a system message itself."""
    if not system or any(message.role == "system" for message in said):
        return said
    return messages([{"role": "system", "parts": system}]) + said


def event_of(event: Any) -> SpanEvent:
    """The event in ``event``; what is not an object is kept under ``value``."""
    if not isinstance(event, Mapping):
        return SpanEvent(attributes={"value": json_safe(event)})
    attributes = event.get("attributes")
    times = (event.get(key) for key in ("timestamp", "time_unix_nano", "timeUnixNano"))
    return SpanEvent(
        name=as_text(json_safe(event.get("name"))),
        time_unix_nano=next((time for time in map(unix_nano, times) if time), None),
        attributes=json_safe_map(attributes) if isinstance(attributes, Mapping) else {},
    )


def status_of(code: Any, message: Any = None) -> Status:
    """The status with ``code`` as any OpenTelemetry format writes it (ERROR, STATUS_CODE_ERROR or
    2); an unknown code is None, and so is an empty message."""
    known = STATUSES.get(code, NO_STATUS) if type(code) in (str, int) else NO_STATUS
    return Status(code=known.code, message=name_of(json_safe(message))) if message else known
