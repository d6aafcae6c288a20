"""What queries on a store hold: more than DuckDB may have in memory goes to disk, long texts fit."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa

from halo_engine.schema import Span, Trace
from halo_engine.store import TraceStore
from halo_engine.store.columns import FACTS, SCORES, SPANS
from halo_engine.store.facts import fact_row
from halo_engine.store.parts import PartFiles, parquet_bytes, part_files
from halo_engine.store.rows import table_of

# DuckDB decodes it in a block of 256 MiB.
LONG = "x" * 135_000_000
RETRIEVALS = 500_000


def retrievals() -> PartFiles:
    """A part of one trace with ``RETRIEVALS``: sorted they take more memory than DuckDB may have."""
    trace_id, documents = "t" * 400, '[{"score": 0.5}, {"score": 0.4}]'
    given = {
        "trace_id": pa.repeat(trace_id, RETRIEVALS),
        "span_id": pa.array(range(RETRIEVALS)).cast(pa.string()),
        "kind": pa.repeat("RETRIEVER", RETRIEVALS),
        "documents": pa.repeat(documents, RETRIEVALS),
    }
    spans = pa.table([given.get(name, pa.nulls(RETRIEVALS)) for name in SPANS], list(SPANS))
    facts = fact_row([Span(trace_id, "0")], len(documents), 0, 0)
    counts = Counter({("kind", "RETRIEVER"): RETRIEVALS})
    packed = parquet_bytes(SPANS, [spans.cast(table_of(SPANS, []).schema)])
    return part_files(packed, table_of(FACTS, [facts]), table_of(SCORES, []), counts)


def test_what_a_query_sorts_beyond_its_memory_goes_to_disk(tmp_path: Path) -> None:
    with TraceStore(tmp_path / "traces") as store:
        store.add(retrievals())
        assert sum(1 for _ in store.retrieval_scores()) == RETRIEVALS


def test_a_text_as_long_as_a_record_may_be_is_within_the_queries(tmp_path: Path) -> None:
    with TraceStore(tmp_path / "traces") as store:
        store.ingest([Trace("a", (Span("a", "root", output=LONG),))])
    with TraceStore(tmp_path / "traces", read_only=True) as store:
        assert store.masked_secrets() == ()
        assert store.sql("SELECT length(output) AS n FROM spans") == [{"n": len(LONG)}]
