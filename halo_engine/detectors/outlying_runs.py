"""Detectors of runs that use far more than others of their name (D22 to D24)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median

from halo_engine.detectors.base import Corpus, Detector, Outcome, detector
from halo_engine.detectors.citations import cite_identity
from halo_engine.detectors.trace_index import TraceIndex
from halo_engine.findings import Severity
from halo_engine.statistics.outliers import Measure, Outlier, upper_limit

RunMeasures = tuple[str, str, Mapping[Measure, float]]


def outlying_runs(
    runs: Iterable[RunMeasures],
) -> tuple[dict[str, list[Outlier]], frozenset[tuple[str, Measure]]]:
    """The outliers by trace id, and the names and measures for which runs could be compared.

    ``runs`` are trace id, name and values of each. Runs of one name are compared with each other.
    """
    values: dict[tuple[str, Measure], list[tuple[str, float]]] = defaultdict(list)
    for trace_id, name, measures in runs:
        for measure, value in measures.items():
            values[name, measure].append((trace_id, value))
    outliers: dict[str, list[Outlier]] = defaultdict(list)
    compared = set()
    for (name, measure), of_traces in values.items():
        numbers = [value for _, value in of_traces]
        limit = upper_limit(numbers)
        if limit is None:
            continue
        compared.add((name, measure))
        for trace_id, value in of_traces:
            if value > limit:
                outliers[trace_id].append(Outlier(measure, value, median(numbers)))
    return outliers, frozenset(compared)


def judge_run(
    index: TraceIndex, corpus: Corpus, detector: Detector, measures: Sequence[Measure]
) -> Iterator[Outcome]:
    """The signal for a trace that is an outlier by one of ``measures``, the first of them told."""
    top = index.top
    name = (top.name if top else None) or ""
    if top is None or not any((name, measure) in corpus.compared for measure in measures):
        yield detector.not_applicable(index.trace, "too few runs of its name to compare it with")
        return
    found = {each.measure: each for each in corpus.outliers.get(index.trace.trace_id, ())}
    outlier = next((found[measure] for measure in measures if measure in found), None)
    if outlier:
        reason = (
            f"this run took {outlier.value:,.4g} {outlier.measure}; usual are {outlier.usual:,.4g}"
        )
        yield detector.signal(index.trace, top, reason, cite_identity(top), message=name)


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
    """A run with far more cost, or tokens, than others of its name."""
    yield from judge_run(index, corpus, detector, (Measure.COST, Measure.TOKENS))


@detector(
    id="D23",
    failure_mode="environment_fault",
    severity=Severity.LOW,
    title="Some runs of {message} take far longer than usual",
    recommendation=(
        "Find the slow span in the quoted runs; give calls of tools and models a time limit, and "
        "run those that do not depend on each other in parallel."
    ),
    reads_texts=False,
)
def latency_outlier(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A run that took far longer than others of its name."""
    yield from judge_run(index, corpus, detector, (Measure.SECONDS,))


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
