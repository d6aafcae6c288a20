"""All attributes that a real Phoenix server has of a span are read, however rare they are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import phoenix_data
from halo_adapters.phoenix import PhoenixAdapter
from halo_engine.schema import Span
from halo_integrations.testing.conformance import numbers, read, row, trace_id_of
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix

FIRST = 1001
LAST = FIRST + 129  # more than are sampled of a kind


@pytest.fixture(scope="module")
def spans(phoenix: EmbeddedPhoenix) -> Iterator[dict[str, Span]]:
    """The root spans of a project by their trace ids; the oldest ones have what no other has."""
    rare = {
        FIRST: ("lookup", {"http.status_code": 503}),
        FIRST + 1: ("export 17", {"shop.warehouse": "north"}),
    }
    rows = [
        row(number, 1, "CHAIN", name, {"input.value": "x", **attributes})
        for number in range(FIRST, LAST + 1)
        for name, attributes in [rare.get(number, ("lookup", {}))]
    ]
    project = "rare attributes"
    phoenix_data.load(phoenix.base_url, rows, project)
    settings = {"base_url": phoenix.base_url, "project": project}
    adapter = PhoenixAdapter(PhoenixAdapter.Settings.model_validate(settings))
    yield {trace_id: trace.spans[0] for trace_id, trace in read(adapter).items()}
    phoenix_data.delete(phoenix.base_url, project)


def test_a_name_that_detectors_read_is_found_on_any_span(spans: dict[str, Span]) -> None:
    assert len(spans) == len(numbers(*range(FIRST, LAST + 1)))
    assert spans[trace_id_of(FIRST)].attributes["http.status_code"] == 503


def test_a_name_of_the_application_is_found_where_spans_of_that_name_have_it(
    spans: dict[str, Span],
) -> None:
    assert spans[trace_id_of(FIRST + 1)].attributes["shop.warehouse"] == "north"
