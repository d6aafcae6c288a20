"""Detector of retrievals without useful documents (D14)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from halo_engine.detectors.base import Corpus, Detector, Outcome, detector
from halo_engine.detectors.citations import cite, cite_identity
from halo_engine.detectors.span_text import json_or_none
from halo_engine.detectors.trace_index import TraceIndex
from halo_engine.findings import Citation, Severity
from halo_engine.schema import Span, SpanKind
from halo_engine.statistics.outliers import lower_fence

NOTHING = "no documents"
LOW_SCORES = "only documents with unusually low scores"
# Share of a retriever's rankings that must fall for its scores to count as "higher is better".
FALLING_SHARE = 0.9


@detector(
    id="D14",
    failure_mode="retrieval_failure",
    severity=Severity.MEDIUM,
    title="Retrieval by {tool} brings {message}",
    recommendation=(
        "Look at the queries: rewrite them before searching, check filters, the least similarity and "
        "the index they run on, and let the agent report that it found nothing instead of answering "
        "from nothing."
    ),
)
def empty_retrieval(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A retriever that returned no document, or whose best score is far below its usual ones.

    What a score means depends on the retriever, and some are distances. So scores are judged only
    where its rankings show that the higher is the better, and by its own usual best scores.
    """
    trace = index.trace
    retrievals = [span for span in trace.spans if span.kind is SpanKind.RETRIEVER]
    judged = [span for span in retrievals if not span.is_error and is_recorded(span)]
    if not judged:
        reason = "no documents recorded" if retrievals else "no retriever spans"
        yield detector.not_applicable(trace, reason)
    for span in judged:
        message = shortfall(span, corpus)
        if message:
            severity = Severity.LOW if message == LOW_SCORES else detector.severity
            quotes = list(retrieval_quotes(span))
            tool = span.name or "a retriever"
            yield detector.signal(
                trace, span, message, quotes, tool=tool, message=message, severity=severity
            )


def is_recorded(span: Span) -> bool:
    """Whether the span records the result of the retrieval."""
    return span.documents is not None or bool((span.output or "").strip())


def shortfall(span: Span, corpus: Corpus) -> str | None:
    """What the retrieved documents lack, None if nothing."""
    if not span.documents:
        return NOTHING if is_empty(span) else None
    scores = [d.score for d in span.documents if d.score is not None]
    if len(scores) < len(span.documents):
        return None
    floor = corpus.score_floors.get(span.name or "")
    return LOW_SCORES if floor is not None and max(scores) < floor else None


def score_floors(retrievals: Iterable[tuple[str, Sequence[float]]]) -> dict[str, float]:
    """Retriever -> the score under which its best document is an outlier.

    ``retrievals`` are the retriever's name and the scores of its documents in their order. A
    retriever is left out if its rankings do not fall, or if there are too few of them.
    """
    of_retriever: dict[str, list[Sequence[float]]] = defaultdict(list)
    for name, scores in retrievals:
        of_retriever[name].append(scores)
    fences = {
        name: lower_fence([max(scores) for scores in rankings])
        for name, rankings in of_retriever.items()
        if higher_is_better(rankings)
    }
    return {name: fence for name, fence in fences.items() if fence is not None}


def higher_is_better(rankings: Iterable[Sequence[float]]) -> bool:
    """Whether the scores of ``rankings`` fall from the first document to the last."""
    falling = [is_falling(scores) for scores in rankings if len(set(scores)) > 1]
    return bool(falling) and sum(falling) >= FALLING_SHARE * len(falling)


def is_falling(scores: Sequence[float]) -> bool:
    """Whether no score is above the one before it."""
    return all(before >= after for before, after in pairwise(scores))


def is_empty(span: Span) -> bool:
    """Whether a retriever without documents returned ``[]``, ``{}``, ``null`` or nothing."""
    text = (span.output or "").strip()
    if not text:
        return span.documents is not None
    value = json_or_none(text)
    if isinstance(value, dict):
        value = value.get("documents", value.get("results", value))
    return text == "null" or value == [] or value == {}


def retrieval_quotes(span: Span) -> Iterator[Citation]:
    """Quote the query, and the result or its first scores."""
    quotes = [*cite(span, "input"), *cite(span, "output")]
    for index in range(min(3, len(span.documents or ()))):
        quotes += cite(span, f"documents.{index}.score")
    yield from quotes or cite_identity(span)
