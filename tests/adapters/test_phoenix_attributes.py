"""All attributes that a real Phoenix server has of a span are read, however it is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

import phoenix_data
from halo_adapters.base import TraceQuery
from halo_adapters.phoenix.client import PhoenixClient
from halo_adapters.phoenix.reader import WHOLE_SPANS, PhoenixReader, sample_of
from halo_adapters.phoenix.settings import PhoenixSettings
from halo_engine.schema import Span
from halo_integrations.testing.conformance import row, span_id_of, trace_id_of
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix

Row = dict[str, Any]

PROJECT = "rare attributes"
FIRST, LAST = 1001, 1060
# The runs up to this one have what the newer ones, which are read first, do not show.
OLD = FIRST + 30
# The run whose spans have exceptions, and no status that says so.
FAILED = FIRST + 4
AGENT, MODEL, TOOL, EXPORT, STREAM, SECOND_ROOT = 1, 2, 3, 4, 5, 6

EXCEPTION = {
    "name": "exception",
    "attributes": {"exception.type": "TimeoutError", "exception.message": "no answer"},
}


def run(number: int) -> list[Row]:
    """An agent with a model call and a tool call."""
    rows = [
        row(number, AGENT, "AGENT", "support", {"input.value": "x"}),
        row(number, MODEL, "LLM", "chat", {"input.value": "x"}, parent=AGENT),
        row(number, TOOL, "TOOL", "get_order", {"input.value": "x"}, parent=AGENT),
    ]
    if number <= OLD:
        rows[0]["attributes"]["canary"] = True
        rows[1]["attributes"]["deploy.ring"] = number
    return rows


def exports() -> list[Row]:
    """Spans of a name of their own, which columns cannot hold."""
    spans = []
    for number in range(FIRST, FIRST + 9):
        attributes = {"input.value": "x", 'say "hi"': "hi", "back\\slash": 1, "depot.name": "north"}
        spans.append(row(number, EXPORT, "CHAIN", f"export {number}", attributes, parent=AGENT))
        stream = row(number, STREAM, "CHAIN", "stream", {"input.value": "x"}, parent=AGENT)
        token = {"name": "first token", "attributes": {"token": "On"}}
        spans.append({**stream, "events": [token]})
    return spans


def planted() -> list[Row]:
    """All spans; one has an attribute that no other has."""
    rows = {
        (r["trace_id"], r["span_id"]): r for number in range(FIRST, LAST + 1) for r in run(number)
    }
    rows[trace_id_of(FIRST), span_id_of(FIRST, AGENT)]["attributes"]["shop.tier"] = "gold"
    rows[trace_id_of(FIRST), span_id_of(FIRST, TOOL)]["attributes"]["http.status_code"] = 503
    failed = rows[trace_id_of(FIRST + 1), span_id_of(FIRST + 1, TOOL)]
    failed["status"] = {"code": "STATUS_CODE_ERROR", "message": "no answer"}
    failed["attributes"]["carrier.code"] = "NX"
    for position in (AGENT, TOOL):
        rows[trace_id_of(FAILED), span_id_of(FAILED, position)]["events"] = [EXCEPTION]
    embedding = {"model_name": "small", "embeddings.0.embedding.vector": [0.5, 0.5]}
    rows[trace_id_of(FIRST + 2), span_id_of(FIRST + 2, TOOL)]["attributes"].update(
        {f"embedding.{name}": value for name, value in embedding.items()}
    )
    second_root = row(FIRST + 3, SECOND_ROOT, "AGENT", "support", {"shop.lane": "express"})
    return [*rows.values(), *exports(), second_root]


@pytest.fixture(scope="module")
def base_url(phoenix: EmbeddedPhoenix) -> Iterator[str]:
    phoenix_data.load(phoenix.base_url, planted(), PROJECT)
    yield phoenix.base_url
    phoenix_data.delete(phoenix.base_url, PROJECT)


def spans_of(base_url: str, whole_spans: int) -> dict[str, Span]:
    """The spans by their ids, so many of which are read whole before columns are asked for."""
    api = PhoenixClient(PhoenixSettings(base_url=base_url))
    reader = PhoenixReader(api, api.project(PROJECT), whole_spans=whole_spans)
    pages = [batch.decoded() for batch in reader.batches(TraceQuery())]
    return {span.span_id: span for page in pages for trace in page.traces for span in trace.spans}


@pytest.fixture(scope="module", params=[0, WHOLE_SPANS], ids=["columns", "whole"])
def spans(base_url: str, request: pytest.FixtureRequest) -> dict[str, Span]:
    return spans_of(base_url, request.param)


def attribute(spans: dict[str, Span], number: int, position: int, name: str) -> object:
    return spans[span_id_of(number, position)].attributes.get(name)


def test_a_name_that_detectors_read_is_found_on_any_span(spans: dict[str, Span]) -> None:
    assert attribute(spans, FIRST, TOOL, "http.status_code") == 503


def test_what_the_application_says_of_one_run_is_found(spans: dict[str, Span]) -> None:
    assert attribute(spans, FIRST, AGENT, "shop.tier") == "gold"


def test_what_a_second_root_of_a_run_says_is_found(spans: dict[str, Span]) -> None:
    assert attribute(spans, FIRST + 3, SECOND_ROOT, "shop.lane") == "express"


def test_what_a_failed_span_says_is_found(spans: dict[str, Span]) -> None:
    assert attribute(spans, FIRST + 1, TOOL, "carrier.code") == "NX"
    assert spans[span_id_of(FIRST + 1, TOOL)].status.message == "no answer"


def test_what_spans_of_one_name_have_is_found(spans: dict[str, Span]) -> None:
    for number in range(FIRST, FIRST + 9):
        assert attribute(spans, number, EXPORT, "depot.name") == "north"


def test_names_that_no_query_can_hold_are_found(spans: dict[str, Span]) -> None:
    for number in range(FIRST, FIRST + 9):
        assert attribute(spans, number, EXPORT, 'say "hi"') == "hi"
        assert attribute(spans, number, EXPORT, "back\\slash") == 1


def test_events_of_spans_that_did_not_fail_are_read(spans: dict[str, Span]) -> None:
    for number in range(FIRST, FIRST + 9):
        events = spans[span_id_of(number, STREAM)].events
        assert [(event.name, event.attributes) for event in events] == [
            ("first token", {"token": "On"})
        ]


def test_exceptions_are_read_of_a_run_whose_status_does_not_tell_of_them(
    spans: dict[str, Span],
) -> None:
    assert not sample_of([trace_id_of(FAILED)])
    for position in (AGENT, TOOL):
        (event,) = spans[span_id_of(FAILED, position)].exceptions
        assert event.attributes["exception.message"] == "no answer"


def test_a_name_that_is_found_late_is_read_of_the_spans_before_too(spans: dict[str, Span]) -> None:
    assert sample_of(trace_id_of(number) for number in range(FIRST, OLD + 1))
    for number in range(FIRST, OLD + 1):
        assert attribute(spans, number, AGENT, "canary") is True
        assert attribute(spans, number, MODEL, "deploy.ring") == number


def test_of_many_traces_a_smaller_share_is_read_whole_than_of_the_first_thousand() -> None:
    trace_ids = [trace_id_of(number) for number in range(65_000)]
    sample = sample_of(trace_ids)
    first, later = (len(sample.intersection(some)) for some in (trace_ids[:1000], trace_ids[1000:]))
    assert 40 < first < 90
    assert 900 < later < 1100


def test_of_an_embedding_its_model_is_read_and_not_its_vector(spans: dict[str, Span]) -> None:
    span = spans[span_id_of(FIRST + 2, TOOL)]
    assert [name for name in span.attributes if "embedding" in name] == ["embedding.model_name"]


def test_all_spans_are_the_same_in_columns_as_whole(base_url: str) -> None:
    whole, columns = spans_of(base_url, WHOLE_SPANS), spans_of(base_url, 0)
    assert len(whole) == len(planted())
    for span_id, span in whole.items():
        assert replace(columns[span_id], origin=span.origin) == span
