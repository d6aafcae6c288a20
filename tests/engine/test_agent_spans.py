"""Counts over the spans of agents, without those of the evaluators that judge them."""

from __future__ import annotations

from pathlib import Path

from halo_engine.schema import SpanKind
from halo_engine.store import TraceStore
from halo_integrations.testing import agent, failed, passed, retriever, span, tool, trace

JUDGE = "e" * 16


def test_spans_below_an_evaluator_are_not_counted_as_the_agents(tmp_path: Path) -> None:
    run = trace(
        agent(status=passed()),
        tool("search", {}, status=failed("no index")),
        retriever("a", "b", scores=[0.9, 0.8]),
        span(kind=SpanKind.EVALUATOR, span_id=JUDGE),
        span(kind=SpanKind.CHAIN, span_id="f" * 16, parent_span_id=JUDGE),
        tool("grade", {}, parent_span_id="f" * 16),
        retriever("c", scores=[0.1], parent_span_id=JUDGE),
    )
    with TraceStore(tmp_path / "traces") as store:
        store.ingest([run])
        counts = store.agent_counts()
        assert (counts.tools, counts.failed, counts.not_failed) == (1, 1, 2)
        assert list(store.retrieval_scores()) == [("retrieve", [0.9, 0.8])]


def test_only_retrievals_of_which_every_document_has_a_score_have_scores(tmp_path: Path) -> None:
    partly = retriever("a", "b", scores=[0.9])
    run = trace(agent(), partly, retriever("c"), retriever(), retriever("d", scores=[0.5]))
    with TraceStore(tmp_path / "traces") as store:
        store.ingest([run])
        assert list(store.retrieval_scores()) == [("retrieve", [0.5])]
