"""Detectors as another distribution would provide them, and a value that is none."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from halo_engine.detectors import Corpus, Detector, Outcome, Signal, TraceIndex, cite, detector
from halo_engine.findings import Citation, Severity

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


@detector(id="ACME7", **TEXTS)
def lacks_a_text(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A rule on the output "bad" that judges no trace whose first span has no input."""
    span = index.trace.spans[0]
    if span.input is None:
        yield detector.not_applicable(index.trace, "no input")
    if span.output == "bad":
        yield detector.signal(index.trace, span, "it is bad", cite(span, "output"))


@detector(id="ACME8", **TEXTS)
def quotes_what_is_not_there(
    index: TraceIndex, corpus: Corpus, detector: Detector
) -> Iterator[Outcome]:
    """A rule whose quote is in no trace but the first."""
    span = index.trace.spans[0]
    quote = Citation(span_id=span.span_id, field="output", quote="bad")
    yield detector.signal(index.trace, span, "a reason", [quote])


def broken_filter(
    signals: Sequence[Signal], corpus: Corpus, detector: Detector
) -> Iterable[Signal]:
    """A filter that fails once all traces were seen."""
    return [s for s in signals if s.reason == {}["no-such-key"]]  # THE LINE THAT FILTERS


@detector(id="ACME5", **TEXTS, corpus_filter=broken_filter)
def filters_wrong(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A rule whose signals never become findings."""
    span = index.trace.spans[0]
    yield detector.signal(index.trace, span, "there is a span", cite(span, "name"))


@detector(id="ACME6", **TEXTS | {"title": 'The result is {"status": null}, {tool} {0} {'})
def has_braces(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A rule with braces in its title."""
    span = index.trace.spans[0]
    yield detector.signal(index.trace, span, "a reason", cite(span, "name"), tool="{message}")


@detector(id="ACME7", **TEXTS)
def coins_a_failure_mode(
    index: TraceIndex, corpus: Corpus, detector: Detector
) -> Iterator[Outcome]:
    """A rule that reports a failure mode which is not in the catalogue."""
    yield detector.signal(index.trace, None, "a reason", [], failure_mode="refund_fraud")


def copying_filter(
    signals: Sequence[Signal], corpus: Corpus, detector: Detector
) -> Iterable[Signal]:
    """A filter that returns other signals than it was given."""
    return [replace(signal, reason="changed") for signal in signals]


@detector(id="ACME9", **TEXTS, corpus_filter=copying_filter)
def filters_copies(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A rule whose signals its filter replaces."""
    span = index.trace.spans[0]
    yield detector.signal(index.trace, span, "there is a span", cite(span, "name"))


@detector(id="ACME10", **TEXTS)
def yields_a_text(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A rule that yields no outcome."""
    yield "there is a span"


@detector(id="ACME11", **TEXTS)
def yields_for_another(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A rule that names another trace than it was given."""
    span = index.trace.spans[0]
    found = detector.signal(index.trace, span, "there is a span", cite(span, "name"))
    yield replace(found, trace_id="another")


@detector(id="ACME12", **TEXTS)
def names_what_is_missing(
    index: TraceIndex, corpus: Corpus, detector: Detector
) -> Iterator[Outcome]:
    """A rule with another reason for each trace that it cannot judge."""
    yield detector.not_applicable(index.trace, f"{index.trace.spans[0].name} is not judged")


@detector(id="ACME13", **TEXTS)
def asks_and_goes_on(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A rule that takes an error for an answer."""
    reason, spans = "nobody says of how many traces", ()
    with suppress(Exception):
        reason = f"one of {corpus.traces} traces"
    with suppress(Exception):
        spans = index.trace.spans
    for span in spans[:1]:
        yield detector.signal(index.trace, span, reason, cite(span, "name"))


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


@detector(id="ACME12", **TEXTS)
def kills_its_process(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A rule that kills the process which judges a trace with the name of a file that is there.

    Then the file is gone. The process whose number is in the file is spared.
    """
    span = index.trace.spans[0]
    armed = Path(span.name)
    if armed.is_absolute() and armed.exists() and int(armed.read_text()) != os.getpid():
        armed.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    yield detector.signal(index.trace, span, "there is a span", cite(span, "name"))
