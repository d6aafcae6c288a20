"""Detectors of tool runs that repeat without a new result (D01 to D03)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

from halo_engine.detectors.base import Corpus, Detector, Outcome, Signal, detector
from halo_engine.detectors.settings import Threshold
from halo_engine.detectors.tool_names import changes_state, repeats_by_design
from halo_engine.detectors.tool_runs import ToolRun
from halo_engine.detectors.trace_index import TraceIndex
from halo_engine.detectors.user_words import asks_to_repeat
from halo_engine.findings import Severity
from halo_engine.schema import Trace

MIN_IDENTICAL_CALLS = 3
# Without equal results, so many times the usual number of identical calls makes a loop.
WITHOUT_RESULT = 2
SAME_RESULT = "with the same arguments and the same result"
OTHER_RESULTS = "with the same arguments, whatever comes back"
MIN_ROUNDS = 3
CYCLE_LENGTHS = range(2, 5)


@detector(
    id="D01",
    failure_mode="step_repetition",
    severity=Severity.MEDIUM,
    title="{tool} is called again and again {message}",
    recommendation=(
        "See whether the model gets the result whole: what was cut is asked for again. Stop the "
        "loop in the agent's harness: after the second identical call return the earlier result "
        "with a note that it will not change, and name a next step. If the tool fails, let its error "
        "describe what to do differently."
    ),
    threshold=Threshold(
        default=MIN_IDENTICAL_CALLS,
        counts="identical calls in a row that make a loop",
        unit="calls",
        minimum=2,
    ),
    reads_texts=False,
)
def identical_call_loop(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """Identical calls in a row, as many as the threshold or more, without a new result.

    Arguments and results are compared in their canonical form. The calls do not overlap in time,
    nothing between them may change state, and each result equals the one before, or both are
    errors. Twice as many calls are a loop of severity low although their results differ, but not
    calls without arguments, which may ask for the next of something.
    """
    trace = index.trace
    if index.runs_gap:
        yield detector.not_applicable(trace, index.runs_gap)
        return
    for calls in identical_calls(index, detector.limit):
        found = [s for s in split(calls, ToolRun.same_result) if len(s) >= detector.limit]
        for loop in found:
            reason = f"{told_runs(loop)} with equal arguments and results"
            severity = Severity.LOW if is_asked_for(index, loop) else detector.severity
            yield loop_signal(detector, trace, loop, reason, SAME_RESULT, severity)
        if not found and len(calls) >= WITHOUT_RESULT * detector.limit and calls[0].has_arguments:
            reason = f"{told_runs(calls)} with equal arguments"
            yield loop_signal(detector, trace, calls, reason, OTHER_RESULTS, Severity.LOW)


def told_runs(loop: list[ToolRun]) -> str:
    """How often the tool ran; other tools may have run in between, as long as they only read."""
    adjacent = loop[-1].order - loop[0].order == len(loop) - 1
    return f"{loop[-1].tool} ran {len(loop)} times{' in a row' if adjacent else ''}"


def is_asked_for(index: TraceIndex, loop: list[ToolRun]) -> bool:
    """Whether a user asked for each of the repetitions."""
    return all(asks_to_repeat(index.said_between(*pair)) for pair in pairwise(loop))


def loop_signal(
    detector: Detector,
    trace: Trace,
    loop: list[ToolRun],
    reason: str,
    message: str,
    severity: Severity,
) -> Signal:
    """The signal for a loop, at its last run."""
    last = loop[-1]
    quotes = [*loop[0].cite(), *last.cite()]
    return detector.signal(
        trace, last.span, reason, quotes, tool=last.tool, message=message, severity=severity
    )


def identical_calls(index: TraceIndex, least: float) -> Iterator[list[ToolRun]]:
    """The runs of each tool, split where one does not make the call of the one before again.

    Only ``least`` runs or more that belong together; to compare fewer would be in vain.
    """
    often = [(tool, runs) for tool, runs in index.runs_by_tool.items() if len(runs) >= least]
    for tool, runs in often:
        if not repeats_by_design(tool) and not is_declared_for_polling(index, tool):
            parts = split(runs, lambda before, run: is_same_request(index, before, run))
            yield from (part for part in parts if len(part) >= least)


def split(
    runs: list[ToolRun], belong_together: Callable[[ToolRun, ToolRun], bool]
) -> Iterator[list[ToolRun]]:
    """``runs``, split between two neighbours that do not belong together."""
    part = runs[:1]
    for before, run in pairwise(runs):
        if not belong_together(before, run):
            yield part
            part = []
        part.append(run)
    yield part


def is_same_request(index: TraceIndex, before: ToolRun, run: ToolRun) -> bool:
    """Whether ``run`` makes the call of ``before`` again, with no change in between."""
    return run.after(before) and not index.changed_between(before, run) and run.same_call(before)


def is_repetition(index: TraceIndex, before: ToolRun, run: ToolRun) -> bool:
    """Whether ``run`` makes the call of ``before`` again, and brings its result again."""
    return is_same_request(index, before, run) and run.same_result(before)


def is_declared_for_polling(index: TraceIndex, tool: str) -> bool:
    """Whether the description of the declared tool names polling."""
    declared = (each for span in index.llm_spans for each in span.tools if each.name == tool)
    return any("poll" in (each.description or "").lower() for each in declared)


@detector(
    id="D02",
    failure_mode="step_repetition",
    severity=Severity.MEDIUM,
    title="The agent repeats a cycle of calls of {tool}",
    recommendation=(
        "Detect the cycle in the harness and break it: list for the model the calls that it has "
        "already made, with their results, or end the run with what is known."
    ),
    threshold=Threshold(
        default=MIN_ROUNDS,
        counts="rounds in a row that make a cycle",
        unit="rounds",
        minimum=2,
    ),
    reads_texts=False,
)
def oscillation(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """Two to four calls, tool and arguments, whose rounds in a row reach the threshold.

    No user says anything in between.
    """
    trace = index.trace
    if index.runs_gap:
        yield detector.not_applicable(trace, index.runs_gap)
        return
    done = 0
    for first, length, rounds in cycles(index, detector.limit):
        if first >= done:
            done = first + length * rounds
            block = index.tool_runs[first : first + length]
            reason = f"{' -> '.join(run.tool for run in block)} repeats {rounds} times in a row"
            quotes = [quote for run in [*block, index.tool_runs[done - 1]] for quote in run.cite()]
            tools = " and ".join(sorted({run.tool for run in block}))
            yield detector.signal(trace, block[0].span, reason, quotes, tool=tools)


def cycles(index: TraceIndex, min_rounds: float) -> list[tuple[int, int, int]]:
    """Position, length and number of rounds of each cycle of tool runs, in order of position."""
    lengths = [n for n in CYCLE_LENGTHS if n * min_rounds <= len(index.tool_runs)]
    return sorted(cycle for length in lengths for cycle in cycles_of(index, length, min_rounds))


def cycles_of(index: TraceIndex, length: int, min_rounds: float) -> Iterator[tuple[int, int, int]]:
    """The cycles of one length: stretches where each run equals the one ``length`` before it."""
    runs = index.tool_runs
    first = 0
    for at in range(length, len(runs) + 1):
        if at < len(runs) and is_same_call(index, runs[at - length], runs[at]):
            continue
        rounds = (at - first) // length
        if rounds >= min_rounds and is_cycle(runs[first : first + length]):
            yield first, length, rounds
        first = at - length + 1


def is_same_call(index: TraceIndex, before: ToolRun, run: ToolRun) -> bool:
    """Whether ``run`` is the call of ``before``, made after it and not at a user's word."""
    is_same = run.after(before) and run.same_call(before)
    return is_same and not index.said_between(before, run)


def is_cycle(block: list[ToolRun]) -> bool:
    """Whether the block holds different calls, and none of a tool that is meant to be repeated."""
    return len({run.key for run in block}) > 1 and not any(
        repeats_by_design(run.tool) for run in block
    )


@detector(
    id="D03",
    failure_mode="step_repetition",
    severity=Severity.LOW,
    title="{tool} is called again for a result that it has already returned",
    recommendation=(
        "Keep earlier results where the model sees them: check that the history is not cut or "
        "summarised away, or cache reads of this tool within a run."
    ),
)
def redundant_call(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A reading call made again, with an identical result and no change of state in between.

    Unless a user asked for it.

    Calls in a loop are left to ``identical_call_loop`` with its default threshold.
    """
    trace = index.trace
    if index.runs_gap:
        yield detector.not_applicable(trace, index.runs_gap)
        return
    found = list(redundant(index))
    looping = {run.key for loop in loops(index) for run in loop} if found else set()
    for first, again in found:
        if first.key not in looping:
            reason = f"{again.tool} gave the same answer to the same arguments before"
            yield detector.signal(
                trace, again.span, reason, [*first.cite(), *again.cite()], tool=again.tool
            )


def loops(index: TraceIndex) -> Iterator[list[ToolRun]]:
    """The identical calls in a row with equal results that are a loop by default."""
    for calls in identical_calls(index, MIN_IDENTICAL_CALLS):
        yield from (s for s in split(calls, ToolRun.same_result) if len(s) >= MIN_IDENTICAL_CALLS)


def redundant(index: TraceIndex) -> Iterator[tuple[ToolRun, ToolRun]]:
    """Each redundant run with the run that it repeats, once for every tool and arguments."""
    tools = {
        tool for tool, runs in index.runs_by_tool.items() if len(runs) > 1 and is_only_read(tool)
    }
    latest: dict[tuple[str, str], ToolRun] = {}
    found: set[tuple[str, str]] = set()
    for run in index.tool_runs:
        if run.tool not in tools or run.key is None:
            continue
        before = latest.get(run.key)
        if before and run.key not in found and is_redundant(index, before, run):
            found.add(run.key)
            yield before, run
        latest[run.key] = run


def is_only_read(tool: str) -> bool:
    """Whether nothing tells that a tool changes something, or is meant to be called repeatedly."""
    return not changes_state(tool) and not repeats_by_design(tool)


def is_redundant(index: TraceIndex, before: ToolRun, run: ToolRun) -> bool:
    """Whether ``run``, of a tool that reads, returns again what ``before`` had returned."""
    return (
        not run.failed
        and bool((run.output.text or "").strip())
        and is_repetition(index, before, run)
        and not asks_to_repeat(index.said_between(before, run))
    )
