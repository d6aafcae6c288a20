"""Langfuse observations: built from OTLP spans, rendered for the v2 and the legacy endpoints.

What a recorded server (4.16) does with OpenInference spans: ``input.value`` and ``output.value``
become input and output; flattened messages are dropped; ``openinference.span.kind`` becomes the
type; the session of a root becomes its ``sessionId``; all other attributes go into the metadata as
text. Not recorded, but documented: user, model, tokens, environment, tags and errors.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

Row = dict[str, Any]

TYPES = {
    "LLM": "GENERATION",
    "AGENT": "AGENT",
    "TOOL": "TOOL",
    "CHAIN": "CHAIN",
    "RETRIEVER": "RETRIEVER",
    "EVALUATOR": "EVALUATOR",
    "EMBEDDING": "EMBEDDING",
    "GUARDRAIL": "GUARDRAIL",
}
DROPPED = ("llm.input_messages.", "llm.output_messages.", "llm.token_count.")
USED = ("input.value", "output.value", "llm.model_name")
ENVIRONMENT = ("langfuse.environment", "deployment.environment.name", "deployment.environment")

CORE = ("id", "traceId", "startTime", "endTime", "projectId", "parentObservationId", "type")
GROUPS = {
    "basic": (
        *("name", "level", "statusMessage", "version", "environment", "latency"),
        *("timeToFirstToken", "userId", "sessionId", "isRootObservation", "bookmarked", "public"),
    ),
    "time": ("completionStartTime", "createdAt", "updatedAt"),
    "io": ("input", "output"),
    "metadata": ("metadata",),
    "model": ("model", "internalModelId", "modelParameters"),
    "usage": (
        *("usageDetails", "inputUsage", "outputUsage", "totalUsage"),
        *("costDetails", "inputCost", "outputCost", "totalCost"),
        *("usagePricingTierId", "usagePricingTierName"),
    ),
    "prompt": ("promptId", "promptName", "promptVersion"),
    "metrics": ("latency", "timeToFirstToken"),
    "trace_context": ("traceName", "release", "tags"),
}
ALWAYS = ("modelId", "inputPrice", "outputPrice", "totalPrice")
METADATA_CHARS = 200

DEFAULTS: Row = {
    "endTime": None,
    "parentObservationId": None,
    "type": "SPAN",
    "name": "",
    "level": "DEFAULT",
    "statusMessage": "",
    "version": "",
    "environment": "default",
    "completionStartTime": None,
    "input": None,
    "output": None,
    "metadata": {},
    "model": "",
    "internalModelId": "",
    "modelParameters": {},
    "usageDetails": {},
    "inputUsage": 0,
    "outputUsage": 0,
    "totalUsage": 0,
    "costDetails": {},
    "inputCost": None,
    "outputCost": None,
    "totalCost": 0,
    "promptId": "",
    "promptName": "",
    "promptVersion": None,
    "usagePricingTierId": None,
    "usagePricingTierName": None,
    "latency": None,
    "timeToFirstToken": None,
    "userId": "",
    "sessionId": "",
    "traceName": None,
    "release": "",
    "tags": [],
    "bookmarked": False,
    "public": False,
    "modelId": None,
    "inputPrice": None,
    "outputPrice": None,
    "totalPrice": None,
}


# -- stored form ----------------------------------------------------------------------------------


def with_defaults(row: Mapping[str, Any], project_id: str) -> Row:
    """An observation with every field of a stored one.

    Input and output that are not text become the JSON text that an SDK would have sent; metadata
    is kept as text by its flat keys.
    """
    now = iso_time(datetime.now(UTC))
    start, end = row["startTime"], row.get("endTime")
    usage = row.get("usageDetails") or {}
    found = {
        **DEFAULTS,
        "projectId": project_id,
        "createdAt": now,
        "updatedAt": now,
        "isRootObservation": not row.get("parentObservationId"),
        "latency": seconds_between(start, end) if end else None,
        "inputUsage": usage.get("input", 0),
        "outputUsage": usage.get("output", 0),
        "totalUsage": usage.get("total", 0),
        **row,
    }
    found["input"], found["output"] = content_text(found["input"]), content_text(found["output"])
    found["metadata"] = {name: metadata_text(v) for name, v in flattened(found["metadata"])}
    return found


def observation_of(span: Row, project_id: str) -> Row:
    """The observation of an OpenInference span in the form of the files adapter."""
    attributes = dict(span["attributes"])
    resource = (span.get("resource") or {}).get("attributes") or {}
    parent = span.get("parent_span_id") or None
    tokens = {
        name: attributes[f"llm.token_count.{key}"]
        for name, key in (("input", "prompt"), ("output", "completion"), ("total", "total"))
        if f"llm.token_count.{key}" in attributes
    }
    merged = {**resource, **attributes}
    failed = (span.get("status") or {}).get("code") == "STATUS_CODE_ERROR"
    return with_defaults(
        {
            "id": span["span_id"],
            "traceId": span["trace_id"],
            "startTime": truncated_time(span["start_time"]),
            "endTime": truncated_time(span["end_time"]),
            "parentObservationId": parent,
            "type": TYPES.get(str(attributes.get("openinference.span.kind")), "SPAN"),
            "name": span["name"],
            "level": "ERROR" if failed else "DEFAULT",
            "statusMessage": status_message(span),
            "environment": next((str(merged[k]) for k in ENVIRONMENT if k in merged), "default"),
            "input": attributes.get("input.value") or None,
            "output": attributes.get("output.value") or None,
            "metadata": metadata_of(span, attributes, resource),
            "model": str(attributes.get("llm.model_name") or ""),
            "usageDetails": tokens,
            "userId": str(attributes.get("user.id") or ""),
            "sessionId": str(attributes.get("session.id") or ""),
            "traceName": None if parent else span["name"],
            "release": str(resource.get("langfuse.release") or ""),
            "version": str(resource.get("service.version") or ""),
            "tags": list(attributes.get("tag.tags") or []),
        },
        project_id,
    )


def metadata_of(span: Row, attributes: Row, resource: Row) -> Row:
    """The attributes that have no field of their own, by the names that Langfuse gives them."""
    left = {
        f"attributes.{name}": value
        for name, value in attributes.items()
        if name not in USED and not name.startswith(DROPPED)
    }
    kept = {f"resourceAttributes.{name}": value for name, value in resource.items()}
    return {"scope.name": span.get("scope", "openinference"), **kept, **left}


def status_message(span: Row) -> str:
    """The message of the status, else of the first exception event."""
    message = (span.get("status") or {}).get("message") or ""
    messages = (e.get("attributes", {}).get("exception.message") for e in span.get("events") or ())
    return message or next((str(text) for text in messages if text), "")


def content_text(value: Any) -> str | None:
    """An input or output as text: JSON unless it is a string."""
    return value if value is None or isinstance(value, str) else orjson.dumps(value).decode()


def metadata_text(value: Any) -> str:
    """A metadata value as text: JSON unless it is a string."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def flattened(metadata: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Metadata with dotted keys instead of nested objects, two levels deep."""
    for key, value in metadata.items():
        if isinstance(value, dict) and value and prefix.count(".") < 1:
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def iso_time(at: datetime) -> str:
    """A time in ISO 8601 with milliseconds and ``Z``."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def truncated_time(iso: str | datetime) -> str:
    """A time in ISO 8601, truncated to milliseconds."""
    at = datetime.fromisoformat(iso) if isinstance(iso, str) else iso
    return iso_time((at - timedelta(microseconds=at.microsecond % 1000)).astimezone(UTC))


def seconds_between(start: str, end: str) -> float:
    """The seconds between two ISO times, to the millisecond."""
    took = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    return round(took.total_seconds(), 3)


# -- v2 form --------------------------------------------------------------------------------------


def fields_in_groups(groups: Iterable[str]) -> tuple[str, ...]:
    """The fields of these groups and of ``core``; an unknown group adds none."""
    names = dict.fromkeys(CORE)
    for group in groups:
        names.update(dict.fromkeys(GROUPS.get(group, ())))
    return (*names, *ALWAYS)


def v2_form(row: Row, groups: frozenset[str], expanded: frozenset[str]) -> Row:
    """An observation in the form of ``v2/observations``: the fields of ``groups``.

    Without the group ``io``, metadata values are truncated to 200 characters, except for the keys
    in ``expanded``.
    """
    found = {name: row[name] for name in fields_in_groups(sorted(groups, key=list(GROUPS).index))}
    if "metadata" in found:
        whole = "io" in groups
        found["metadata"] = {
            key: parsed_if_json(text if whole or key in expanded else text[:METADATA_CHARS])
            for key, text in row["metadata"].items()
        }
    return found


def parsed_if_json(text: str) -> Any:
    """``text`` decoded if it is valid JSON, else as it is."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


# -- legacy form ----------------------------------------------------------------------------------


def legacy_form(row: Row) -> Row:
    """An observation in the form of the legacy endpoints."""
    usage = row["usageDetails"]
    tokens = {"input": row["inputUsage"], "output": row["outputUsage"], "total": row["totalUsage"]}
    names = (*CORE, "level", "environment", "createdAt", "updatedAt", "completionStartTime")
    found = {name: row[name] for name in names}
    for name in ("name", "statusMessage", "version", "model", "promptId", "promptName"):
        found[name] = row[name] or None
    for name in ("latency", "timeToFirstToken", "promptVersion", "modelParameters", *ALWAYS):
        found[name] = row[name]
    return {
        **found,
        "input": parsed_if_json(row["input"]) if row["input"] else row["input"],
        "output": parsed_if_json(row["output"]) if row["output"] else row["output"],
        "metadata": nested(row["metadata"]),
        "usageDetails": usage,
        "costDetails": row["costDetails"],
        "usagePricingTierId": row["usagePricingTierId"],
        "usagePricingTierName": row["usagePricingTierName"],
        "calculatedInputCost": row["inputCost"],
        "calculatedOutputCost": row["outputCost"],
        "calculatedTotalCost": row["totalCost"],
        "unit": "TOKENS",
        "promptTokens": tokens["input"],
        "completionTokens": tokens["output"],
        "totalTokens": tokens["total"],
        "usage": {"unit": "TOKENS", **tokens},
    }


def nested(metadata: Mapping[str, str]) -> Row:
    """Metadata in the form of the legacy endpoints: an object for each part of OpenTelemetry."""
    found: Row = {}
    for key, text in metadata.items():
        group, _, rest = key.partition(".")
        if group in ("attributes", "resourceAttributes", "scope") and rest:
            found.setdefault(group, {})[rest] = text
        else:
            found[key] = parsed_if_json(text)
    if "scope" in found:
        found["scope"].setdefault("attributes", {})
    return found


def legacy_trace(rows: list[Row], project_id: str) -> Row:
    """The trace of these observations in its legacy form, without observations and scores."""
    first = min(rows, key=lambda row: (not row["isRootObservation"], row["startTime"]))
    start = min(row["startTime"] for row in rows)
    end = max(row["endTime"] or row["startTime"] for row in rows)
    shown = legacy_form(first)
    names = {name: first_value(rows, first, name) for name in ("sessionId", "userId", "release")}
    return {
        "id": first["traceId"],
        "projectId": project_id,
        "name": first["traceName"] or first["name"] or None,
        "timestamp": start,
        "environment": first["environment"],
        "tags": first["tags"],
        "bookmarked": False,
        **names,
        "version": first["version"] or None,
        "public": False,
        "input": shown["input"],
        "output": shown["output"],
        "metadata": shown["metadata"],
        "createdAt": first["createdAt"],
        "updatedAt": first["updatedAt"],
        "totalCost": sum(row["totalCost"] or 0 for row in rows),
        "latency": seconds_between(start, end),
        "htmlPath": f"/project/{project_id}/traces/{first['traceId']}",
        "externalId": None,
    }


def first_value(rows: list[Row], first: Row, name: str) -> str | None:
    """A field of the trace: that of ``first``, else of any observation that has it."""
    return first[name] or next((row[name] for row in rows if row[name]), None)


# -- OTLP -----------------------------------------------------------------------------------------


def decode_spans(body: bytes, content_type: str) -> Iterator[Row]:
    """The spans of an OTLP/HTTP request (protobuf or JSON) in the form of the files adapter."""
    from google.protobuf.json_format import MessageToDict, Parse
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    if "json" in content_type:
        Parse(with_base64_ids(body), request, ignore_unknown_fields=True)
    else:
        request.ParseFromString(body)
    for group in MessageToDict(request, preserving_proto_field_name=True).get("resource_spans", ()):
        resource = otlp_attributes(group.get("resource", {}).get("attributes", ()))
        for scope in group.get("scope_spans", ()):
            for span in scope.get("spans", ()):
                yield row_of_span(span, resource, scope.get("scope", {}).get("name"))


def with_base64_ids(body: bytes) -> str:
    """OTLP/JSON with ids in base64, as protobuf's JSON parser expects, instead of hex."""
    request = orjson.loads(body)
    for group in request.get("resourceSpans", ()):
        for scope in group.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                for name in ("traceId", "spanId", "parentSpanId"):
                    span[name] = base64.b64encode(bytes.fromhex(span.get(name) or "")).decode()
    return orjson.dumps(request).decode()


def row_of_span(span: Row, resource: Row, scope: str | None) -> Row:
    """One OTLP span in the form of the files adapter."""
    return {
        "trace_id": base64.b64decode(span["trace_id"]).hex(),
        "span_id": base64.b64decode(span["span_id"]).hex(),
        "parent_span_id": base64.b64decode(span.get("parent_span_id", "")).hex(),
        "name": span.get("name", ""),
        "start_time": of_nano(span["start_time_unix_nano"]),
        "end_time": of_nano(span["end_time_unix_nano"]),
        "status": span.get("status", {}),
        "attributes": otlp_attributes(span.get("attributes", ())),
        "events": [
            {**event, "attributes": otlp_attributes(event.get("attributes", ()))}
            for event in span.get("events", ())
        ],
        "resource": {"attributes": resource},
        "scope": scope or "openinference",
    }


def of_nano(nanoseconds: str) -> datetime:
    """A time out of nanoseconds since the Unix epoch."""
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(nanoseconds) // 1000)


def otlp_attributes(pairs: Iterable[Row]) -> Row:
    """Attributes as a dict."""
    return {pair["key"]: otlp_value(pair.get("value", {})) for pair in pairs}


def otlp_value(value: Row) -> Any:
    """An OTLP ``AnyValue`` as a Python value."""
    kind, content = next(iter(value.items()), (None, None))
    if kind == "array_value":
        return [otlp_value(item) for item in (content or {}).get("values", ())]
    if kind == "kvlist_value":
        return otlp_attributes((content or {}).get("values", ()))
    return int(content) if kind == "int_value" and content is not None else content
