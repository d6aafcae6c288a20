"""Sets of traces for the end-to-end tests."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from halo_integrations.demo.agent import Agent
from halo_integrations.demo.plan import plan
from halo_integrations.demo.sending import SpanCount, play, tracing
from halo_integrations.options.callbacks import no_progress
from halo_integrations.testing.conformance import CANARY_TEXT, row, sample_rows
from langfuse_data import recorded_rows
from synthetic import conversations

Row = dict[str, Any]

# What stands for a secret in what was read.
PLACEHOLDER = re.compile(r"\[redacted:[^\]]+\]")


def synthetic() -> list[Row]:
    """The sample traces, with a loop in the canary, so that something is found in it."""
    looping = [row(5, n, "TOOL", "get_order", loop_attributes(), parent=1) for n in range(10, 14)]
    return [*sample_rows(), *looping]


def loop_attributes() -> dict[str, str]:
    return {
        "tool.name": "get_order",
        "input.value": json.dumps({"order_id": 5, "note": CANARY_TEXT}),
        "output.value": json.dumps({"status": "unknown", "note": CANARY_TEXT}),
    }


def recorded() -> list[Row]:
    """Recorded conversations of a shop's agent, and enough synthetic ones to fill several pages."""
    return [*recorded_rows(), *conversations(130, seed=7, loop_every=13)]


def demo() -> list[Row]:
    """Conversations of the demo's agent with all its planted faults."""
    exporter, random = InMemorySpanExporter(), Random(1)
    with tracing(exporter, "corpus", SpanCount(), random) as tracer:
        play(plan(100, seed=1), Agent(tracer, random), no_progress)
    return [row_of_sdk_span(span) for span in exporter.get_finished_spans()]


def row_of_sdk_span(span: ReadableSpan) -> Row:
    """A span of the OpenTelemetry SDK in the form of the files adapter."""
    shown = json.loads(span.to_json())
    status = shown["status"]
    return {
        "trace_id": shown["context"]["trace_id"].removeprefix("0x"),
        "span_id": shown["context"]["span_id"].removeprefix("0x"),
        "parent_span_id": (shown["parent_id"] or "").removeprefix("0x"),
        "name": shown["name"],
        "start_time": shown["start_time"],
        "end_time": shown["end_time"],
        "status": {
            "code": f"STATUS_CODE_{status['status_code']}",
            "message": status.get("description", ""),
        },
        "attributes": shown["attributes"],
        "events": shown["events"],
    }


CORPORA: dict[str, Callable[[], list[Row]]] = {
    "synthetic": synthetic,
    "recorded": recorded,
    "demo": demo,
}


def text_of(rows: list[Row], span_id: str, field: str) -> str:
    """A field of a span as it was sent."""
    span = next(r for r in rows if r["span_id"] == span_id)
    names = {"input": "input.value", "output": "output.value"}
    return str(span["attributes"].get(names.get(field, field)) or span.get(field) or span)


def assert_whole_and_proven(
    run: Row, rows: list[Row], returned: Callable[[str], str] = lambda text: text
) -> None:
    """Assert that a run read all ``rows``, wrote its findings, and quotes only what was sent.

    ``returned`` turns a text into the form in which the platform returns it.
    """
    assert run["run"]["traces"] == len({r["trace_id"] for r in rows})
    assert run["run"]["spans"] == len(rows)
    assert run["report"]["findings"]
    assert run["report"]["dropped_quotes"] == 0
    assert run["annotated"]["confirmed"] == run["annotated"]["total"] > 0
    sent = {r["span_id"] for r in rows}
    for finding in run["report"]["findings"]:
        for evidence in (e for affected in finding["affected"] for e in affected["evidence"]):
            assert evidence["span_id"] in sent
            if evidence["field"] in ("input", "output"):
                text = text_of(rows, evidence["span_id"], evidence["field"])
                pieces = PLACEHOLDER.split(returned(evidence["quote"]))
                assert all(piece in returned(text) for piece in pieces)
