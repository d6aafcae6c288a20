"""Shortcuts of tests to the outcomes of a detector on one trace."""

from __future__ import annotations

from halo_engine.detectors import Corpus, Detector, NotApplicable, Signal
from halo_engine.schema import Trace

CORPUS = Corpus(traces=100, tool_spans=100, score_floors={"retrieve": 0.2})


def signals(detector: Detector, trace: Trace, corpus: Corpus = CORPUS) -> list[Signal]:
    """The signals of ``detector``; fails where the trace is not applicable."""
    outcomes = detector(trace, corpus)
    assert not any(isinstance(outcome, NotApplicable) for outcome in outcomes), outcomes
    return [outcome for outcome in outcomes if isinstance(outcome, Signal)]


def signal(detector: Detector, trace: Trace, corpus: Corpus = CORPUS) -> Signal:
    """The one signal of ``detector``."""
    (only,) = signals(detector, trace, corpus)
    return only


def not_applicable(detector: Detector, trace: Trace, corpus: Corpus = CORPUS) -> str:
    """The reason why ``detector`` cannot judge ``trace``; fails where it can."""
    (only,) = detector(trace, corpus)
    assert isinstance(only, NotApplicable), only
    return only.reason


def quotes(signal: Signal) -> list[tuple[str, str]]:
    """Field and quote of each citation."""
    return [(citation.field, citation.quote) for citation in signal.citations]
