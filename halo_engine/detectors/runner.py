"""Running detectors over a trace store: every trace once, the result a report."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import PurePath
from traceback import walk_tb
from types import MappingProxyType
from typing import NamedTuple

from msgspec import structs

from halo_engine.detectors.base import Corpus, Detector, NotApplicable, Outcome, Signal
from halo_engine.detectors.grouping import JudgedTraces, VerifiedSignal, group_into_findings
from halo_engine.detectors.outlying_runs import compare_runs
from halo_engine.detectors.precedence import merge_parts
from halo_engine.detectors.retrieval import score_floors
from halo_engine.detectors.trace_index import TraceIndex
from halo_engine.findings import Finding, NotJudged, Report, importance
from halo_engine.quotes import verify_citations
from halo_engine.schema import Failure, SpanKind, Trace
from halo_engine.store import TraceStore

OnTraceDone = Callable[[int, int], None]

NO_PARTS: Mapping[str, Set[str]] = MappingProxyType({})

UNPROVEN = "the quotes of what was found are not in the trace"
WITHHELD = "texts, which --metadata-only withholds"
ALL_TRACES = "all traces"  # where a detector failed that compares them


class StorePart(NamedTuple):
    """Some traces of a store, and their statistics."""

    name: str
    trace_ids: Set[str]
    corpus: Corpus


@dataclass
class DetectorRun:
    """What one detector has found so far, and how many traces of each part it could judge.

    ``not_whole`` are the traces in which it found something but could judge the rest not: it says
    nothing of such traces where it finds nothing, so that counting them would make a share too high.
    """

    detector: Detector
    verified: list[VerifiedSignal] = field(default_factory=list)
    judged: Counter[str] = field(default_factory=Counter)
    not_whole: set[str] = field(default_factory=set)
    not_applicable: Counter[str] = field(default_factory=Counter)
    dropped_quotes: int = 0
    failures: list[Failure] = field(default_factory=list)

    def judge(self, index: TraceIndex, corpus: Corpus, part: str) -> None:
        """Run the detector on the trace of ``index`` and keep the signals that are proven."""
        try:
            outcomes = self.detector.judge(index, corpus)
            check_outcomes(outcomes, self.detector, index.trace)
        except Exception as error:  # noqa: BLE001 - a detector that fails must not end the run
            self._record(error, index.trace.trace_id)
            return
        self._keep(index.trace, outcomes, part)

    def _keep(self, trace: Trace, outcomes: Sequence[Outcome], part: str) -> None:
        signals = [o for o in outcomes if isinstance(o, Signal)]
        reasons = [o.reason for o in outcomes if isinstance(o, NotApplicable)]
        verified = list(self._verified(trace, signals))
        if signals and not verified:
            reasons.append(UNPROVEN)
        if reasons:
            self.not_applicable[reasons[0]] += 1
            self.not_whole.update([trace.trace_id] if verified else [])
        else:
            self.judged[part] += 1
        self.verified += verified

    def _verified(self, trace: Trace, signals: Sequence[Signal]) -> Iterator[VerifiedSignal]:
        """The ``signals`` of which a quote was found in the trace."""
        for signal in signals:
            evidence = verify_citations(trace, signal.citations)
            self.dropped_quotes += len(signal.citations) - len(evidence)
            if evidence:
                yield VerifiedSignal(signal, evidence)

    def accepted_signals(
        self, corpus: Corpus, parts: Sequence[StorePart] = ()
    ) -> list[VerifiedSignal]:
        """The verified signals that the detector reports, once it has seen all traces.

        With ``parts``, also what it reports by the traces of one of them alone; and of a tool that it
        reports anywhere it reports every signal, so that its share can be told of each part. Empty
        where its corpus filter fails, which is recorded.
        """
        try:
            kept = self._accepted(self.verified, corpus)
            for part in parts:
                own = [v for v in self.verified if v.signal.trace_id in part.trace_ids]
                kept |= self._accepted(own, part.corpus)
        except Exception as error:  # noqa: BLE001 - a detector that fails must not end the run
            self._record(error, ALL_TRACES)
            return []
        tools = {v.signal.tool for v in self.verified if parts and id(v.signal) in kept} - {None}
        return [v for v in self.verified if id(v.signal) in kept or v.signal.tool in tools]

    def _accepted(self, given: Sequence[VerifiedSignal], corpus: Corpus) -> set[int]:
        """The identities of those signals of ``given`` that the corpus filter keeps."""
        signals = [verified.signal for verified in given]
        kept = {id(signal) for signal in self.detector.accept(signals, corpus)}
        if not kept <= set(map(id, signals)):
            raise ValueError("the corpus filter returned a signal that it was not given")
        return kept

    def _record(self, error: Exception, where: str) -> None:
        """Note that the detector raised ``error``, with the line of its code."""
        what = f"{type(error).__name__}: {error} ({source_line(error, self.detector)})"
        stage = f"detector {self.detector.name}"
        self.failures.append(Failure(stage=stage, where=where, what=what))

    def not_judged(self) -> list[NotJudged]:
        """The numbers of traces that could not be judged, by reason, the commonest first."""
        return [
            NotJudged(detector=self.detector.name, reason=reason, traces=traces)
            for reason, traces in self.not_applicable.most_common()
        ]


@dataclass(frozen=True)
class JudgedStore:
    """What detectors found in ``spans`` spans of a store with these ``parts``, if it has any.

    ``corpus`` are the statistics of all of it.
    """

    runs: Sequence[DetectorRun]
    corpus: Corpus
    spans: int
    parts: Sequence[StorePart] = ()

    @property
    def failures(self) -> list[Failure]:
        """Where a detector failed; complete once there are the findings."""
        return [failure for run in self.runs for failure in run.failures]

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """The findings over all traces, the most important first."""
        return tuple(sorted(findings_of(self.runs, self.corpus, self.parts), key=importance))


def run_detectors(
    store: TraceStore,
    detectors: Sequence[Detector],
    *,
    read_at: datetime | None = None,
    progress: OnTraceDone | None = None,
    reads_texts: bool = True,
) -> Report:
    """Run ``detectors`` over every trace in ``store``, as ``judge_traces`` does."""
    judged = judge_traces(
        store, detectors, read_at=read_at, progress=progress, reads_texts=reads_texts
    )
    runs, findings = judged.runs, judged.findings
    oversized = [oversized_failure(s.trace_id, s.size) for s in store.oversized()]
    return Report(
        findings=findings,
        traces=judged.corpus.traces,
        spans=judged.spans,
        detectors=tuple(d.name for d in detectors),
        not_judged=tuple(n for run in runs for n in run.not_judged()),
        dropped_quotes=sum(run.dropped_quotes for run in runs),
        failures=(*oversized, *judged.failures),
    )


def judge_traces(
    store: TraceStore,
    detectors: Sequence[Detector],
    *,
    read_at: datetime | None = None,
    progress: OnTraceDone | None = None,
    reads_texts: bool = True,
    parts: Mapping[str, Set[str]] = NO_PARTS,
) -> JudgedStore:
    """Run ``detectors`` over every trace in ``store``.

    ``read_at`` is when the traces were read; None: when nothing more of them could come.
    ``progress`` is called with the number of traces done and the number of all traces. Where the
    texts are withheld (``reads_texts`` is False), rules that read them judge nothing. Evaluator
    spans are left out with all below them: they judge an agent and are not part of its run. A
    detector that raises is recorded as a failure on that trace, which then does not count as judged
    by it; where its corpus filter raises, it reports nothing. With ``parts`` of the store, trace ids
    by name, traces are counted by part, and each part is judged by what is recorded in it.
    """
    total = store.count()
    corpus = corpus_of(store, total, read_at)
    store_parts = [part_of(store, corpus, name, ids) for name, ids in parts.items()]
    place = {trace_id: part for part in store_parts for trace_id in part.trace_ids}
    whole = StorePart("", frozenset(), corpus)
    runs = [DetectorRun(detector) for detector in detectors]
    spans = 0
    for done, trace in enumerate(store.traces(), start=1):
        index = TraceIndex(without_evaluators(trace))
        part = place.get(trace.trace_id, whole)
        spans += len(index.trace.spans)
        for run in runs:
            if reads_texts or not run.detector.reads_texts:
                run.judge(index, part.corpus, part.name)
            else:
                run.not_applicable[WITHHELD] += 1
        if progress:
            progress(done, total)
    return JudgedStore(runs, corpus, spans, store_parts)


def check_outcomes(outcomes: Sequence[Outcome], detector: Detector, trace: Trace) -> None:
    """Raise ``TypeError`` or ``ValueError`` for what is no outcome of ``detector`` on ``trace``."""
    for outcome in outcomes:
        if not isinstance(outcome, (Signal, NotApplicable)):
            kind = type(outcome).__name__
            raise TypeError(f"the rule yielded a {kind}, not a Signal or NotApplicable")
        if (outcome.detector, outcome.trace_id) != (detector.name, trace.trace_id):
            raise ValueError("the rule yielded an outcome of another detector or on another trace")


def findings_of(
    runs: Sequence[DetectorRun], corpus: Corpus, parts: Sequence[StorePart] = ()
) -> list[Finding]:
    """The findings over all traces of ``corpus``, each failing behaviour once."""
    merged = merge_parts(signal for run in runs for signal in run.accepted_signals(corpus, parts))
    of_detector: dict[str, list[VerifiedSignal]] = defaultdict(list)
    for verified in merged:
        of_detector[verified.signal.detector].append(verified)
    return [
        finding
        for run in runs
        for finding in group_into_findings(
            run.detector,
            of_detector[run.detector.name],
            JudgedTraces(run.judged.total(), corpus.traces, run.not_whole),
        )
    ]


def part_of(store: TraceStore, whole: Corpus, name: str, trace_ids: Set[str]) -> StorePart:
    """A part of ``store``: what is unusual is told by the ``whole``, what is recorded by the part."""
    counts = store.agent_counts(trace_ids)
    corpus = replace(
        whole,
        traces=len(trace_ids),
        tool_spans=counts.tools,
        marks_errors_only=counts.marks_errors_only,
        traces_of_tool=store.traces_of_tools(trace_ids),
    )
    return StorePart(name, trace_ids, corpus)


def corpus_of(store: TraceStore, traces: int, read_at: datetime | None) -> Corpus:
    """The statistics over all traces of ``store``, whose number is ``traces``."""
    counts = store.agent_counts()
    outliers, compared = compare_runs(store.run_measures())
    return Corpus(
        traces=traces,
        unsettled=store.unsettled(read_at) if read_at else frozenset(),
        tool_spans=counts.tools,
        marks_errors_only=counts.marks_errors_only,
        score_floors=score_floors(store.retrieval_scores()),
        traces_of_tool=store.traces_of_tools(),
        outliers=outliers,
        compared=compared,
    )


def without_evaluators(trace: Trace) -> Trace:
    """``trace`` without its evaluator spans and all spans below them."""
    below = [span for span in trace.spans if span.kind is SpanKind.EVALUATOR]
    dropped = {span.span_id for span in below}
    while below:
        children = trace.children.get(below.pop().span_id, ())
        below += [span for span in children if span.span_id not in dropped]
        dropped.update(span.span_id for span in children)
    kept = tuple(span for span in trace.spans if span.span_id not in dropped)
    return structs.replace(trace, spans=kept) if dropped else trace


def source_line(error: Exception, detector: Detector) -> str:
    """The ``file:line`` that raised ``error``: the innermost of the rule's module, else of all.

    Neither folders nor source lines are part of it: they could hold a user's name or trace text.
    """
    frames = list(walk_tb(error.__traceback__))
    own = [f for f in frames if f[0].f_globals.get("__name__") == detector.rule.__module__]
    frame, line = (own or frames)[-1]
    return f"{PurePath(frame.f_code.co_filename).name}:{line}"


def oversized_failure(trace_id: str, size: int) -> Failure:
    """The record of a trace that was not analysed: its ``size`` (characters) is over the limit."""
    return Failure(
        stage="analysis",
        where=trace_id,
        what=f"not analysed: its texts are {size / 1e6:.0f} MB, too large to hold as one value",
    )
