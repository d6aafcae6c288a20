"""Langfuse observations: as they are stored, and rendered for the v2 and the legacy endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from halo_integrations.testing.langfuse.javascript import parsed, text_of

Row = dict[str, Any]

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
    usage, cost = row.get("usageDetails") or {}, row.get("costDetails") or {}
    found = {
        **DEFAULTS,
        "projectId": project_id,
        "createdAt": now,
        "updatedAt": now,
        "isRootObservation": not row.get("parentObservationId"),
        "latency": (seconds_between(start, end) or None) if end else None,
        "inputUsage": sum_of_side(usage, "input") or 0,
        "outputUsage": sum_of_side(usage, "output") or 0,
        "totalUsage": usage.get("total", 0),
        "inputCost": sum_of_side(cost, "input"),
        "outputCost": sum_of_side(cost, "output"),
        "totalCost": cost.get("total", 0),
        **row,
    }
    texts = {side: text_of(found[side]) for side in ("input", "output") if found[side] is not None}
    metadata = {name: text_of(value) for name, value in flattened(found["metadata"])}
    return {**found, **texts, "metadata": metadata}


def sum_of_side(types: Mapping[str, Any], side: str) -> Any:
    """The sum of the types of tokens, or of costs, that name the side; None where none does."""
    parts = [value for name, value in types.items() if side in name]
    return sum(parts) if parts else None


def flattened(metadata: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Metadata with dotted keys instead of nested objects; an empty object is lost."""
    for key, value in metadata.items():
        if isinstance(value, dict):
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def iso_time(at: datetime) -> str:
    """A time in ISO 8601 with milliseconds and ``Z``."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


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
            key: parsed(text if whole or key in expanded else text[:METADATA_CHARS])
            for key, text in row["metadata"].items()
        }
    return found


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
        "input": parsed(row["input"]) if row["input"] else row["input"],
        "output": parsed(row["output"]) if row["output"] else row["output"],
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
            found[key] = parsed(text)
    if "scope" in found:
        found["scope"].setdefault("attributes", {})
    return found


def legacy_trace(rows: list[Row], project_id: str) -> Row:
    """The trace of these observations in its legacy form, without observations and scores.

    An earlier SDK gives the trace metadata of its own: ``traceMetadata`` of the first observation.
    """
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
        "metadata": first.get("traceMetadata") or shown["metadata"],
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
