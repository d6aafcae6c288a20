"""Steps that repeat without telling the agent anything new (D01 to D03)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from halo_engine.detectors.base import Corpus, Detector, Outcome, detector
from halo_engine.detectors.tool_names import changes_state, repeats_by_design
from halo_engine.detectors.trace_index import ToolRun, TraceIndex, read
from halo_engine.findings import Severity
from halo_engine.schema import Trace

MIN_CALLS = 3
MIN_ROUNDS = 3
CYCLE_LENGTHS = range(2, 5)


@detector(
    id="D01",
    failure_mode="step_repetition",
    severity=Severity.MEDIUM,
    title="{tool} is called again and again with the same arguments and the same result",
    recommendation=(
        "Stop the loop in the agent's harness: after the second identical call return the earlier "
        "result with a note that it will not change, and name a next step. If the tool fails, let "
        "its error say what to do differently."
    ),
)
def identical_call_loop(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """At least three identical calls in a row, one after another, that bring nothing new.

    Arguments are compared in their canonical form; between the calls nothing that may change the
    world, no overlap in time, and each result equals the one before, or both are errors.
    """
    reading = read(trace)
    if reading.gap:
        yield rule.not_applicable(trace, reading.gap)
        return
    for run in loops(reading):
        last = run[-1]
        reason = f"{last.tool} ran {len(run)} times in a row with equal arguments and results"
        quotes = [*run[0].cite(), *last.cite()]
        yield rule.signal(trace, last.span, reason, quotes, tool=last.tool)


def loops(reading: TraceIndex) -> Iterator[list[ToolRun]]:
    """The runs of identical calls that are long enough to be a loop."""
    for tool, steps in reading.by_tool.items():
        if not repeats_by_design(tool) and not polls(reading, tool):
            yield from (run for run in runs(reading, steps) if len(run) >= MIN_CALLS)


def runs(reading: TraceIndex, steps: list[ToolRun]) -> Iterator[list[ToolRun]]:
    """``steps`` of one tool, split where a call differs from the one before it."""
    run = steps[:1]
    for before, step in pairwise(steps):
        if not nothing_new(reading, before, step):
            yield run
            run = []
        run.append(step)
    yield run


def nothing_new(reading: TraceIndex, before: ToolRun, step: ToolRun) -> bool:
    """Whether ``step`` does what ``before`` did, in the same world, with the same result."""
    return (
        step.key is not None
        and step.key == before.key
        and step.same_result(before)
        and step.after(before)
        and not reading.changed_between(before, step)
    )


def polls(reading: TraceIndex, tool: str) -> bool:
    """Whether the tool's declaration says that it is for polling."""
    declared = (each for span in reading.llm for each in span.tools if each.name == tool)
    return any("poll" in (each.description or "").lower() for each in declared)


@detector(
    id="D02",
    failure_mode="step_repetition",
    severity=Severity.MEDIUM,
    title="The agent goes round in circles through {tool}",
    recommendation=(
        "Detect the cycle in the harness and break it: tell the model which calls it has already "
        "made with which results, or end the run with what is known."
    ),
)
def oscillation(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """Two to four calls, tool and arguments, that repeat at least three times in a row."""
    reading = read(trace)
    if reading.gap:
        yield rule.not_applicable(trace, reading.gap)
        return
    done = 0
    for first, length, rounds in cycles(reading.steps):
        if first >= done:
            done = first + length * rounds
            block = reading.steps[first : first + length]
            reason = f"{' -> '.join(s.tool for s in block)} repeats {rounds} times in a row"
            quotes = [quote for step in [*block, reading.steps[done - 1]] for quote in step.cite()]
            tools = " and ".join(sorted({step.tool for step in block}))
            yield rule.signal(trace, block[0].span, reason, quotes, tool=tools)


def cycles(steps: list[ToolRun]) -> list[tuple[int, int, int]]:
    """Where a cycle begins, its length and its number of rounds, in order of beginning."""
    found = [cycle for length in CYCLE_LENGTHS for cycle in cycles_of(steps, length)]
    return sorted(found)


def cycles_of(steps: list[ToolRun], length: int) -> Iterator[tuple[int, int, int]]:
    """The cycles of one length: stretches where each step equals the one ``length`` before it."""
    first = 0
    for index in range(length, len(steps) + 1):
        if index < len(steps) and repeats(steps[index - length], steps[index]):
            continue
        rounds = (index - first) // length
        if rounds >= MIN_ROUNDS and is_cycle(steps[first : first + length]):
            yield first, length, rounds
        first = index - length + 1


def repeats(before: ToolRun, step: ToolRun) -> bool:
    """Whether ``step`` is the same call as ``before``, made after it."""
    return step.key is not None and step.key == before.key and step.after(before)


def is_cycle(block: list[ToolRun]) -> bool:
    """Whether the block holds different calls, and none whose use is to be repeated."""
    return len({step.key for step in block}) > 1 and not any(
        repeats_by_design(step.tool) for step in block
    )


@detector(
    id="D03",
    failure_mode="step_repetition",
    severity=Severity.LOW,
    title="{tool} is asked again for what it has already answered",
    recommendation=(
        "Keep earlier results where the model sees them: check that the history is not cut or "
        "summarised away, or cache reads of this tool within a run."
    ),
)
def redundant_call(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """A reading call made again, with an identical result and nothing changed in between.

    Calls that are already a loop of ``identical_call_loop`` are left to it.
    """
    reading = read(trace)
    if reading.gap:
        yield rule.not_applicable(trace, reading.gap)
        return
    looping = {step.key for run in loops(reading) for step in run}
    for first, again in redundant(reading):
        if first.key not in looping:
            reason = f"{again.tool} gave the same answer to the same arguments before"
            yield rule.signal(
                trace, again.span, reason, [*first.cite(), *again.cite()], tool=again.tool
            )


def redundant(reading: TraceIndex) -> Iterator[tuple[ToolRun, ToolRun]]:
    """Each repeated call with the call that it repeats, once for every tool and arguments."""
    latest: dict[tuple[str, str], ToolRun] = {}
    told: set[tuple[str, str]] = set()
    for step in reading.steps:
        if step.key is None:
            continue
        before = latest.get(step.key)
        if before and step.key not in told and is_redundant(reading, before, step):
            told.add(step.key)
            yield before, step
        latest[step.key] = step


def is_redundant(reading: TraceIndex, before: ToolRun, step: ToolRun) -> bool:
    """Whether ``step`` could only tell what ``before`` had told."""
    return (
        not step.failed
        and bool((step.output.text or "").strip())
        and not changes_state(step.tool)
        and not repeats_by_design(step.tool)
        and nothing_new(reading, before, step)
    )
