"""What each framework records is read from the store as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from halo_engine.detectors import load_detectors
from halo_engine.detectors.verdicts import DetectionPlan, verdicts_on
from halo_engine.schema import Trace
from halo_engine.store import TraceStore
from halo_engine.store.union import united_traces
from recordings import RECORDINGS, traces_in


@pytest.fixture(scope="module")
def recorded() -> dict[str, Trace]:
    found: dict[str, Trace] = {}
    for path in sorted(RECORDINGS.glob("*.otlp.jsonl.gz")):
        found |= traces_in(path)
    return found


def test_detectors_say_of_a_trace_as_it_was_read_what_they_say_of_the_stored_one(
    tmp_path: Path, recorded: dict[str, Trace]
) -> None:
    plan = DetectionPlan(load_detectors())
    backwards = (structs.replace(t, spans=t.spans[::-1]) for t in recorded.values())
    in_hand = verdicts_on(united_traces({}, backwards), plan).traces
    with TraceStore(tmp_path / "traces") as store:
        store.ingest(recorded.values())
    with TraceStore(tmp_path / "traces", read_only=True) as store:
        stored = verdicts_on(store.traces(), plan).traces
    numbers = range(len(plan.detectors))
    rulings = {v.trace_id: [v.ruling(number) for number in numbers] for v in stored}
    assert {v.trace_id: [v.ruling(number) for number in numbers] for v in in_hand} == rulings


def test_every_recorded_span_is_read_as_it_was_stored(
    tmp_path: Path, recorded: dict[str, Trace]
) -> None:
    with TraceStore(tmp_path / "traces") as store:
        store.ingest(recorded.values())
    with TraceStore(tmp_path / "traces", read_only=True) as store:
        found = {trace.trace_id: trace for trace in store.traces()}
        (copied,) = store.sql(
            "SELECT count(copied) AS spans, bool_and(copied IS NULL OR attributes->>(json_keys("
            "copied::JSON)[1]) IS NULL) AS empty FROM spans"
        )
    assert found == recorded
    for trace_id, trace in recorded.items():
        orders = zip(trace.spans, found[trace_id].spans, strict=True)
        assert all(list(a.attributes) == list(b.attributes) for a, b in orders)
    assert copied["spans"] > 1000
    assert copied["empty"]
