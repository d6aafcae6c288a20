"""From a store of traces to a report: every detector over every trace, signals into findings."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from halo_engine.detectors import Corpus, Detector, NotApplicable, Signal
from halo_engine.findings import (
    Affected,
    Evidence,
    Finding,
    NotJudged,
    Report,
    fingerprint_of,
    prevalence_of,
)
from halo_engine.quotes import prove
from halo_engine.schema import Failure, SpanKind, Trace
from halo_engine.store import TraceStore
from halo_engine.text.templates import message_template

Progress = Callable[[int, int], None]

# Percentiles over fewer retrieved documents than this say nothing.
MIN_SCORED_DOCUMENTS = 100


@dataclass(frozen=True)
class VerifiedSignal:
    """A signal with the quotes that were found in its trace."""

    signal: Signal
    evidence: tuple[Evidence, ...]


@dataclass
class DetectorRun:
    """What one detector said over all traces."""

    detector: Detector
    proven: list[VerifiedSignal] = field(default_factory=list)
    judged: int = 0
    not_applicable: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    failures: list[Failure] = field(default_factory=list)

    def judge(self, trace: Trace, corpus: Corpus) -> None:
        """Run the detector on ``trace`` and keep what it proves."""
        try:
            outcomes = self.detector(trace, corpus)
        except Exception as error:  # noqa: BLE001 - anybody's detector must not end the run
            what = f"{type(error).__name__}: {error}"
            self.failures.append(self._failure(trace, what))
            return
        signals = [o for o in outcomes if isinstance(o, Signal)]
        reasons = [o.reason for o in outcomes if isinstance(o, NotApplicable)]
        if reasons and not signals:
            self.not_applicable[reasons[0]] += 1
            return
        self.judged += 1
        for signal in signals:
            self._add(trace, signal)

    def _add(self, trace: Trace, signal: Signal) -> None:
        evidence = prove(trace, signal.citations)
        self.dropped += len(signal.citations) - len(evidence)
        if evidence:
            self.proven.append(VerifiedSignal(signal, evidence))

    def _failure(self, trace: Trace, what: str) -> Failure:
        return Failure(stage=f"detector {self.detector.name}", where=trace.trace_id, what=what)

    def standing(self) -> list[VerifiedSignal]:
        """The proven signals that the detector keeps once it has seen all of them."""
        if self.detector.corpus_filter is None:
            return self.proven
        kept = {
            id(signal) for signal in self.detector.corpus_filter([p.signal for p in self.proven])
        }
        return [p for p in self.proven if id(p.signal) in kept]


def run_detectors(
    store: TraceStore,
    detectors: Sequence[Detector],
    *,
    progress: Progress | None = None,
) -> Report:
    """Run ``detectors`` over every trace in ``store``.

    ``progress`` is called with the number of traces done and in all. Spans of evaluators are left
    out: they judge an agent and are not part of its run. A detector that raises is recorded as a
    failure on that trace, which then does not count as judged by it.
    """
    total = store.count()
    corpus = corpus_of(store, total)
    tallies = [DetectorRun(detector) for detector in detectors]
    spans = 0
    for done, trace in enumerate(store.traces(), start=1):
        agent_trace = without_evaluators(trace)
        spans += len(agent_trace.spans)
        for tally in tallies:
            tally.judge(agent_trace, corpus)
        if progress:
            progress(done, total)
    findings = [f for tally in tallies for f in findings_of(tally, total)]
    oversized = [too_large(s.trace_id, s.size) for s in store.oversized()]
    return Report(
        findings=tuple(sorted(findings, key=importance)),
        traces=total,
        spans=spans,
        detectors=tuple(d.name for d in detectors),
        not_judged=tuple(n for tally in tallies for n in not_judged(tally)),
        dropped_quotes=sum(tally.dropped for tally in tallies),
        failures=(*oversized, *(f for tally in tallies for f in tally.failures)),
    )


def corpus_of(store: TraceStore, traces: int) -> Corpus:
    """What the rules may know of all traces together."""
    tool_spans = sum(c.spans for c in store.overview().kinds if c.value == SpanKind.TOOL)
    low = store.document_score_quantile(0.05, at_least=MIN_SCORED_DOCUMENTS)
    return Corpus(traces=traces, tool_spans=tool_spans, low_document_score=low)


def without_evaluators(trace: Trace) -> Trace:
    """``trace`` without the spans in which something judged it."""
    if not any(span.kind is SpanKind.EVALUATOR for span in trace.spans):
        return trace
    kept = tuple(span for span in trace.spans if span.kind is not SpanKind.EVALUATOR)
    return trace.model_copy(update={"spans": kept})


def too_large(trace_id: str, size: int) -> Failure:
    """A trace that was not analysed because it does not fit in memory."""
    return Failure(
        stage="analysis",
        where=trace_id,
        what=f"not analysed: its texts are {size / 1e6:.0f} MB, too large to hold as one value",
    )


def findings_of(tally: DetectorRun, total: int) -> Iterable[Finding]:
    """One finding for each group of signals that are the same failure."""
    groups: dict[tuple[str, ...], list[VerifiedSignal]] = defaultdict(list)
    for proven in tally.standing():
        signal = proven.signal
        groups[
            signal.failure_mode, signal.tool or "", message_template(signal.message or "")
        ].append(proven)
    return [finding_of(tally, group, total) for group in groups.values()]


def finding_of(tally: DetectorRun, group: Sequence[VerifiedSignal], total: int) -> Finding:
    """The finding that a group of signals makes."""
    detector, first = tally.detector, group[0].signal
    message = message_template(first.message) if first.message else None
    fingerprint = fingerprint_of([detector.name, first.failure_mode, first.tool, message])
    affected = affected_of(group)
    traces = len({a.trace_id for a in affected})
    return Finding(
        id=f"{first.failure_mode}-{fingerprint[:8]}",
        fingerprint=fingerprint,
        failure_mode=first.failure_mode,
        title=detector.title.format(tool=first.tool or "a step", message=message or ""),
        severity=min((p.signal.severity for p in group), key=lambda s: s.rank),
        summary=first.reason,
        recommendation=detector.recommendation,
        detector=detector.name,
        tool=first.tool,
        message=message,
        prevalence=prevalence_of(traces, tally.judged, total),
        affected=affected,
    )


def affected_of(group: Sequence[VerifiedSignal]) -> tuple[Affected, ...]:
    """The places of a group, those at the same span together."""
    places: dict[tuple[str, str | None], list[VerifiedSignal]] = defaultdict(list)
    for proven in group:
        places[proven.signal.trace_id, proven.signal.span_id].append(proven)
    return tuple(
        Affected(
            trace_id=trace_id,
            span_id=span_id,
            reason=those[0].signal.reason,
            evidence=tuple(dict.fromkeys(e for p in those for e in p.evidence)),
        )
        for (trace_id, span_id), those in places.items()
    )


def not_judged(tally: DetectorRun) -> list[NotJudged]:
    """Why a detector said nothing, and about how many traces."""
    return [
        NotJudged(detector=tally.detector.name, reason=reason, traces=traces)
        for reason, traces in tally.not_applicable.most_common()
    ]


def importance(finding: Finding) -> tuple[int, int, str]:
    """Worst first, then the most common, then by id so that the order is always the same."""
    return (finding.severity.rank, -finding.prevalence.affected, finding.id)
