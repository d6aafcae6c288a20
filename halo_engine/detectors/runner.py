"""Running detectors over a trace store: every trace once, the result a report."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, lru_cache
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple

from halo_engine.detectors.base import Corpus, Detector
from halo_engine.detectors.grouping import JudgedTraces, VerifiedSignal, group_into_findings
from halo_engine.detectors.outlying_runs import compare_runs
from halo_engine.detectors.precedence import merge_parts
from halo_engine.detectors.retrieval import score_floors
from halo_engine.detectors.stored_batches import OnTraceDone, stored_verdicts
from halo_engine.detectors.trace_index import TraceIndex
from halo_engine.detectors.verdicts import (
    DEFERRED,
    FIRST_REASON,
    IN_RULINGS,
    JUDGED,
    DetectionPlan,
    PackedVerdicts,
    Ruling,
    TraceVerdict,
    detector_failure,
    ruling_by_statistics,
    ruling_of,
    without_evaluators,
)
from halo_engine.executors import IN_PROCESS, Executor
from halo_engine.findings import Finding, NotJudged, Report, importance
from halo_engine.schema import Failure
from halo_engine.store import TraceStore
from halo_engine.store.reading import batches
from halo_engine.store.views import TraceFilter
from halo_engine.timings import Timings

NO_PARTS: Mapping[str, Set[str]] = MappingProxyType({})

ALL_TRACES = "all traces"  # where a detector failed that compares them


class KeptVerdicts:
    """The verdicts on traces that were judged as ``plan`` says while they were read.

    One of which more was read later is not among them: it has to be judged whole.
    """

    def __init__(self, plan: DetectionPlan) -> None:
        self.plan = plan
        self._packed: list[PackedVerdicts] = []
        self._again: set[str] = set()

    def add(self, verdicts: PackedVerdicts, again: Set[str]) -> None:
        """Keep ``verdicts``, but for the traces ``again``, of which there was something before."""
        self._packed.append(verdicts)
        self._again |= again

    def take(self) -> dict[str, TraceVerdict]:
        """The verdicts by trace id; none are left here, since they take memory."""
        packed, self._packed = self._packed, []
        verdicts = chain.from_iterable(each.traces() for each in packed)
        return {each.trace_id: each for each in verdicts if each.trace_id not in self._again}


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

    def add(self, ruling: Ruling, trace_id: str, part: str) -> None:
        """Count what the detector says of a trace of ``part``."""
        self.verified += ruling.signals
        self.dropped_quotes += ruling.dropped_quotes
        if ruling.failure:
            self.failures.append(ruling.failure)
        elif ruling.reason is None:
            self.judged[part] += 1
        else:
            self.not_applicable[ruling.reason] += 1
            self.not_whole.update([trace_id] if ruling.signals else [])

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
            self.failures.append(detector_failure(self.detector, error, ALL_TRACES))
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
    executor: Executor = IN_PROCESS,
    kept: KeptVerdicts | None = None,
    timings: Timings | None = None,
) -> Report:
    """Run ``detectors`` over every trace in ``store``, as ``judge_traces`` does."""
    judged = judge_traces(
        store,
        detectors,
        read_at=read_at,
        progress=progress,
        reads_texts=reads_texts,
        executor=executor,
        kept=kept,
        timings=timings,
    )
    with (timings or Timings()).of("findings"):
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
    executor: Executor = IN_PROCESS,
    kept: KeptVerdicts | None = None,
    timings: Timings | None = None,
) -> JudgedStore:
    """Run ``detectors`` over every trace in ``store``.

    ``read_at`` is when the traces were read; None: when nothing more of them could come.
    ``progress`` is called with the number of traces done and the number of all traces. Each trace is
    judged as ``verdicts_on`` does, and what needs the statistics over all traces after that. A
    trace on which a detector raises does not count as judged by it; where its corpus filter raises,
    it reports nothing. With ``parts`` of the store, trace ids by name, traces are counted by part,
    and each part is judged by what is recorded in it. An ``executor`` judges the traces of a store
    that is open read-only and has many. What was judged while it was read is ``kept``, where that
    was done in the same way. What each detector takes is added to ``timings``.
    """
    plan = DetectionPlan(tuple(detectors), read_at, reads_texts, is_timed=timings is not None)
    verdicts = kept.take() if kept and kept.plan == plan else {}
    for some in stored_verdicts(store, plan, verdicts.keys(), progress, executor):
        verdicts.update((verdict.trace_id, verdict) for verdict in some.traces)
        if timings:
            add_timings(timings, plan, some.seconds)
    with (timings or Timings()).of("statistics over all traces"):
        return merge_verdicts(store, plan, verdicts, parts)


def merge_verdicts(
    store: TraceStore,
    plan: DetectionPlan,
    verdicts: Mapping[str, TraceVerdict],
    parts: Mapping[str, Set[str]],
) -> JudgedStore:
    """What ``verdicts``, by the id of each trace of ``store``, come to.

    What they defer is judged by the statistics over all traces, or over the part that a trace is in.
    """
    corpus = corpus_of(store, store.count(), plan.read_at)
    store_parts = [part_of(store, corpus, name, ids) for name, ids in parts.items()]
    place = {trace_id: part for part in store_parts for trace_id in part.trace_ids}
    whole = StorePart("", frozenset(), corpus)
    runs = [DetectorRun(detector) for detector in plan.detectors]
    alike: Counter[tuple[str, tuple[str, ...], bytes]] = Counter()
    spans = 0
    for batch in batches(store.trace_sizes()):
        some = [verdicts[trace_id] for trace_id in batch]
        later = deferred_rulings(store, some, plan, lambda t: place.get(t, whole).corpus)
        for verdict in some:
            trace_id, part = verdict.trace_id, place.get(verdict.trace_id, whole).name
            spans += verdict.spans
            alike[part, verdict.reasons, verdict.outcomes] += 1
            for number in numbers_with(verdict.outcomes, (DEFERRED, IN_RULINGS)):
                ruling = verdict.ruling(number) or later[trace_id, number]
                runs[number].add(ruling, trace_id, part)
    count_others(runs, alike)
    return JudgedStore(runs, corpus, spans, store_parts)


def count_others(
    runs: Sequence[DetectorRun], alike: Counter[tuple[str, tuple[str, ...], bytes]]
) -> None:
    """Count the rulings that are told in one byte, by the number of traces that have the same."""
    for (part, reasons, outcomes), traces in alike.items():
        for run, outcome in zip(runs, outcomes, strict=True):
            if outcome == JUDGED:
                run.judged[part] += traces
            elif outcome >= FIRST_REASON:
                run.not_applicable[reasons[outcome - FIRST_REASON]] += traces


@lru_cache(maxsize=4096)  # few traces differ in what all detectors say of them
def numbers_with(outcomes: bytes, wanted: tuple[int, ...]) -> tuple[int, ...]:
    """The numbers of the detectors whose outcome is one of those ``wanted``."""
    return tuple(number for number, outcome in enumerate(outcomes) if outcome in wanted)


def add_timings(timings: Timings, plan: DetectionPlan, took: Sequence[float]) -> None:
    """Add to ``timings`` the seconds that detectors of ``plan`` ``took`` (see ``Verdicts``)."""
    if not plan.is_timed:
        return
    names = [*(f"detector {each.name}" for each in plan.detectors), "traces got for detectors"]
    for name, seconds in zip(names, took, strict=True):
        timings.add(name, seconds)


def deferred_rulings(
    store: TraceStore,
    verdicts: Iterable[TraceVerdict],
    plan: DetectionPlan,
    corpus_for: Callable[[str], Corpus],
) -> dict[tuple[str, int], Ruling]:
    """The rulings that ``verdicts`` defers, by trace id and number of the detector.

    A trace is read back only for those that the statistics do not tell.
    """
    found: dict[tuple[str, int], Ruling] = {}
    unread: dict[str, list[int]] = defaultdict(list)
    for trace_id, number in deferred_pairs(verdicts):
        ruling = ruling_by_statistics(plan.detectors[number], trace_id, corpus_for(trace_id))
        if ruling is None:
            unread[trace_id].append(number)
        else:
            found[trace_id, number] = ruling
    for trace in store.traces(TraceFilter(ids=tuple(unread))) if unread else ():
        index, corpus = TraceIndex(without_evaluators(trace)), corpus_for(trace.trace_id)
        for number in unread[trace.trace_id]:
            found[trace.trace_id, number] = ruling_of(plan.detectors[number], index, corpus)
    return found


def deferred_pairs(verdicts: Iterable[TraceVerdict]) -> Iterator[tuple[str, int]]:
    """Trace id and number of the detector of each ruling that is deferred."""
    for verdict in verdicts:
        for number in numbers_with(verdict.outcomes, (DEFERRED,)):
            yield verdict.trace_id, number


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


def oversized_failure(trace_id: str, size: int) -> Failure:
    """The record of a trace that was not analysed: its ``size`` (characters) is over the limit."""
    return Failure(
        stage="analysis",
        where=trace_id,
        what=f"not analysed: its texts are {size / 1e6:.0f} MB, too large to hold as one value",
    )
