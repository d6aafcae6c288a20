"""The detector of failed retrievals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random

import pytest

from halo_engine.detectors import Corpus
from halo_engine.detectors.retrieval import empty_retrieval, score_floors
from halo_engine.detectors.runner import run_detectors
from halo_engine.findings import Finding, Severity
from halo_engine.store import TraceStore
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


def test_a_retrieval_whose_best_score_is_below_the_floor_is_a_failure_of_low_severity():
    low = trace(agent(), retriever("a", "b", scores=[0.15, 0.1]))
    found = signal(empty_retrieval, low)
    assert found.severity is Severity.LOW
    assert found.message == "only documents with unusually low scores"
    assert ("documents.0.score", "0.15") in quotes(found)


def test_one_document_with_a_good_score_or_without_one_is_enough():
    for scores in ([0.1, 0.9], [0.1]):
        run = trace(agent(), retriever("a", "b", scores=scores))
        assert signals(empty_retrieval, run) == []


def test_scores_of_a_retriever_without_a_floor_are_not_judged():
    run = trace(agent(), retriever("a", scores=[0.01], name="another"))
    assert signals(empty_retrieval, run) == []
    assert signals(empty_retrieval, run, Corpus()) == []


# -- over a corpus -------------------------------------------------------------------------------


def findings_for(tmp_path: Path, rankings: Iterable[Sequence[float]]) -> list[Finding]:
    """The findings on one trace for each of ``rankings``, the scores that a retriever returned."""
    texts = ("Open at nine.", "Closed on Mondays.", "Free parking.")
    runs = [
        trace(agent(), retriever(*texts[: len(scores)], scores=scores), number=number)
        for number, scores in enumerate(rankings, start=1)
    ]
    with TraceStore(tmp_path / "traces") as store:
        store.ingest(runs)
        return list(run_detectors(store, [empty_retrieval]).findings)


def ranked(best: float) -> list[float]:
    return [best, best - 0.02, best - 0.05]


HEALTHY = {
    "uniform": lambda random: random.uniform(0.80, 0.95),
    "normal": lambda random: random.gauss(0.8, 0.05),
    "skewed to the left": lambda random: random.betavariate(8, 2),
    "lexical": lambda random: random.lognormvariate(2.5, 0.4),
}


@pytest.mark.parametrize("draw", HEALTHY.values(), ids=HEALTHY)
def test_a_thousand_healthy_retrievals_give_no_finding(tmp_path, draw):
    random = Random(7)
    assert findings_for(tmp_path, (ranked(draw(random)) for _ in range(1000))) == []


def test_healthy_retrievals_of_one_document_give_no_finding(tmp_path):
    assert findings_for(tmp_path, ([0.80 + 0.15 * n / 1000] for n in range(1000))) == []


def test_the_few_retrievals_far_below_the_usual_scores_are_found(tmp_path):
    random = Random(7)
    healthy = [ranked(random.gauss(0.8, 0.03)) for _ in range(285)]
    poor = [ranked(random.gauss(0.3, 0.05)) for _ in range(15)]
    (finding,) = findings_for(tmp_path, [*healthy, *poor])
    assert (finding.prevalence.affected, finding.prevalence.analysed) == (15, 300)


def test_distances_are_not_taken_for_scores(tmp_path):
    random = Random(7)
    usual = [ranked(random.gauss(0.8, 0.03))[::-1] for _ in range(285)]
    exact_matches = [[0.0, 0.5, 0.6]] * 15
    assert findings_for(tmp_path, [*usual, *exact_matches]) == []


def test_a_retriever_of_few_retrievals_has_no_usual_scores(tmp_path):
    assert findings_for(tmp_path, [*[ranked(0.8 + n / 1000) for n in range(40)], ranked(0.1)]) == []


def test_the_scores_of_one_retriever_are_no_measure_for_another():
    fine, coarse = ("fine", [0.9, 0.8]), ("coarse", [0.02, 0.01])
    spread = [
        (name, [s + n / 1000 for s in scores]) for n in range(60) for name, scores in (fine, coarse)
    ]
    floors = score_floors(spread)
    assert floors["coarse"] < 0.02 < floors["fine"]


def test_retrieval_is_not_judged_without_retrievers_or_without_their_results():
    assert not_applicable(empty_retrieval, trace(agent(), llm("hi"))) == "no retriever spans"
    unrecorded = trace(agent(), retriever(documents=None))
    assert not_applicable(empty_retrieval, unrecorded) == "no documents recorded"
    broken = trace(agent(), retriever(status=failed("index is down")))
    assert not_applicable(empty_retrieval, broken) == "no documents recorded"
