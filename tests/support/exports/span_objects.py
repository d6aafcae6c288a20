"""The run as JSON objects, one a span, of HALO, Phoenix, console exporters and any-agent."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from exports.run import ANSWER, RUN, SERVICE, TRACE, Row, attributes, iso, nano


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
