"""Short ids of traces and spans, and the traces that are kept in memory."""

from __future__ import annotations

from pathlib import Path

from halo_engine.rlm.pages.page import TranscriptPage
from halo_engine.rlm.short_ids import ShortIds, TraceCache
from halo_engine.schema import Trace
from halo_engine.store import TraceStore
from halo_integrations.testing import agent, tool, trace
from rlm_context import RlmContext


def test_the_cache_holds_no_more_characters_than_its_limit() -> None:
    cache = TraceCache({"a": 40, "b": 40, "c": 40, "large": 500}, limit=100)
    for trace_id in ("a", "b"):
        cache.add(Trace(trace_id=trace_id))
    assert cache.get("a")
    cache.add(Trace(trace_id="c"))
    assert [t for t in "abc" if cache.get(t)] == ["a", "c"]
    cache.add(Trace(trace_id="large"))
    assert [t for t in ("a", "b", "c", "large") if cache.get(t)] == ["large"]


def test_traces_are_read_in_the_order_that_is_asked_for(context: RlmContext) -> None:
    wanted = context.short_ids.trace_ids[::-1]
    assert [t.trace_id for t in context.short_ids.traces(wanted)] == wanted


def test_spans_that_share_an_id_have_short_ids_of_their_own(tmp_path: Path) -> None:
    doubled = [tool("pay", {}, output=text, span_id="d" * 16) for text in ("Paid 10.", "Paid 20.")]
    with TraceStore(tmp_path / "traces") as store:
        store.ingest([trace(agent(output="Done."), *doubled)])
    with TraceStore(store.path, read_only=True) as stored:
        short_ids = ShortIds(stored)
        (found,) = short_ids.traces(short_ids.trace_ids)
        lines = TranscriptPage(1000).transcript("T1", found).text.splitlines()
        for line in lines:
            name, _, text = line.partition("] ")
            span = short_ids.span(name[1:])
            assert span
            assert text.endswith(f"output: {span.output}") or "input" in text
        assert len(lines) >= 3


def test_the_name_of_any_line_of_a_span_is_an_id_of_it(context: RlmContext) -> None:
    named = context.short_ids.span("T2.3")
    assert named
    assert context.short_ids.span("T2.3b") == context.short_ids.span(" t2.3ab ") == named
    assert context.short_ids.trace_id("T2.3b") == context.short_ids.trace_id("T2")
    assert context.short_ids.span("T2.3abc") is None
