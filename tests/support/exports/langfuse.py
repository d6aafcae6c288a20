"""The run as Langfuse has it: its API, its UI, its exports to blob storage."""

from __future__ import annotations

from exports.framing import as_text
from exports.run import ANSWER, QUESTION, RUN, START, TRACE, Row, iso

OBSERVATION_TYPES = {"AGENT": "AGENT", "LLM": "GENERATION", "TOOL": "TOOL"}


def usage_of(one: Row) -> Row:
    return {"input": 100, "output": 20, "total": 120} if one["kind"] == "LLM" else {}


def observations() -> list[Row]:
    """The run as Langfuse's API and the table of its UI have it."""
    return [
        {
            "id": one["span_id"],
            "traceId": one["trace_id"],
            "projectId": "p-1",
            "type": OBSERVATION_TYPES[one["kind"]],
            "name": one["name"],
            "startTime": one["start"].strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "endTime": one["end"].strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "parentObservationId": one["parent_span_id"],
            "level": "ERROR" if one["error"] else "DEFAULT",
            "statusMessage": one["error"] or "",
            "environment": "default",
            "version": "",
            "input": one["given"],
            "output": one["returned"],
            "metadata": {"tier": "gold"},
            "model": "test-model" if one["kind"] == "LLM" else None,
            "usageDetails": {"input": 100, "output": 20, "total": 120}
            if one["kind"] == "LLM"
            else {},
            "costDetails": {},
            "latency": 1.0,
        }
        for one in RUN
    ]


def trace_document(key: str) -> Row:
    """One trace: as its UI downloads it (``trace``), or as the API answers (none)."""
    trace = {"id": TRACE, "name": "agent", "timestamp": iso(START), "sessionId": "s-1"}
    described = {key: trace} if key else trace
    return {**described, "observations": observations()}


def blob_rows(is_enriched: bool = True) -> list[Row]:
    """The run as Langfuse exports it to blob storage: names with underscores, texts for objects."""
    shared = {"session_id": "s-1", "user_id": "u-1", "trace_name": "agent", "tags": ["a"]}
    return [
        {
            "id": one["span_id"],
            "trace_id": one["trace_id"],
            "project_id": "p-1",
            "environment": "default",
            "type": OBSERVATION_TYPES[one["kind"]],
            "parent_observation_id": one["parent_span_id"] or "",
            "start_time": one["start"].strftime("%Y-%m-%d %H:%M:%S.%f"),
            "end_time": one["end"].strftime("%Y-%m-%d %H:%M:%S.%f"),
            "name": one["name"],
            "metadata": {"tier": "gold"},
            "level": "ERROR" if one["error"] else "DEFAULT",
            "status_message": one["error"] or "",
            "input": as_text(one["given"]),
            "output": as_text(one["returned"]),
            "provided_model_name": "test-model" if one["kind"] == "LLM" else "",
            "model_parameters": "",
            "usage_details": usage_of(one),
            "cost_details": {},
            "total_cost": 0,
            **(shared if is_enriched else {}),
        }
        for one in RUN
    ]


def table_of_traces() -> list[Row]:
    return [
        {
            "id": TRACE,
            "timestamp": iso(START),
            "name": "agent",
            "userId": "u-1",
            "sessionId": "s-1",
            "tags": ["a"],
            "bookmarked": False,
            "public": False,
            "input": QUESTION,
            "output": ANSWER,
        }
    ]
