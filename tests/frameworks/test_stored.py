"""What each framework records is read from the store as it was."""

from __future__ import annotations

from pathlib import Path

from halo_engine.schema import Trace
from halo_engine.store import TraceStore
from recordings import RECORDINGS, traces_in


def test_every_recorded_span_is_read_as_it_was_stored(tmp_path: Path) -> None:
    recorded: dict[str, Trace] = {}
    for path in sorted(RECORDINGS.glob("*.otlp.jsonl.gz")):
        recorded |= traces_in(path)
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
