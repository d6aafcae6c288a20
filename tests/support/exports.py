"""One run in every form in which people have traces in files.

The run: an agent asks a model four times, and calls the tool ``stock`` three times with the same
arguments, each time in vain. Its attributes are those of OpenInference, one flat value each, as
every exporter can carry them; tracers with forms of their own have it in these.
"""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from google.protobuf.json_format import Parse
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

Row = dict[str, Any]

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPANS = (
    *("00f067aa0ba902b7", "1a2b3c4d5e6f7081", "2b3c4d5e6f708192", "3c4d5e6f708192a3"),
    *("4d5e6f708192a3b4", "5e6f708192a3b4c5", "6f708192a3b4c5d6", "708192a3b4c5d6e7"),
)
START = datetime(2026, 1, 1, tzinfo=UTC)
QUESTION = "How many green lamps are left?"
ARGUMENTS = '{"item":"green lamp"}'
ERROR = "ConnectionError: stock service refused the connection"
ANSWER = "I could not find out."
SERVICE = "lamp-shop"
USAGE = (("prompt", 100), ("completion", 20), ("total", 120))


def call(number: int) -> Row:
    """The tool call that the model makes in this turn, as OpenAI writes it."""
    return {
        "id": f"c{number}",
        "type": "function",
        "function": {"name": "stock", "arguments": ARGUMENTS},
    }


def answer(turn: int) -> Row:
    """What the model answers in this turn."""
    if turn == 3:
        return {"role": "assistant", "content": ANSWER}
    return {"role": "assistant", "content": None, "tool_calls": [call(turn)]}


def steps() -> Iterator[Row]:
    """The spans of the run, their content apart from how any tracer writes it."""
    yield step(0, None, "agent", "AGENT", 0, 9, given=QUESTION, returned=ANSWER)
    for turn in range(4):
        at = 2 * turn
        messages = [{"role": "user", "content": QUESTION}]
        yield step(at + 1, 0, "ChatCompletion", "LLM", at + 1, at + 2, messages, answer(turn))
        if turn < 3:
            yield step(at + 2, 0, "stock", "TOOL", at + 2, at + 3, ARGUMENTS, ERROR, error=ERROR)


def step(
    number: int,
    parent: int | None,
    name: str,
    kind: str,
    start: int,
    end: int,
    given: Any,
    returned: Any,
    error: str | None = None,
) -> Row:
    return {
        "trace_id": TRACE,
        "span_id": SPANS[number],
        "parent_span_id": None if parent is None else SPANS[parent],
        "name": name,
        "kind": kind,
        "start": START + timedelta(seconds=start),
        "end": START + timedelta(seconds=end),
        "given": given,
        "returned": returned,
        "error": error,
    }


RUN = tuple(steps())


def attributes(step: Row) -> Row:
    """The attributes of a step as OpenInference has them, item by item."""
    found: Row = {"openinference.span.kind": step["kind"]}
    if step["kind"] != "LLM":
        found |= {"input.value": step["given"], "output.value": step["returned"]}
        return found | ({"tool.name": "stock"} if step["kind"] == "TOOL" else {})
    found |= {"llm.model_name": "test-model", "input.value": QUESTION}
    found |= {f"llm.token_count.{side}": count for side, count in USAGE}
    for side, messages in (("input", step["given"]), ("output", [step["returned"]])):
        for number, message in enumerate(messages):
            place = f"llm.{side}_messages.{number}.message"
            found[f"{place}.role"] = message["role"]
            if message["content"]:
                found[f"{place}.content"] = message["content"]
            for at, made in enumerate(message.get("tool_calls", ())):
                inner = f"{place}.tool_calls.{at}.tool_call"
                found[f"{inner}.id"] = made["id"]
                found[f"{inner}.function.name"] = made["function"]["name"]
                found[f"{inner}.function.arguments"] = made["function"]["arguments"]
    return found


def nano(moment: datetime) -> int:
    return round(moment.timestamp()) * 10**9


def iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


# -- spans as objects ------------------------------------------------------------------------


def spans(start: Callable[[datetime], Any] = iso) -> list[Row]:
    """The run as HALO writes it, with its times in any form."""
    return [
        {
            "trace_id": one["trace_id"],
            "span_id": one["span_id"],
            "parent_span_id": one["parent_span_id"],
            "name": one["name"],
            "start_time": start(one["start"]),
            "end_time": start(one["end"]),
            "status": {"code": "ERROR" if one["error"] else "OK", "message": one["error"]},
            "attributes": attributes(one),
        }
        for one in RUN
    ]


def phoenix_spans() -> list[Row]:
    """The run as Phoenix's API answers."""
    return [
        {
            "id": "U3Bhbjox",
            "name": one["name"],
            "context": {"trace_id": one["trace_id"], "span_id": one["span_id"]},
            "span_kind": one["kind"],
            "parent_id": one["parent_span_id"],
            "start_time": iso(one["start"]),
            "end_time": iso(one["end"]),
            "status_code": "ERROR" if one["error"] else "OK",
            "status_message": one["error"] or "",
            "attributes": attributes(one),
            "events": [],
        }
        for one in RUN
    ]


def python_console() -> str:
    """The run as the console exporter of OpenTelemetry's Python SDK prints it."""
    printed = [
        {
            "name": one["name"],
            "context": {
                "trace_id": f"0x{one['trace_id']}",
                "span_id": f"0x{one['span_id']}",
                "trace_state": "[]",
            },
            "kind": "SpanKind.INTERNAL",
            "parent_id": one["parent_span_id"] and f"0x{one['parent_span_id']}",
            "start_time": one["start"].strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "end_time": one["end"].strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "status": {"status_code": "ERROR", "description": one["error"]}
            if one["error"]
            else {"status_code": "OK"},
            "attributes": attributes(one),
            "events": [],
            "links": [],
            "resource": {"attributes": {"service.name": SERVICE}, "schema_url": ""},
        }
        for one in RUN
    ]
    return "".join(json.dumps(span, indent=4) + "\n" for span in printed)


def between_log_lines(text: str) -> str:
    """``text`` of objects over several lines, with lines of a log before each."""
    return text.replace("\n{", "\nINFO call stock [1/2]\n\n{").join(
        ("starting agent {\n", "done\n")
    )


def any_agent() -> Row:
    """The run as any-agent stores it: ids as integers, the parent as an object."""

    def context(span_id: str) -> Row:
        return {
            "trace_id": int(TRACE, 16),
            "span_id": int(span_id, 16),
            "is_remote": False,
            "trace_flags": {"value": 1},
            "trace_state": {"entries": {}},
        }

    found = [
        {
            "name": one["name"],
            "kind": "internal",
            "parent": one["parent_span_id"] and context(one["parent_span_id"]),
            "start_time": nano(one["start"]),
            "end_time": nano(one["end"]),
            "status": {
                "status_code": "error" if one["error"] else "ok",
                "description": one["error"],
            },
            "context": context(one["span_id"]),
            "attributes": attributes(one),
            "links": [],
            "events": [],
            "resource": {"attributes": {"service.name": SERVICE}},
        }
        for one in RUN
    ]
    return {"spans": found, "final_output": ANSWER}


# -- OTLP --------------------------------------------------------------------------------------


def typed(value: Any) -> Row:
    """``value`` as an ``AnyValue``."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}


def key_values(values: Row) -> list[Row]:
    return [{"key": key, "value": typed(value)} for key, value in values.items()]


def otlp_spans() -> list[Row]:
    return [
        {
            "traceId": one["trace_id"],
            "spanId": one["span_id"],
            "parentSpanId": one["parent_span_id"] or "",
            "name": one["name"],
            "kind": 1,
            "startTimeUnixNano": str(nano(one["start"])),
            "endTimeUnixNano": str(nano(one["end"])),
            "attributes": key_values(attributes(one)),
            "status": {"code": 2, "message": one["error"]} if one["error"] else {"code": 1},
        }
        for one in RUN
    ]


def group(found: Iterable[Row]) -> Row:
    """The spans of one resource."""
    resource = {"attributes": key_values({"service.name": SERVICE})}
    return {"resource": resource, "scopeSpans": [{"scope": {"name": "x"}, "spans": list(found)}]}


def with_base64_ids(span: Row) -> Row:
    """A span as protobuf's JSON mapping has it."""
    ids = ("traceId", "spanId", "parentSpanId")
    return {**span, **{name: base64.b64encode(bytes.fromhex(span[name])).decode() for name in ids}}


def message(*groups: Row) -> bytes:
    """An export in protobuf."""
    found = [
        {
            **one,
            "scopeSpans": [
                {**scope, "spans": list(map(with_base64_ids, scope["spans"]))}
                for scope in one["scopeSpans"]
            ],
        }
        for one in groups
    ]
    return Parse(json.dumps({"resourceSpans": found}), TracesData()).SerializeToString()


def delimited(messages: Iterable[bytes]) -> bytes:
    """Messages behind their lengths, as the Collector's file exporter writes them."""
    return b"".join(len(one).to_bytes(4, "big") + one for one in messages)


def zstd(content: bytes) -> bytes:
    packed = pa.BufferOutputStream()
    with pa.CompressedOutputStream(packed, "zstd") as stream:
        stream.write(content)
    return bytes(packed.getvalue())


# -- platforms ---------------------------------------------------------------------------------


def jaeger_tags(values: Row) -> list[Row]:
    return [
        {"key": k, "type": "int64" if isinstance(v, int) else "string", "value": v}
        for k, v in values.items()
    ]


def jaeger_spans() -> list[Row]:
    return [
        {
            "traceID": one["trace_id"],
            "spanID": one["span_id"],
            "operationName": one["name"],
            "references": [
                {"refType": "CHILD_OF", "traceID": TRACE, "spanID": one["parent_span_id"]}
            ]
            if one["parent_span_id"]
            else [],
            "startTime": nano(one["start"]) // 1000,
            "duration": (nano(one["end"]) - nano(one["start"])) // 1000,
            "tags": jaeger_tags(attributes(one))
            + (
                [
                    {"key": "otel.status_code", "type": "string", "value": "ERROR"},
                    {"key": "otel.status_description", "type": "string", "value": one["error"]},
                    {"key": "error", "type": "bool", "value": True},
                ]
                if one["error"]
                else [{"key": "otel.status_code", "type": "string", "value": "OK"}]
            ),
            "logs": [
                {
                    "timestamp": nano(one["end"]) // 1000,
                    "fields": jaeger_tags(
                        {"event": "exception", "exception.message": one["error"]}
                    ),
                }
            ]
            if one["error"]
            else [],
            "processID": "p1",
            "warnings": None,
        }
        for one in RUN
    ]


def jaeger() -> Row:
    """The run as Jaeger's API answers, and as its UI downloads it."""
    trace = {
        "traceID": TRACE,
        "spans": jaeger_spans(),
        "processes": {"p1": {"serviceName": SERVICE, "tags": []}},
        "warnings": None,
    }
    return {"data": [trace], "total": 0, "limit": 0, "offset": 0, "errors": None}


def jaeger_documents() -> list[Row]:
    """The run as Jaeger stores it in Elasticsearch: the process in each span."""
    return [
        {**{k: v for k, v in span.items() if k != "processID"}, "process": {"serviceName": SERVICE}}
        for span in jaeger_spans()
    ]


def zipkin_spans() -> list[Row]:
    """The run as OpenTelemetry's exporters to Zipkin write it: every tag is text."""
    return [
        {
            "traceId": one["trace_id"],
            "id": one["span_id"],
            **({"parentId": one["parent_span_id"]} if one["parent_span_id"] else {}),
            "name": one["name"],
            "timestamp": nano(one["start"]) // 1000,
            "duration": (nano(one["end"]) - nano(one["start"])) // 1000,
            "localEndpoint": {"serviceName": SERVICE},
            "tags": {key: str(value) for key, value in attributes(one).items()}
            | (
                {"otel.status_code": "ERROR", "error": one["error"]}
                if one["error"]
                else {"otel.status_code": "OK"}
            ),
        }
        for one in RUN
    ]


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


OBSERVATION_TYPES = {"AGENT": "AGENT", "LLM": "GENERATION", "TOOL": "TOOL"}


def langfuse_usage(one: Row) -> Row:
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


def langfuse_trace(key: str) -> Row:
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
            "usage_details": langfuse_usage(one),
            "cost_details": {},
            "total_cost": 0,
            **(shared if is_enriched else {}),
        }
        for one in RUN
    ]


def langfuse_table_of_traces() -> list[Row]:
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


def elastic_documents() -> list[Row]:
    """The run in Elastic's mapping of OpenTelemetry: the start is the time of the document."""
    return [
        {
            "@timestamp": iso(one["start"]),
            "trace_id": one["trace_id"],
            "span_id": one["span_id"],
            "parent_span_id": one["parent_span_id"] or "",
            "name": one["name"],
            "kind": "Internal",
            "duration": nano(one["end"]) - nano(one["start"]),
            "attributes": attributes(one),
            "resource": {"attributes": {"service.name": SERVICE}},
            "status": {"code": "Error", "message": one["error"]}
            if one["error"]
            else {"code": "Ok"},
        }
        for one in RUN
    ]


def data_prepper_documents() -> list[Row]:
    """The run as OpenSearch's Data Prepper stores it: attributes beside the fields."""
    return [
        {
            "traceId": one["trace_id"],
            "spanId": one["span_id"],
            "parentSpanId": one["parent_span_id"] or "",
            "name": one["name"],
            "kind": "SPAN_KIND_INTERNAL",
            "startTime": iso(one["start"]),
            "endTime": iso(one["end"]),
            "durationInNanos": nano(one["end"]) - nano(one["start"]),
            "serviceName": SERVICE,
            "events": [],
            "status": {"code": 2, "message": one["error"]} if one["error"] else {"code": 1},
            "resource.attributes.service@name": SERVICE,
            **{
                f"span.attributes.{key.replace('.', '@')}": value
                for key, value in attributes(one).items()
            },
        }
        for one in RUN
    ]


def hits(documents: Iterable[Row]) -> Row:
    """An answer of a search in Elasticsearch."""
    found = [{"_index": "traces", "_id": str(n), "_source": d} for n, d in enumerate(documents)]
    return {"took": 1, "timed_out": False, "hits": {"total": {"value": len(found)}, "hits": found}}


# -- tables ------------------------------------------------------------------------------------


def frame(start: Callable[[datetime], Any] = iso) -> list[Row]:
    """The run as Phoenix's client gives it: a data frame, whose lists are whole."""
    named: dict[str, None] = {}
    rows = []
    for one in RUN:
        messages = (
            {"input": one["given"], "output": [one["returned"]]} if one["kind"] == "LLM" else {}
        )
        flat = {k: v for k, v in attributes(one).items() if "_messages." not in k}
        row = {
            "name": one["name"],
            "span_kind": one["kind"],
            "parent_id": one["parent_span_id"],
            "start_time": start(one["start"]),
            "end_time": start(one["end"]),
            "status_code": "ERROR" if one["error"] else "OK",
            "status_message": one["error"] or "",
            "events": [],
            "context.span_id": one["span_id"],
            "context.trace_id": one["trace_id"],
            **{f"attributes.{key}": value for key, value in flat.items()},
            **{
                f"attributes.llm.{side}_messages": list(map(frame_message, found))
                for side, found in messages.items()
            },
        }
        named |= dict.fromkeys(row)
        rows.append(row)
    return [{name: row.get(name) for name in named} for row in rows]


def frame_message(message: Row) -> Row:
    """A message in a cell of a data frame."""
    calls = [
        {
            "tool_call.id": made["id"],
            "tool_call.function.name": made["function"]["name"],
            "tool_call.function.arguments": made["function"]["arguments"],
        }
        for made in message.get("tool_calls", ())
    ]
    content = {"message.content": message["content"]} if message["content"] else {}
    tools = {"message.tool_calls": calls} if calls else {}
    return {"message.role": message["role"], **content, **tools}


def milliseconds(moment: datetime) -> int:
    return nano(moment) // 10**6


def frame_csv() -> bytes:
    """The data frame as pandas writes it as CSV: the index first, lists as Python prints them."""
    rows = frame(lambda moment: moment.isoformat(" "))
    names = ["context.span_id", *rows[0]]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([cell_text(row[name]) for name in names] for row in rows)
    return text.getvalue().encode()


def cell_text(cell: Any) -> str:
    return "" if cell is None else str(cell)


def frame_parquet() -> bytes:
    rows = frame(lambda moment: moment)
    return parquet(
        rows, {"start_time": pa.timestamp("ns", "UTC"), "end_time": pa.timestamp("us", "UTC")}
    )


def parquet(rows: list[Row], types: dict[str, pa.DataType] | None = None) -> bytes:
    table = pa.Table.from_pylist(rows)
    for name, kind in (types or {}).items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table.column(name).cast(kind))
    content = io.BytesIO()
    pq.write_table(table, content)
    return content.getvalue()


def quoted_csv(rows: list[Row]) -> bytes:
    """A table as Langfuse writes it as CSV: every cell quoted, objects as JSON."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows([as_text(value) for value in row.values()] for row in rows)
    return text.getvalue().encode()


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def with_texts(rows: list[Row]) -> list[Row]:
    """``rows`` with every object and list as JSON text, as bulk exports have them in Parquet."""
    return [
        {k: json.dumps(v) if isinstance(v, (dict, list)) else v for k, v in row.items()}
        for row in rows
    ]


# -- all forms ---------------------------------------------------------------------------------


def document(value: Any, indent: int | None = 1) -> bytes:
    return json.dumps(value, indent=indent).encode()


def lines(values: Iterable[Any]) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def archive(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, member in members.items():
            packed.writestr(name, member)
    return content.getvalue()


NODE_CONSOLE = Path(__file__).parents[1] / "data" / "files" / "node_console.txt"


def columns(rows: list[Row], labels: Iterable[Any]) -> Row:
    named = list(labels)
    return {
        name: {str(at): row[name] for at, row in zip(named, rows, strict=True)} for name in rows[0]
    }


def split(rows: list[Row]) -> Row:
    return {
        "columns": list(rows[0]),
        "index": list(range(len(rows))),
        "data": [list(row.values()) for row in rows],
    }


HALVES = (otlp_spans()[:4], otlp_spans()[4:])

#: The run in each form, by the name of a file in it.
FORMS: dict[str, bytes] = {
    "halo.jsonl": lines(spans()),
    "seconds.jsonl": lines(spans(lambda moment: nano(moment) // 10**9)),
    "seconds-as-text.jsonl": lines(spans(lambda moment: f"{nano(moment) / 10**9:.3f}")),
    "milliseconds.jsonl": lines(spans(milliseconds)),
    "microseconds.jsonl": lines(spans(lambda moment: nano(moment) // 10**3)),
    "nanoseconds.jsonl": lines(spans(nano)),
    "array-of-a-span-a-line.json": b"[\n" + b",\n".join(map(document, spans())) + b"\n]\n",
    "objects-without-line-feeds.json": b"".join(document(span, None) for span in spans()),
    "unindented.json": b"\n".join(document(span, 0) for span in spans()),
    "behind-words-of-a-log.log": b"".join(
        b"2026-01-01T00:00:00Z stdout F " + document(span, None) + b"\n" for span in spans()
    ),
    "numbers-as-ids.jsonl": lines(
        {
            **span,
            "trace_id": int(TRACE, 16),
            "span_id": int(span["span_id"], 16),
            "parent_span_id": int(span["parent_span_id"] or "0", 16),
        }
        for span in spans()
    ),
    "px-trace.json": document({"traceId": TRACE, "spans": phoenix_spans(), "duration": 9000}),
    "px-raw.json": document([{"traceId": TRACE, "spans": phoenix_spans()}], None),
    "phoenix-api.json": document({"data": phoenix_spans(), "next_cursor": None}, None),
    "frame-records.json": document(frame(), None),
    "frame-records-of-milliseconds.json": document(frame(milliseconds), None),
    "frame-columns.json": document(columns(frame(milliseconds), SPANS), None),
    "frame-columns-by-number.json": document(columns(frame(milliseconds), range(8)), None),
    "frame-index.json": document(dict(zip(SPANS, frame(), strict=True)), None),
    "frame-split.json": document(split(frame(milliseconds)), None),
    "frame-table.json": document({"schema": {"fields": []}, "data": frame()}, None),
    "frame.csv": frame_csv(),
    "frame.parquet": frame_parquet(),
    "python-console.json": python_console().encode(),
    "python-console.txt": between_log_lines(python_console()).encode(),
    "node-console.txt": NODE_CONSOLE.read_bytes(),
    "any-agent.json": document(any_agent()),
    "otlp.json": document({"resourceSpans": [group(otlp_spans())]}),
    "otlp.jsonl": lines({"resourceSpans": [group(half)]} for half in HALVES),
    "otlp.pb": message(group(otlp_spans())),
    "collector-proto": delimited(message(group(half)) for half in HALVES),
    "collector-proto-zstd": delimited(zstd(message(group(half))) for half in HALVES),
    "collector-json-zstd": delimited(
        zstd(document({"resourceSpans": [group(half)]}, None)) for half in HALVES
    ),
    "tempo-batches.json": document({"batches": [group(map(with_base64_ids, otlp_spans()))]}),
    "tempo-v2.json": document({"trace": {"resourceSpans": [group(otlp_spans())]}, "metrics": {}}),
    "java-lines.jsonl": lines(group(half) for half in HALVES),
    "java-console.log": b"".join(
        b"Jan 01, 2026 12:00:00 AM OtlpJsonLoggingSpanExporter export\nINFO: "
        + document(group(half), None)
        + b"\n"
        for half in HALVES
    ),
    "jaeger.json": document(jaeger()),
    "jaeger-otlp.json": lines({"result": {"resourceSpans": [group(half)]}} for half in HALVES),
    "jaeger-elasticsearch.json": document(hits(jaeger_documents())),
    "zipkin.json": document(zipkin_spans(), None),
    "zipkin-api.json": document([zipkin_spans()], None),
    "elasticsearch.json": document(hits(elastic_documents())),
    "elasticsearch-dump.jsonl": lines(hits(elastic_documents())["hits"]["hits"]),
    "opensearch.json": document(hits(data_prepper_documents())),
    "mlflow.json": document(mlflow_trace()),
    "mlflow-rows.jsonl": lines([{"trace_id": f"tr-{TRACE}", "spans": mlflow_spans()}]),
    "mlflow-traces-artifact.json": document({"spans": mlflow_spans()}),
    "langsmith.jsonl": lines(langsmith_runs()),
    "langsmith-nested.json": document(nested_runs()),
    "langsmith-api.json": document({"runs": langsmith_runs(), "cursors": {}}),
    "langsmith-bulk.parquet": parquet(with_texts(langsmith_runs())),
    "openai-agents.jsonl": lines(openai_agents_spans()),
    "langfuse-api-page.json": document({"data": observations(), "meta": {"page": 1}}),
    "langfuse-api-trace.json": document(langfuse_trace("")),
    "langfuse-ui-trace.json": document(langfuse_trace("trace")),
    "langfuse-table.json": document(observations()),
    "langfuse-table.jsonl": lines(observations()),
    "langfuse-table.csv": quoted_csv(observations()),
    "langfuse-blob.jsonl": lines(blob_rows()),
    "langfuse-blob.json": document(blob_rows(), None),
    "langfuse-blob.csv": quoted_csv(blob_rows()),
    "langfuse-blob.parquet": parquet(with_texts(blob_rows())),
    "utf-16.jsonl": lines(spans()).decode().encode("utf-16"),
    "utf-16-big-endian.json": b"\xfe\xff" + document(spans()).decode().encode("utf-16-be"),
    "utf-16-without-mark.jsonl": lines(spans()).decode().encode("utf-16-le"),
    "utf-32.jsonl": lines(spans()).decode().encode("utf-32"),
    "utf-8-mark.jsonl": b"\xef\xbb\xbf" + lines(spans()),
    "utf-16.csv": frame_csv().decode().encode("utf-16"),
    "halo.jsonl.gz": gzip.compress(lines(spans())),
    "halo.jsonl.zst": zstd(lines(spans())),
    "frame.csv.gz": gzip.compress(frame_csv()),
    "frame.parquet.gz": gzip.compress(frame_parquet()),
    "otlp.pb.gz": gzip.compress(message(group(otlp_spans()))),
    "archive.zip": archive({"notes.md": b"# notes\n", "traces/spans.jsonl": lines(spans())}),
    "one-member.zip": archive({"spans": frame_parquet()}),
}
