"""Langfuse observations, scores and comments as spans and scores.

Rows come in two forms: from ``v2/observations`` (input and output as raw text, metadata flat, ""
for what is absent) and from the legacy endpoints (parsed, nested, null). Both give the same span,
as far as the server kept the same. Nothing here raises, whatever a row holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from halo_adapters.dialects.openinference import fields_of, unix_nano
from halo_adapters.json_values import (
    integer_of,
    json_safe,
    json_safe_map,
    name_of,
    number_of,
    parse_json,
)
from halo_adapters.messages.decode import definitions, documents, finish_reason_of
from halo_adapters.messages.payloads import extract_messages, tools_in
from halo_engine.fields import as_text
from halo_engine.schema import Origin, Score, Span, SpanKind, Status, StatusCode, datetime_of

Row = Mapping[str, Any]

KINDS = {
    "GENERATION": SpanKind.LLM,
    "AGENT": SpanKind.AGENT,
    "TOOL": SpanKind.TOOL,
    "CHAIN": SpanKind.CHAIN,
    "RETRIEVER": SpanKind.RETRIEVER,
    "EVALUATOR": SpanKind.EVALUATOR,
    "EMBEDDING": SpanKind.EMBEDDING,
    "GUARDRAIL": SpanKind.GUARDRAIL,
}
# What a type that says nothing more is, where the attributes do not say it either.
GENERIC = SpanKind.CHAIN

# What OpenTelemetry attributes stand under in the metadata, and what belongs to the resource.
ATTRIBUTES, RESOURCE = "attributes", "resourceAttributes"
OF_TRACE = {
    "langfuse.trace.name": "traceName",
    "langfuse.trace.tags": "tags",
    "langfuse.trace.release": "release",
    "langfuse.trace.version": "version",
    "langfuse.trace.environment": "environment",
}
OF_LEGACY = {
    name: f"langfuse.trace.{name}"
    for name in ("name", "tags", "release", "version", "environment", "metadata", "input", "output")
}
NOTHING: Row = {}
SOURCES = {"ANNOTATION": "HUMAN", "EVAL": "LLM"}
TEXT_TYPES = ("TEXT", "CORRECTION")


def span_of(row: Row, project: str | None, trace: Row | None = None) -> Span:
    """The span that an observation is.

    ``project`` is the id of its project; ``trace`` the legacy trace it belongs to, which knows
    session and user.
    """
    attributes, resource = attributes_of(row.get("metadata"))
    found = fields_of(attributes, ())
    kind = KINDS.get(str(row.get("type"))) or found.get("kind") or GENERIC
    found.update(conversation_of(row, kind))
    found.update(row_fields(row, trace or NOTHING))
    if kind is SpanKind.TOOL and "tool_name" not in found:
        found["tool_name"] = name_of(json_safe(row.get("name")))
    if usage := usage_of(row):
        found["usage"] = usage
    if parameters := row.get("modelParameters"):
        attributes["llm.invocation_parameters"] = json_safe(parameters)
    found.update(
        kind=kind,
        trace_id=as_text(json_safe(row.get("traceId"))) or "",
        span_id=as_text(json_safe(row.get("id"))) or "",
        parent_span_id=name_of(json_safe(row.get("parentObservationId"))),
        name=name_of(json_safe(row.get("name"))),
        start_time_unix_nano=unix_nano(row.get("startTime")),
        end_time_unix_nano=unix_nano(row.get("endTime")),
        status=status_of(row),
        attributes=attributes,
        resource={**resource, **trace_facts(row, trace or NOTHING)},
        origin=Origin(platform="langfuse", project=project),
    )
    return Span.model_validate(found)


def attributes_of(metadata: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Attributes and resource out of the metadata, flat or nested; what is neither, an attribute."""
    found: dict[str, dict[str, Any]] = {ATTRIBUTES: {}, RESOURCE: {}, "": {}}
    for key, value in json_safe_map(metadata).items() if isinstance(metadata, Mapping) else ():
        group, _, rest = key.partition(".")
        if group in (ATTRIBUTES, RESOURCE) and rest:
            found[group][rest] = value
        elif key in (ATTRIBUTES, RESOURCE) and isinstance(value, dict):
            found[key].update(value)
        else:
            found[""][key] = value
    return {**found[""], **found[ATTRIBUTES]}, found[RESOURCE]


def row_fields(row: Row, trace: Row) -> dict[str, Any]:
    """The plain fields that the row itself tells; what it does not is left to the attributes."""
    names = {
        "model_name": row.get("model"),
        "session_id": row.get("sessionId") or trace.get("sessionId"),
        "user_id": row.get("userId") or trace.get("userId"),
    }
    return {field: name_of(json_safe(value)) for field, value in names.items() if value}


def conversation_of(row: Row, kind: SpanKind) -> dict[str, Any]:
    """Input and output, and what they hold."""
    found: dict[str, Any] = {}
    values = {side: opened(row.get(side)) for side in ("input", "output")}
    for side, (text, _) in values.items():
        if text is not None:
            found[side] = text
    asked, answered = values["input"][1], values["output"][1]
    if kind is SpanKind.LLM:
        found.update(messages_of(asked, answered, found.get("output")))
    if kind is SpanKind.RETRIEVER and is_documents(answered):
        found["documents"] = documents([document_in(item) for item in answered])
    return found


def messages_of(asked: Any, answered: Any, output: str | None) -> dict[str, Any]:
    """What was said to a model and by it."""
    reason = finish_reason_of([answered] if isinstance(answered, dict) else None, output)
    found = {
        "input_messages": extract_messages(asked, "user"),
        "output_messages": extract_messages(answered, "assistant"),
        "tools": definitions(tools_in(asked) or []),
        "finish_reason": reason,
    }
    return {field: value for field, value in found.items() if value}


def opened(value: Any) -> tuple[str | None, Any]:
    """An input or output as text, as it came, and as the value that it holds."""
    value = json_safe(value)
    if not isinstance(value, str):
        return (None if value is None else orjson.dumps(value).decode()), value
    held = parse_json(value) if value[:1] in ("{", "[", '"') else None
    return value, value if held is None else held


def is_documents(value: Any) -> bool:
    """Whether this is a list of retrieved documents."""
    return isinstance(value, list) and all(isinstance(item, (dict, str)) for item in value)


def document_in(item: Any) -> Any:
    """A document in the words that the others use; LangChain calls its text page_content."""
    if not isinstance(item, dict):
        return {"content": item}
    kwargs = item.get("kwargs")
    inner = kwargs if "lc" in item and isinstance(kwargs, dict) else item
    content = next(
        (inner[key] for key in ("content", "page_content", "pageContent", "text") if key in inner),
        None,
    )
    return {"id": inner.get("id"), "content": content, "score": inner.get("score")}


def status_of(row: Row) -> Status:
    """Only the level ERROR is an error; a message says what happened at any level."""
    code = StatusCode.ERROR if row.get("level") == "ERROR" else None
    return Status(code=code, message=name_of(json_safe(row.get("statusMessage"))))


def usage_of(row: Row) -> dict[str, Any]:
    """Tokens and cost; zeros without details are what Langfuse shows where it knows nothing."""
    usage, cost = row.get("usageDetails"), row.get("costDetails")
    found: dict[str, Any] = {}
    if isinstance(usage, Mapping) and any(usage.values()):
        names = {"prompt_tokens": "input", "completion_tokens": "output", "total_tokens": "total"}
        found = {field: integer_of(usage.get(name)) for field, name in names.items()}
    if isinstance(cost, Mapping) and cost:
        total = row.get("totalCost")
        found["cost"] = number_of(cost.get("total") if total is None else total)
    return {field: value for field, value in found.items() if value is not None}


def trace_facts(row: Row, trace: Row) -> dict[str, Any]:
    """What Langfuse knows of the trace as a whole, as attributes of the resource."""
    facts = {name: json_safe(row[key]) for name, key in OF_TRACE.items() if row.get(key)}
    if trace:
        facts |= {OF_LEGACY[key]: json_safe(trace[key]) for key in OF_LEGACY if trace.get(key)}
    return facts


def score_of(row: Row) -> Score:
    """A score, of ``v3/scores`` or ``v2/scores``."""
    value = row.get("stringValue") or row.get("value")
    text = as_text(json_safe(value)) if not isinstance(value, (int, float)) else None
    is_text = row.get("dataType") in TEXT_TYPES
    metadata = row.get("metadata")
    kept = json_safe_map(metadata) if isinstance(metadata, Mapping) else {}
    created = unix_nano(row.get("createdAt"))
    return Score(
        name=as_text(json_safe(row.get("name"))) or "",
        span_id=span_of_score(row),
        label=label_of(row, value, None if is_text else text),
        value=number_of(float(value)) if isinstance(value, (bool, int, float)) else None,
        explanation=name_of(text if is_text else json_safe(row.get("comment"))),
        source=source_of(row, kept),
        identifier=name_of(json_safe(row.get("id"))),
        created_at=datetime_of(created),
        metadata=kept,
    )


def label_of(row: Row, value: Any, text: str | None) -> str | None:
    """The category, or for a boolean its name."""
    if row.get("dataType") == "BOOLEAN" and isinstance(value, (bool, int, float)):
        return "true" if value else "false"
    return text or None


def span_of_score(row: Row) -> str | None:
    """The observation that a score is on; None for one on the whole trace."""
    subject = row.get("subject")
    if isinstance(subject, Mapping):
        return (
            name_of(json_safe(subject.get("id"))) if subject.get("kind") == "observation" else None
        )
    return name_of(json_safe(row.get("observationId")))


def source_of(row: Row, metadata: Mapping[str, Any]) -> str | None:
    """Who judged; a score that came over the API says it in metadata of ours, or it was code."""
    source = row.get("source")
    if found := SOURCES.get(str(source)):
        return found
    ours = metadata.get("halo")
    said_so = ours.get("annotator_kind") if isinstance(ours, Mapping) else None
    return name_of(said_so) or ("CODE" if source == "API" else name_of(json_safe(source)))


def comment_of(row: Row) -> Score:
    """A comment that somebody left on a trace or an observation."""
    on_span = row.get("objectType") == "OBSERVATION"
    return Score(
        name="comment",
        span_id=name_of(json_safe(row.get("objectId"))) if on_span else None,
        explanation=as_text(json_safe(row.get("content"))),
        source="HUMAN" if row.get("authorUserId") else "CODE",
        identifier=name_of(json_safe(row.get("id"))),
        created_at=datetime_of(unix_nano(row.get("createdAt"))),
    )
