"""Regular expressions searched for in the parts of a store, side by side and within a time."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pyarrow as pa
import pytest
import re2

from halo_engine.errors import EngineError
from halo_engine.store import TraceFilter, TraceStore
from halo_engine.store.manifest import SPANS_FILE
from halo_engine.store.matching import (
    FIRST_BYTES,
    FirstOfEachTrace,
    FirstSpans,
    Question,
    search_parts,
)
from halo_engine.store.parts import (
    MOST_CHARS,
    PartReader,
)
from stored_traces import NOON, parts_of, saying, span, stored, trace


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "traces"


def test_a_search_gives_the_first_matches_of_all_parts(path: Path) -> None:
    with TraceStore(path) as store:
        for name in ("c", "a", "b"):
            store.ingest([saying(name, "It FAILED."), saying(f"{name}2", "fine")])
        assert [hit.trace_id for hit in store.search("failed", limit=2)] == ["a", "b"]
        assert store.search("failed", limit=0) == []


def test_a_search_that_has_found_enough_still_finds_what_comes_before_it(path: Path) -> None:
    with TraceStore(path) as store:
        for name in ("m", "z", "a"):
            store.ingest([trace(name, *(span(name, n, output="failed") for n in range(3)))])
        hits = store.search("failed", limit=4)
        assert [hit.span_id for hit in hits] == ["a-0", "a-1", "a-2", "m-0"]
        assert [hit.span_id for hit in store.search("failed", limit=3)] == ["a-0", "a-1", "a-2"]


def test_a_search_looks_only_at_the_newest_version_of_a_trace(path: Path) -> None:
    with TraceStore(path) as store:
        store.ingest([saying("a", "It failed."), saying("b", "It failed.")])
        store.ingest([saying("a", "All is well.")])
        assert [hit.trace_id for hit in store.search("failed")] == ["b"]
        assert [hit.trace_id for hit in store.first_matches("is well|failed")] == ["a", "b"]


def test_a_search_looks_only_at_the_traces_of_its_filter(path: Path) -> None:
    with TraceStore(path) as store:
        for name in ("a", "b", "c"):
            store.ingest([saying(name, "It failed."), saying(f"{name}2", "It failed.")])
        hits = store.search("failed", where=TraceFilter(ids=("a2", "c", "gone")))
        assert [hit.trace_id for hit in hits] == ["a2", "c"]
        assert store.search("failed", where=TraceFilter(name="nothing")) == []


def test_the_first_match_in_a_trace_is_in_the_span_that_began_first(path: Path) -> None:
    late = span("a", 1, start_time_unix_nano=NOON + 9, output="It failed.")
    undated = span("a", 0, start_time_unix_nano=None, input="It failed.")
    both = span("a", 2, output="failed", input="It failed")
    stored(path, trace("a", undated, late, both), saying("b", "fine"), saying("c", "failed"))
    with TraceStore(path, read_only=True) as store:
        hits = store.first_matches("failed")
        assert [(h.trace_id, h.span_id, h.field) for h in hits] == [
            ("a", "a-2", "input"),
            ("c", "c-1", "output"),
        ]


FAILED = re2.compile("failed")


def test_a_search_that_takes_too_long_is_an_error(path: Path) -> None:
    stored(path, saying("a", "It failed."))
    question = Question(FAILED, ["output"], seconds=0)
    with pytest.raises(EngineError, match="longer than 0 s: narrow it"):
        search_parts(path, {"part-000001": None}, question, FirstSpans(1))


def slow_search(path: Path, seconds: float, *fields: str) -> FirstSpans:
    """What is found where each call takes a second; so does whatever asks what time it is."""
    kept = FirstSpans(50)
    question = Question(FAILED, fields, seconds)
    search_parts(path, {"part-000001": None}, question, kept, count().__next__)
    return kept


def test_that_a_search_takes_too_long_is_noticed_within_a_part(path: Path) -> None:
    stored(path, trace("a", span("a", input="It failed.", output="It failed.")))
    assert len(slow_search(path, 4, "input").hits) == 1
    with pytest.raises(EngineError, match="longer than 4 s"):
        slow_search(path, 4, "input", "output")


def test_a_text_that_would_take_too_long_is_not_searched(path: Path) -> None:
    """The half megabyte that it begins with takes a second, all of it would take eight."""
    stored(path, saying("a", "x" * (8 * FIRST_BYTES) + "It failed."))
    assert [hit.trace_id for hit in slow_search(path, 60, "output").hits] == ["a"]
    with pytest.raises(EngineError, match="longer than 10 s"):
        slow_search(path, 10, "output")


def test_where_a_search_is_slow_fewer_texts_are_searched_at_once(path: Path) -> None:
    """Each may be asked about alone, so that the time is looked at after each."""
    chars = FIRST_BYTES * 2 // 3
    texts = ("It failed." if n in {1, 4} else "It ended." for n in range(5))
    stored(path, trace("a", *(span("a", n, output="x" * chars + t) for n, t in enumerate(texts))))
    assert [hit.span_id for hit in slow_search(path, 60, "output").hits] == ["a-1", "a-4"]
    with pytest.raises(EngineError, match="longer than 10 s"):
        slow_search(path, 10, "output")


def test_a_large_part_is_searched_in_batches(path: Path) -> None:
    stored(path, trace("a", *(span("a", n, output="x" * (MOST_CHARS // 2)) for n in range(4))))
    assert list(PartReader(path / "part-000001" / SPANS_FILE).batches()) == [[0], [1]]
    with TraceStore(path, read_only=True) as store:
        hits = store.search("xx")
        assert [hit.span_id for hit in hits] == ["a-0", "a-1", "a-2", "a-3"]


def test_a_search_holds_no_texts_of_the_parts_that_it_is_done_with(path: Path) -> None:
    held: list[int] = []

    class Noting(FirstOfEachTrace):
        def narrow(self, matches: pa.Table) -> pa.Table:
            held.append(matches.num_rows)
            return super().narrow(matches)

    with TraceStore(path) as store:
        for name in ("c", "a", "b"):
            store.ingest([saying(name, "It failed.")])
    kept = Noting()
    question = Question(FAILED, ["output"], seconds=30)
    search_parts(path, dict.fromkeys(parts_of(path)), question, kept)
    assert [hit.trace_id for hit in kept.hits] == ["a", "b", "c"]
    assert max(held) == 1


def test_a_search_in_a_damaged_part_is_a_clear_error(path: Path) -> None:
    stored(path, trace("a"))
    (path / "part-000001" / SPANS_FILE).write_text("x")
    with (
        pytest.raises(EngineError, match="it is damaged"),
        TraceStore(path, read_only=True) as store,
    ):
        store.search("failed")
