"""The run as MLflow, LangSmith and the OpenAI Agents SDK have it."""

from __future__ import annotations

import base64
import json

from exports.run import RUN, SPANS, TRACE, Row, nano

MLFLOW_TYPES = {"AGENT": "AGENT", "LLM": "CHAT_MODEL", "TOOL": "TOOL"}


def mlflow_spans() -> list[Row]:
    def id64(text: str | None) -> str | None:
        return text and base64.b64encode(bytes.fromhex(text)).decode()

    return [
        {
            "trace_id": id64(one["trace_id"]),
            "span_id": id64(one["span_id"]),
            "parent_span_id": id64(one["parent_span_id"]),
            "name": one["name"],
            "start_time_unix_nano": nano(one["start"]),
            "end_time_unix_nano": nano(one["end"]),
            "events": [],
            "status": {
                "code": "STATUS_CODE_ERROR" if one["error"] else "STATUS_CODE_OK",
                "message": one["error"] or "",
            },
            "attributes": {
                "mlflow.spanType": json.dumps(MLFLOW_TYPES[one["kind"]]),
                "mlflow.spanInputs": json.dumps(one["given"]),
                "mlflow.spanOutputs": json.dumps(one["returned"]),
            },
        }
        for one in RUN
    ]


def mlflow_trace() -> Row:
    """The run as MLflow's API and its artifacts have it."""
    metadata = {"mlflow.trace.session": "s-1", "mlflow.trace.user": "u-1"}
    info = {"trace_id": f"tr-{TRACE}", "state": "ERROR", "trace_metadata": metadata, "tags": {}}
    return {"info": info, "data": {"spans": mlflow_spans()}}


RUN_TYPES = {"AGENT": "chain", "LLM": "llm", "TOOL": "tool"}


def run_id(span_id: str) -> str:
    return f"0190aaaa-0000-7000-8000-{span_id[-12:]}"


def langsmith_runs() -> list[Row]:
    """The run as LangSmith's API gives it: its own session id is that of a project."""
    return [
        {
            "id": run_id(one["span_id"]),
            "trace_id": run_id(SPANS[0]),
            "parent_run_id": one["parent_span_id"] and run_id(one["parent_span_id"]),
            "name": one["name"],
            "run_type": RUN_TYPES[one["kind"]],
            "session_id": "0190aaaa-0000-7000-8000-00000000cafe",
            "start_time": one["start"].strftime("%Y-%m-%dT%H:%M:%S.%f"),
            "end_time": one["end"].strftime("%Y-%m-%dT%H:%M:%S.%f"),
            "error": one["error"],
            "inputs": {"messages": one["given"]}
            if one["kind"] == "LLM"
            else {"input": one["given"]},
            "outputs": {"output": one["returned"]},
            "extra": {"metadata": {"session_id": "s-1", "user_id": "u-1"}},
            "prompt_tokens": 100 if one["kind"] == "LLM" else None,
            "completion_tokens": 20 if one["kind"] == "LLM" else None,
            "total_tokens": 120 if one["kind"] == "LLM" else None,
            "status": "error" if one["error"] else "success",
        }
        for one in RUN
    ]


def nested_runs() -> Row:
    """The run as LangSmith's SDK hands it on: runs within runs."""
    root, *children = langsmith_runs()
    return {**root, "child_runs": children}


AGENTS_TYPES = {"AGENT": "agent", "LLM": "generation", "TOOL": "function"}


def openai_agents_spans() -> list[Row]:
    """The run as the OpenAI Agents SDK exports its own traces."""

    def data(one: Row) -> Row:
        found = {"type": AGENTS_TYPES[one["kind"]], "name": one["name"]}
        if one["kind"] == "LLM":
            usage = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}
            texts = {"input": one["given"], "output": [one["returned"]]}
            return {"type": found["type"], **texts, "model": "test-model", "usage": usage}
        if one["kind"] == "TOOL":
            return {**found, "input": one["given"], "output": one["returned"], "mcp_data": None}
        return {**found, "handoffs": [], "tools": ["stock"], "output_type": "str"}

    trace = {
        "object": "trace",
        "id": f"trace_{TRACE}",
        "workflow_name": "lamps",
        "group_id": "s-1",
        "metadata": None,
    }
    found = [
        {
            "object": "trace.span",
            "id": f"span_{one['span_id']}",
            "trace_id": f"trace_{TRACE}",
            "parent_id": one["parent_span_id"] and f"span_{one['parent_span_id']}",
            "started_at": one["start"].isoformat(),
            "ended_at": one["end"].isoformat(),
            "span_data": data(one),
            "error": one["error"]
            and {"message": "Error running tool", "data": {"error": one["error"]}},
        }
        for one in RUN
    ]
    return [*found, trace]  # the trace ends after its spans
