"""The run as Jaeger, Zipkin, Elasticsearch and OpenSearch have it."""

from __future__ import annotations

from collections.abc import Iterable

from exports.run import RUN, SERVICE, TRACE, Row, attributes, iso, nano


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
