"""Detectors of runs that use far more than others of their name (D22, D24).

That a run takes long is no finding: what it waits for is rarely its own fault, and one slow run is
noise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from statistics import median

from halo_engine.detectors.base import Corpus, Detector, Outcome, detector
from halo_engine.detectors.citations import cite_identity
from halo_engine.detectors.trace_index import TraceIndex
from halo_engine.findings import Severity
from halo_engine.statistics.outliers import Measure, Outlier, RunMeasures, upper_limit

# What nobody minds, however unusual it is.
NOTABLE = {
    Measure.COST: 0.05,
    Measure.TOKENS: 10_000,
    Measure.MODEL_CALLS: 10,
}


def compare_runs(
    runs: Iterable[RunMeasures],
) -> tuple[dict[str, list[Outlier]], dict[str, set[Measure]]]:
    """The outliers by trace id, and by which measures each trace could be compared with others."""
    values: dict[tuple[Hashable, Measure], list[tuple[str, float]]] = defaultdict(list)
    for run in runs:
        for measure, value in run.values.items():
            values[run.kind, measure].append((run.trace_id, value))
    outliers: dict[str, list[Outlier]] = defaultdict(list)
    compared: dict[str, set[Measure]] = defaultdict(set)
    for (_, measure), of_traces in values.items():
        numbers = [value for _, value in of_traces]
        limit = upper_limit(numbers)
        if limit is None:
            continue
        usual = median(numbers)
        for trace_id, value in of_traces:
            compared[trace_id].add(measure)
            if value > max(limit, NOTABLE[measure]):
                outliers[trace_id].append(Outlier(measure, value, usual))
    return outliers, compared


def judge_run(
    index: TraceIndex, corpus: Corpus, detector: Detector, measures: Sequence[Measure]
) -> Iterator[Outcome]:
    """The signal for a trace that is an outlier by one of ``measures``, the first of them told."""
    trace = index.trace
    if corpus.compared.get(trace.trace_id, frozenset()).isdisjoint(measures):
        yield detector.not_applicable(trace, "too few runs of its name and models to compare with")
        return
    found = {each.measure: each for each in corpus.outliers.get(trace.trace_id, ())}
    outlier = next((found[measure] for measure in measures if measure in found), None)
    # only outliers are looked at: the statistics tell the others
    top = index.top if outlier else None
    if outlier and top:
        value, usual = map(in_digits, (outlier.value, outlier.usual))
        reason = f"this run took {value} {outlier.measure}; usual are {usual}"
        yield detector.signal(trace, top, reason, cite_identity(top), message=top.name or "")


def in_digits(value: float) -> str:
    """A value with all digits before the point, or three of a small one."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


@detector(
    id="D22",
    failure_mode="run_overrun",
    severity=Severity.LOW,
    title="Some runs of {message} cost far more than usual",
    recommendation=(
        "Look at what the quoted runs have in common, such as a long document, a loop or a history "
        "that is sent whole each time; set a budget of tokens for a run."
    ),
    reads_texts=False,
)
def cost_outlier(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A run with far more cost, or tokens, than others of its name and models."""
    yield from judge_run(index, corpus, detector, (Measure.COST, Measure.TOKENS))


@detector(
    id="D24",
    failure_mode="run_overrun",
    severity=Severity.LOW,
    title="Some runs of {message} take far more steps than usual",
    recommendation=(
        "Compare the quoted runs with usual ones: find the step after which they went on, and give "
        "the agent a criterion to stop, or a limit of steps with a last answer."
    ),
    reads_texts=False,
)
def step_outlier(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A run with far more model calls than others of its name."""
    yield from judge_run(index, corpus, detector, (Measure.MODEL_CALLS,))
