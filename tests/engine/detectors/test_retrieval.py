"""The detector of failed retrievals."""

from __future__ import annotations

import pytest

from halo_engine.detectors import Corpus
from halo_engine.detectors.retrieval import empty_retrieval
from halo_engine.findings import Severity
from halo_integrations.testing import agent, failed, llm, retriever, trace
from outcomes import not_applicable, quotes, signal, signals


def test_a_retriever_without_documents_is_a_failed_retrieval():
    found = signal(empty_retrieval, trace(agent(), retriever(query="opening hours")))
    assert found.failure_mode == "retrieval_failure"
    assert found.message == "no documents"
    assert ("input", "opening hours") in quotes(found)


@pytest.mark.parametrize("output", ["[]", "null", "{}", '{"documents": []}', '{"results": []}'])
def test_an_empty_output_of_a_retriever_counts_where_documents_are_not_recorded(output):
    run = trace(agent(), retriever(documents=None, output=output))
    assert signal(empty_retrieval, run).message == "no documents"


def test_a_retrieval_with_documents_is_no_failure():
    assert signals(empty_retrieval, trace(agent(), retriever("We open at nine."))) == []
    from_output = retriever(documents=None, output='[{"text": "We open at nine."}]')
    assert signals(empty_retrieval, trace(agent(), from_output)) == []


def test_a_retrieval_of_only_low_scores_is_a_failure_of_low_severity():
    """Today's behaviour and not the wanted one: the threshold is a percentile of the same corpus.

    A corpus of good retrievals therefore has some below it.
    """
    low = trace(agent(), retriever("a", "b", scores=[0.1, 0.15]))
    found = signal(empty_retrieval, low)
    assert found.severity is Severity.LOW
    assert ("documents.0.score", "0.1") in quotes(found)


def test_one_document_with_a_good_score_or_without_one_is_enough():
    for scores in ([0.1, 0.9], [0.1]):
        run = trace(agent(), retriever("a", "b", scores=scores))
        assert signals(empty_retrieval, run) == []


def test_scores_are_not_compared_where_the_corpus_has_too_few():
    run = trace(agent(), retriever("a", scores=[0.01]))
    assert signals(empty_retrieval, run, Corpus()) == []


def test_retrieval_is_not_judged_without_retrievers_or_without_their_results():
    assert not_applicable(empty_retrieval, trace(agent(), llm("hi"))) == "no retriever spans"
    unrecorded = trace(agent(), retriever(documents=None))
    assert not_applicable(empty_retrieval, unrecorded) == "no documents recorded"
    broken = trace(agent(), retriever(status=failed("index is down")))
    assert not_applicable(empty_retrieval, broken) == "no documents recorded"
