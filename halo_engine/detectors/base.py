"""What a detector is, and how one is declared.

A detector is a pure function over one trace. It yields a ``Signal`` for each place where its rule
holds, and one ``NotApplicable`` when the trace lacks what the rule needs: a missing field is never a
pass. A trace without anything of the kind that a rule judges is not_applicable too ("no retriever
spans"), so that a prevalence counts the traces that could have shown the failure. A trace that can
be judged in part is judged, and yields no ``NotApplicable``.

``detector(...)`` turns such a function into a ``Detector`` with the texts that a finding of it
carries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from halo_engine.fields import field_text
from halo_engine.findings import Citation, Severity
from halo_engine.schema import FrozenModel, Span, Trace

MAX_QUOTE = 300


class Signal(FrozenModel):
    """One place where a detector's rule holds.

    ``span_id`` is the span to look at first (None: the trace as a whole); ``citations`` quote what
    the rule saw. Signals of one detector that share mode, tool and (masked) ``message`` become
    one finding, so ``message`` holds what makes two hits the same failure, and no more.
    """

    detector: str
    failure_mode: str
    severity: Severity
    trace_id: str
    span_id: str | None
    reason: str
    citations: tuple[Citation, ...]
    time_unix_nano: int | None = None
    tool: str | None = None
    message: str | None = None


class NotApplicable(FrozenModel):
    """The detector could not judge this trace; ``reason`` says what is missing."""

    detector: str
    trace_id: str
    reason: str


Outcome = Signal | NotApplicable


@dataclass(frozen=True)
class Corpus:
    """What a rule may know of all traces together.

    ``tool_spans`` counts the TOOL spans; ``low_document_score`` is the 5th percentile of the
    scores of all retrieved documents, None when there are too few to say.
    """

    traces: int = 0
    tool_spans: int = 0
    low_document_score: float | None = None


Detect = Callable[[Trace, Corpus, "Detector"], Iterator[Outcome]]
CorpusFilter = Callable[[Sequence[Signal]], Iterable[Signal]]


@dataclass(frozen=True)
class Detector:
    """A rule with its texts. Call it with a trace to get its outcomes.

    ``keep``, where a rule looks across traces, sees all signals of the detector at the end and
    returns those that stand.
    """

    id: str
    name: str
    failure_mode: str
    severity: Severity
    title: str
    recommendation: str
    detect: Detect
    corpus_filter: CorpusFilter | None = None

    def __call__(self, trace: Trace, corpus: Corpus | None = None) -> list[Outcome]:
        """Every outcome of the rule on ``trace``."""
        return list(self.detect(trace, corpus or Corpus(), self))

    def signal(
        self,
        trace: Trace,
        span: Span | None,
        reason: str,
        citations: Iterable[Citation],
        *,
        tool: str | None = None,
        message: str | None = None,
        severity: Severity | None = None,
        failure_mode: str | None = None,
    ) -> Signal:
        """A signal of this detector at ``span`` (None: the trace as a whole)."""
        return Signal(
            detector=self.name,
            failure_mode=failure_mode or self.failure_mode,
            severity=severity or self.severity,
            trace_id=trace.trace_id,
            span_id=span.span_id if span else None,
            reason=reason,
            citations=tuple(citations),
            time_unix_nano=span.start_time_unix_nano if span else None,
            tool=tool,
            message=message,
        )

    def not_applicable(self, trace: Trace, reason: str) -> NotApplicable:
        """Say that this trace cannot be judged, and why."""
        return NotApplicable(detector=self.name, trace_id=trace.trace_id, reason=reason)


def detector(
    *,
    id: str,
    failure_mode: str,
    severity: Severity,
    title: str,
    recommendation: str,
    corpus_filter: CorpusFilter | None = None,
) -> Callable[[Detect], Detector]:
    """Declare the decorated function as a detector named after it.

    ``title`` may hold ``{tool}`` and ``{message}``, filled in per finding; ``recommendation`` says
    what to do about it.
    """

    def declare(detect: Detect) -> Detector:
        return Detector(
            id=id,
            name=detect.__name__,
            failure_mode=failure_mode,
            severity=severity,
            title=title,
            recommendation=recommendation,
            detect=detect,
            corpus_filter=corpus_filter,
        )

    return declare


def cite(span: Span, field: str, start: int = 0, end: int | None = None) -> Iterator[Citation]:
    """Quote characters ``start`` to ``end`` of ``field``, at most ``MAX_QUOTE`` of them.

    Yields nothing where the field is missing or holds only white space there.
    """
    text = field_text(span, field)
    if text is None:
        return
    quote = text[start : min(start + MAX_QUOTE, len(text) if end is None else end)]
    if quote.strip():
        yield Citation(span_id=span.span_id, field=field, quote=quote)
