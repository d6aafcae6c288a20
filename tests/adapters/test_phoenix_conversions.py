"""What Phoenix makes of spans of OpenTelemetry GenAI takes the place of nothing that they say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import phoenix_data
from halo_adapters.base import TraceQuery
from halo_adapters.phoenix.client import PhoenixClient
from halo_adapters.phoenix.reader import WHOLE_SPANS, PhoenixReader
from halo_adapters.phoenix.settings import PhoenixSettings
from halo_engine.schema import Span, SpanKind
from halo_integrations.testing.conformance import row
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix

Row = dict[str, Any]

PROJECT = "conversions"
RUN = 2001
RESPONSE = {"gen_ai.response.id": "c-1", "gen_ai.response.model": "m-1"}
SCHEMA = {"type": "object", "properties": {"order_id": {"type": "string"}}}
ANTHROPIC_TOOL = {"name": "get_order", "input_schema": SCHEMA}
SPANS: dict[str, Row] = {
    "root": {"openinference.span.kind": "AGENT", "input.value": "x"},
    "call without messages": {"gen_ai.operation.name": "chat", **RESPONSE},
    "call of the AI SDK": {
        "ai.operationId": "ai.generateText.doGenerate",
        "ai.response.finishReason": "stop",
        "ai.response.text": "On Monday.",
        "gen_ai.request.model": "m",
        **RESPONSE,
    },
    "tools": {
        "gen_ai.operation.name": "chat",
        "gen_ai.tool.definitions": json.dumps([ANTHROPIC_TOOL]),
    },
    "function": {"gen_ai.output.messages": "On Monday.", "function.args": "()"},
    "function with an object": {
        "function.args": "()",
        "gen_ai.output.messages": {"status": "shipped"},
    },
    "chunk": {
        "openinference.span.kind": "LLM",
        "output.value": "On",
        "mastra.span.type": "model_chunk",
    },
    "response": {
        "openinference.span.kind": "LLM",
        "input.value": "When?",
        "output.value": json.dumps({"id": "c-1", "model": "m-1", "text": "On Monday."}),
        **RESPONSE,
    },
}


def sent_span(position: int, name: str) -> Row:
    """A span with no other attributes than its own."""
    return {**row(RUN, position, "", name, {}, parent=1), "attributes": SPANS[name]}


@pytest.fixture(scope="module")
def base_url(phoenix: EmbeddedPhoenix) -> Iterator[str]:
    rows = [sent_span(position, name) for position, name in enumerate(SPANS, start=1)]
    rows[0]["parent_span_id"] = ""
    phoenix_data.load(phoenix.base_url, rows, PROJECT)
    yield phoenix.base_url
    phoenix_data.delete(phoenix.base_url, PROJECT)


@pytest.fixture(scope="module", params=[0, WHOLE_SPANS], ids=["columns", "whole"])
def spans(base_url: str, request: pytest.FixtureRequest) -> dict[str | None, Span]:
    """The spans by their names, read in columns or whole."""
    api = PhoenixClient(PhoenixSettings(base_url=base_url))
    reader = PhoenixReader(api, api.project(PROJECT), whole_spans=request.param)
    pages = [batch.decoded() for batch in reader.batches(TraceQuery())]
    return {span.name: span for page in pages for trace in page.traces for span in trace.spans}


def test_id_and_model_of_a_response_are_no_output(spans: dict[str | None, Span]) -> None:
    span = spans["call without messages"]
    assert (span.kind, span.output, span.output_messages) == (SpanKind.LLM, None, ())
    assert json.loads(str(span.attributes["output.value"])) == {"id": "c-1", "model": "m-1"}


def test_an_answer_is_read_where_it_was_recorded(spans: dict[str | None, Span]) -> None:
    span = spans["call of the AI SDK"]
    assert (span.kind, span.output) == (SpanKind.LLM, "On Monday.")
    assert [message.content for message in span.output_messages] == ["On Monday."]


def test_an_output_that_was_recorded_is_kept(spans: dict[str | None, Span]) -> None:
    assert "On Monday." in (spans["response"].output or "")


def test_tools_keep_the_schemas_of_their_arguments(spans: dict[str | None, Span]) -> None:
    (tool,) = spans["tools"].tools
    assert tool.parameters == SCHEMA


@pytest.mark.parametrize(
    ("name", "output"),
    [("function", "On Monday."), ("function with an object", '{"status":"shipped"}')],
)
def test_a_function_is_no_model_call(spans: dict[str | None, Span], name: str, output: str) -> None:
    assert (spans[name].kind, spans[name].output) == (None, output)


def test_a_dialect_may_know_better_than_the_kind_that_was_recorded(
    spans: dict[str | None, Span],
) -> None:
    assert spans["chunk"].kind is SpanKind.CHAIN
