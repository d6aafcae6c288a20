"""The detector: a pure rule over one trace, with the texts of the findings it leads to.

A rule yields a ``Signal`` for each place where it holds, and one ``NotApplicable`` when the trace
lacks what the rule needs: a missing field is never a pass. A trace without anything of the kind
that a rule judges is not applicable too ("no retriever spans"), so that a prevalence counts only
traces that could have shown the failure. A trace that can be judged in part is judged, and yields
no ``NotApplicable``; one of which only a failure could be recognised yields both, and is in no share.

``detector(...)`` turns such a rule into a ``Detector``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from halo_engine.detectors.settings import DEFAULT_SETTINGS, DetectorSettings, Threshold
from halo_engine.detectors.trace_index import TraceIndex
from halo_engine.errors import ConfigError
from halo_engine.failure_modes import MEANINGS, OTHER
from halo_engine.findings import Citation, Severity
from halo_engine.schema import FrozenStruct, Span, Trace
from halo_engine.statistics.outliers import Measure, Outlier

UNSETTLED = "read while more of it may have come"
TITLE_FIELD = re.compile(r"\{(tool|message)\}")


class Signal(FrozenStruct):
    """One place where a detector's rule holds.

    ``span_id`` is the span to look at first (None: the trace as a whole); ``citations`` quote what
    the rule matched. Signals of one detector with the same failure mode, tool, ``message`` and
    template of ``error`` become one finding. ``message`` holds words of the rule that make two
    signals the same failure, and no more; ``error`` a text of the trace, such as the message of an
    exception, whose varying values are found by comparison with all others of the tool.
    ``recommendation`` takes the place of the detector's, where the trace tells more of what to do.
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
    error: str | None = None
    recommendation: str | None = None


class NotApplicable(FrozenStruct):
    """The detector could not judge this trace; ``reason`` names what is missing."""

    detector: str
    trace_id: str
    reason: str


Outcome = Signal | NotApplicable


@dataclass(frozen=True)
class Corpus:
    """Statistics over all traces of a run, for rules that compare a trace with them.

    ``unsettled`` are the traces of which more may come. ``tool_spans`` counts the TOOL spans.
    ``marks_errors_only`` tells that failed spans have a status and no other span has one, so that a
    span without a status did not fail. ``score_floors`` has the score under which the best document
    of a retrieval is an outlier, by retriever. ``traces_of_tool`` has in how many each tool ran.
    ``outliers`` are the runs that used far more than usual, by trace id, and ``compared`` has the
    measures by which each trace could be compared with others.
    """

    traces: int = 0
    unsettled: frozenset[str] = frozenset()
    tool_spans: int = 0
    marks_errors_only: bool = False
    score_floors: Mapping[str, float] = field(default_factory=dict)
    traces_of_tool: Mapping[str, int] = field(default_factory=dict)
    outliers: Mapping[str, Sequence[Outlier]] = field(default_factory=dict)
    compared: Mapping[str, Set[Measure]] = field(default_factory=dict)


Rule = Callable[[TraceIndex, Corpus, "Detector"], Iterator[Outcome]]
CorpusFilter = Callable[[Sequence[Signal], Corpus, "Detector"], Iterable[Signal]]


@dataclass(frozen=True)
class Detector:
    """A rule, the texts of its findings, and its settings.

    Call it with a trace to get the outcomes. It keeps no state between traces and can be pickled.
    ``title`` may hold ``{tool}`` and ``{message}``, which each finding fills in; other braces are
    text. A rule with ``needs_settled_trace`` takes what is missing for a failure, so it does not see
    traces of which more may come. One with ``reads_texts=False`` asks at most whether texts are
    there, and whether they are equal. ``corpus_filter`` belongs to a rule that compares traces with
    each other: it receives all signals of the detector, with the statistics over all traces, and
    returns those to report. Raises
    ``ConfigError`` for a failure mode that is not in the catalogue.
    """

    id: str
    name: str
    failure_mode: str
    severity: Severity
    title: str
    recommendation: str
    rule: Rule
    corpus_filter: CorpusFilter | None = None
    threshold: Threshold | None = None
    needs_settled_trace: bool = False
    reads_texts: bool = True
    settings: DetectorSettings = DEFAULT_SETTINGS

    def __post_init__(self) -> None:
        require_known_failure_mode(self.failure_mode, self.name)

    @property
    def limit(self) -> float:
        """The number that the rule compares with: the configured threshold, else the default.

        Raises ``ValueError`` for a detector that declares no threshold.
        """
        if self.threshold is None:
            raise ValueError(f"The detector {self.name} declares no threshold.")
        configured = self.settings.threshold
        return self.threshold.default if configured is None else configured

    def title_for(self, tool: str, message: str) -> str:
        """The title of a finding of ``tool`` with ``message``."""
        values = {"tool": tool, "message": message}
        return TITLE_FIELD.sub(lambda field: values[field.group(1)], self.title)

    def __call__(self, trace: Trace, corpus: Corpus | None = None) -> list[Outcome]:
        """Every outcome of the rule on ``trace``."""
        return self.judge(TraceIndex(trace), corpus or Corpus())

    def judge(self, index: TraceIndex, corpus: Corpus) -> list[Outcome]:
        """Every outcome of the rule on the trace of ``index``, which several detectors can share."""
        if self.needs_settled_trace and index.trace.trace_id in corpus.unsettled:
            return [self.not_applicable(index.trace, UNSETTLED)]
        return list(self.rule(index, corpus, self))

    def accept(self, signals: Sequence[Signal], corpus: Corpus) -> list[Signal]:
        """Those of the detector's ``signals`` over all traces that are reported."""
        return list(self.corpus_filter(signals, corpus, self) if self.corpus_filter else signals)

    def signal(
        self,
        trace: Trace,
        span: Span | None,
        reason: str,
        citations: Iterable[Citation],
        *,
        tool: str | None = None,
        message: str | None = None,
        error: str | None = None,
        severity: Severity | None = None,
        failure_mode: str | None = None,
        recommendation: str | None = None,
    ) -> Signal:
        """A signal of this detector at ``span`` (None: the trace as a whole).

        Its severity is the configured one, else the given one, else the detector's. Raises
        ``ConfigError`` for a failure mode that is not in the catalogue.
        """
        if failure_mode:
            require_known_failure_mode(failure_mode, self.name)
        return Signal(
            detector=self.name,
            failure_mode=failure_mode or self.failure_mode,
            severity=self.settings.severity or severity or self.severity,
            trace_id=trace.trace_id,
            span_id=span.span_id if span else None,
            reason=reason,
            citations=tuple(citations),
            time_unix_nano=span.start_time_unix_nano if span else None,
            tool=tool,
            message=message,
            error=error,
            recommendation=recommendation,
        )

    def not_applicable(self, trace: Trace, reason: str) -> NotApplicable:
        """The outcome for a trace that lacks what the rule needs."""
        return NotApplicable(detector=self.name, trace_id=trace.trace_id, reason=reason)


def require_known_failure_mode(failure_mode: str, detector: str) -> None:
    """Raise ``ConfigError`` where ``failure_mode`` is not in the catalogue."""
    if failure_mode not in MEANINGS:
        raise ConfigError(
            f"The detector {detector} reports the failure mode {failure_mode!r}, which is not in the "
            f"catalogue. Use one of {', '.join(sorted(MEANINGS))}; {OTHER!r} fits any failure."
        )


def detector(
    *,
    id: str,
    failure_mode: str,
    severity: Severity,
    title: str,
    recommendation: str,
    corpus_filter: CorpusFilter | None = None,
    threshold: Threshold | None = None,
    needs_settled_trace: bool = False,
    reads_texts: bool = True,
) -> Callable[[Rule], Detector]:
    """Declare the decorated function as the rule of a detector that has the function's name."""

    def declare(rule: Rule) -> Detector:
        name = rule.__name__
        # The module's name now leads to the detector. Pickle looks a function up by its qualified
        # name, and finds it as the detector's attribute.
        rule.__qualname__ = f"{rule.__qualname__}.rule"
        return Detector(
            id=id,
            name=name,
            failure_mode=failure_mode,
            severity=severity,
            title=title,
            recommendation=recommendation,
            rule=rule,
            corpus_filter=corpus_filter,
            threshold=threshold,
            needs_settled_trace=needs_settled_trace,
            reads_texts=reads_texts,
        )

    return declare
