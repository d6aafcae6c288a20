"""Detectors as another distribution would provide them, and a value that is none."""

from __future__ import annotations

from collections.abc import Iterator

from halo_engine.detectors import Corpus, Detector, Outcome, TraceIndex, cite, detector
from halo_engine.findings import Severity

TEXTS = {
    "failure_mode": "other",
    "severity": Severity.LOW,
    "title": "Something was found",
    "recommendation": "Look at it.",
}


@detector(id="ACME2", **TEXTS)
def names_a_span(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A signal at the first span of every trace."""
    span = index.trace.spans[0]
    yield detector.signal(index.trace, span, "there is a span", cite(span, "name"))


@detector(id="ACME1", **TEXTS)
def raises(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A rule that fails on some traces."""
    span = index.trace.spans[0]
    if span.name == "the-name-of-a-customer":
        dict(span.name)  # THE LINE THAT RAISES
    yield detector.signal(index.trace, span, "there is a span", cite(span, "name"))


@detector(id="ACME3", **TEXTS)
def raises_elsewhere(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A rule that fails in the standard library."""
    import json

    yield from ()
    json.loads(index.trace.spans[0].name)  # THE LINE THAT CALLS


def make_detector(id: str) -> Detector:
    """A detector with the name of a built-in one."""

    @detector(id=id, **TEXTS)
    def identical_call_loop(
        index: TraceIndex, corpus: Corpus, detector: Detector
    ) -> Iterator[Outcome]:
        """A rule with the name of a built-in one."""
        yield from ()

    return identical_call_loop


homonym = make_detector("ACME4")


@detector(id="D01", **TEXTS)
def same_id(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A rule with the id of a built-in one."""
    yield from ()


no_detector = "a text"
