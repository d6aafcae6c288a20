"""Judging traces while they are in hand: a pure function, for any process on any machine.

What needs the statistics over all traces is deferred. It is judged once these are known
(``ruling_by_statistics``), most of it without reading the trace again.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import PurePath
from time import thread_time
from traceback import walk_tb
from typing import NamedTuple, cast

from msgspec import structs

from halo_engine.detectors.base import Corpus, Detector, NotApplicable, Outcome, Signal
from halo_engine.detectors.grouping import VerifiedSignal, with_proofs
from halo_engine.detectors.standins import NotInHandError, UnknownStatistics, UnreadTrace
from halo_engine.detectors.trace_index import TraceIndex
from halo_engine.findings import Citation
from halo_engine.metadata_only import is_without_texts
from halo_engine.quotes import verify_citations
from halo_engine.schema import Failure, SpanKind, Trace
from halo_engine.store.reading import is_unsettled

UNPROVEN = "the quotes of what was found are not in the trace"
WITHHELD = "texts, which --metadata-only withholds"


class DetectionPlan(NamedTuple):
    """How traces are judged: by which detectors, when they were read, whether texts are there.

    ``read_at`` None: when nothing more of them could come. ``is_timed``: how long each takes is told.
    """

    detectors: Sequence[Detector]
    read_at: datetime | None = None
    reads_texts: bool = True
    is_timed: bool = False


class Ruling(NamedTuple):
    """What one detector says of one trace.

    ``reason`` is why it could not judge the trace, or, beside signals, not all of it; None where it
    could. ``dropped_quotes`` counts the quotes that were not found in the trace. With a ``failure``
    it said nothing.
    """

    reason: str | None = None
    signals: tuple[VerifiedSignal, ...] = ()
    dropped_quotes: int = 0
    failure: Failure | None = None


# The outcome of a detector in one byte; from ``FIRST_REASON`` on it is a reason of the batch.
JUDGED, DEFERRED, IN_RULINGS, FIRST_REASON = range(4)
MOST_REASONS = 256 - FIRST_REASON
NOTHING_FOUND = Ruling()


class TraceVerdict(NamedTuple):
    """What all detectors say of one trace, of which they saw ``spans`` spans.

    ``outcomes`` has a byte for each detector, in the order of the plan, and ``rulings`` the rulings
    of those that have more to say, by their number in it. ``reasons`` are those of the outcomes, one
    tuple for all of a batch.
    """

    trace_id: str
    spans: int
    outcomes: bytes
    rulings: dict[int, Ruling]
    reasons: tuple[str, ...] = ()

    def ruling(self, number: int) -> Ruling | None:
        """The ruling of the detector with this number; None where it is deferred."""
        outcome = self.outcomes[number]
        if outcome >= FIRST_REASON:
            return Ruling(self.reasons[outcome - FIRST_REASON])
        if outcome == IN_RULINGS:
            return self.rulings[number]
        return NOTHING_FOUND if outcome == JUDGED else None


class Verdicts(NamedTuple):
    """What detectors say of a batch of traces.

    Where the plan ``is_timed``, ``seconds`` has those of a processor that each detector took, and
    last what else it took to get and judge the traces. What detectors share counts for the first.
    """

    traces: tuple[TraceVerdict, ...]
    seconds: tuple[float, ...] = ()


class PackedVerdicts(NamedTuple):
    """Verdicts as they are kept until everything is read, in a tenth of their memory.

    ``seconds`` are those of ``Verdicts``.
    """

    content: bytes
    seconds: tuple[float, ...]

    @classmethod
    def of(cls, verdicts: Verdicts) -> PackedVerdicts:
        """``verdicts``, packed."""
        return cls(
            zlib.compress(pickle.dumps(verdicts.traces), zlib.Z_BEST_SPEED), verdicts.seconds
        )

    def traces(self) -> tuple[TraceVerdict, ...]:
        """The verdict on each trace."""
        # They come from a worker of this run, as all results do.
        found: tuple[TraceVerdict, ...] = pickle.loads(zlib.decompress(self.content))  # noqa: S301
        return found


def verdicts_on(traces: Iterable[Trace], plan: DetectionPlan) -> Verdicts:
    """Judge each of ``traces``.

    Evaluator spans are left out with all below them: they judge an agent and are not part of its
    run. A detector that raises is recorded as a failure on that trace. Where texts are withheld, or
    were when the trace was stored that is read now, rules that read them judge nothing.
    """
    codes: dict[str, int] = {}
    seconds = [0.0] * len(plan.detectors)
    started = thread_time()
    verdicts = [verdict_on(trace, plan, codes, seconds) for trace in traces]
    rest = thread_time() - started - sum(seconds)
    reasons = tuple(codes)
    return Verdicts(
        tuple(verdict._replace(reasons=reasons) for verdict in verdicts),
        (*seconds, rest) if plan.is_timed else (),
    )


def verdict_on(
    trace: Trace, plan: DetectionPlan, codes: dict[str, int], seconds: list[float]
) -> TraceVerdict:
    """The verdict on ``trace``; ``codes`` are the outcomes that stand for reasons, in order.

    What each detector takes is added to ``seconds``, where the plan is timed.
    """
    is_timed = plan.is_timed
    index = TraceIndex(without_evaluators(trace))
    is_open = plan.read_at is not None and is_unsettled(trace.spans, plan.read_at)
    corpus = UnknownStatistics(frozenset([trace.trace_id] if is_open else []))
    reads_texts = plan.reads_texts and not is_without_texts(trace)
    outcomes = bytearray()
    rulings: dict[int, Ruling] = {}
    started = thread_time() if is_timed else 0.0
    for number, detector in enumerate(plan.detectors):
        if detector.reads_texts and not reads_texts:
            ruling: Ruling | None = Ruling(WITHHELD)
        else:
            ruling = ruling_in_hand(detector, index, corpus)
        outcomes.append(outcome_byte(ruling, codes))
        if ruling and outcomes[-1] == IN_RULINGS:
            rulings[number] = ruling
        if is_timed:
            ended = thread_time()
            seconds[number] += ended - started
            started = ended
    return TraceVerdict(trace.trace_id, len(index.trace.spans), bytes(outcomes), rulings)


def outcome_byte(ruling: Ruling | None, codes: dict[str, int]) -> int:
    """The byte for ``ruling``; a reason that is not among ``codes`` is added, if there is room."""
    if ruling is NOTHING_FOUND:
        return JUDGED
    if ruling is None:
        return DEFERRED
    if ruling == NOTHING_FOUND:
        return JUDGED
    reason = ruling.reason
    if reason is None or ruling[1:] != NOTHING_FOUND[1:]:
        return IN_RULINGS
    if reason not in codes and len(codes) == MOST_REASONS:
        return IN_RULINGS
    return codes.setdefault(reason, FIRST_REASON + len(codes))


def ruling_in_hand(
    detector: Detector, index: TraceIndex, corpus: UnknownStatistics
) -> Ruling | None:
    """The ruling of ``detector`` on the trace of ``index``; None where it needs statistics."""
    corpus.is_asked = False
    ruling = ruling_of(detector, index, cast(Corpus, corpus))
    return None if corpus.is_asked else ruling


def ruling_by_statistics(detector: Detector, trace_id: str, corpus: Corpus) -> Ruling | None:
    """The ruling of ``detector`` on a trace by the statistics alone; None where it has to be read."""
    trace = UnreadTrace(trace_id)
    ruling = ruling_of(detector, TraceIndex(cast(Trace, trace)), corpus)
    return None if trace.is_asked else ruling


def ruling_of(detector: Detector, index: TraceIndex, corpus: Corpus) -> Ruling:
    """What ``detector`` says of the trace of ``index``, with the signals that are proven."""
    try:
        outcomes = detector.judge(index, corpus)
        if not outcomes:
            return NOTHING_FOUND
        check_outcomes(outcomes, detector, index.trace)
        return proven(index.trace, outcomes)
    except NotInHandError:
        return NOTHING_FOUND  # whoever handed in the stand-in sees that it was asked
    except Exception as error:  # noqa: BLE001 - a detector that fails must not end the run
        return Ruling(failure=detector_failure(detector, error, index.trace.trace_id))


def proven(trace: Trace, outcomes: Sequence[Outcome]) -> Ruling:
    """The ruling of a detector with these ``outcomes`` on ``trace``."""
    signals = [o for o in outcomes if isinstance(o, Signal)]
    reasons = [o.reason for o in outcomes if isinstance(o, NotApplicable)]
    if not signals:
        return Ruling(reasons[0])
    found = [(signal, verify_citations(trace, signal.citations)) for signal in signals]
    verified = tuple(with_proofs(signal, proofs) for signal, proofs in found if proofs)
    if signals and not verified:
        reasons.append(UNPROVEN)
    return Ruling(reasons[0] if reasons else None, verified, quotes_dropped(found))


def quotes_dropped(found: Iterable[tuple[Signal, Sequence[tuple[Citation, int]]]]) -> int:
    """How many citations of signals are not in the trace."""
    return sum(len(signal.citations) - len(proofs) for signal, proofs in found)


def check_outcomes(outcomes: Sequence[Outcome], detector: Detector, trace: Trace) -> None:
    """Raise ``TypeError`` or ``ValueError`` for what is no outcome of ``detector`` on ``trace``."""
    for outcome in outcomes:
        if not isinstance(outcome, (Signal, NotApplicable)):
            kind = type(outcome).__name__
            raise TypeError(f"the rule yielded a {kind}, not a Signal or NotApplicable")
        if (outcome.detector, outcome.trace_id) != (detector.name, trace.trace_id):
            raise ValueError("the rule yielded an outcome of another detector or on another trace")


def detector_failure(detector: Detector, error: Exception, where: str) -> Failure:
    """The record that ``detector`` raised ``error``, with the line of its code."""
    what = f"{type(error).__name__}: {error} ({source_line(error, detector)})"
    return Failure(stage=f"detector {detector.name}", where=where, what=what)


def source_line(error: Exception, detector: Detector) -> str:
    """The ``file:line`` that raised ``error``: the innermost of the rule's module, else of all.

    Neither folders nor source lines are part of it: they could hold a user's name or trace text.
    """
    frames = list(walk_tb(error.__traceback__))
    own = [f for f in frames if f[0].f_globals.get("__name__") == detector.rule.__module__]
    frame, line = (own or frames)[-1]
    return f"{PurePath(frame.f_code.co_filename).name}:{line}"


def without_evaluators(trace: Trace) -> Trace:
    """``trace`` without its evaluator spans and all spans below them."""
    below = [span for span in trace.spans if span.kind is SpanKind.EVALUATOR]
    if not below:
        return trace
    dropped = {span.span_id for span in below}
    while below:
        children = trace.children.get(below.pop().span_id, ())
        below += [span for span in children if span.span_id not in dropped]
        dropped.update(span.span_id for span in children)
    kept = tuple(span for span in trace.spans if span.span_id not in dropped)
    return structs.replace(trace, spans=kept)
