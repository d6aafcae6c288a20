"""Detector of instructions in what a tool returned that the agent then followed (D34)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from halo_engine.detectors.base import Corpus, Detector, Outcome, detector
from halo_engine.detectors.citations import cite
from halo_engine.detectors.span_text import json_or_none
from halo_engine.detectors.tool_runs import TextRef, ToolRun, scalars_of
from halo_engine.detectors.trace_index import TraceIndex
from halo_engine.findings import Severity
from halo_engine.schema import SpanKind
from halo_engine.text.injection import find_instruction

# What stands so near before or after the instruction is taken for a part of it.
BEFORE, AFTER = 100, 500  # characters
# Shorter values are in any text.
MIN_VALUE = 6  # characters


@detector(
    id="D34",
    failure_mode="unsafe_action",
    severity=Severity.LOW,
    title="{tool} is called with a value from an instruction inside a tool's result",
    recommendation=(
        "Treat results as data: mark where they begin and end, let actions with values that only a "
        "result named be confirmed by the user, and limit where data can be sent."
    ),
)
def followed_injection(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A tool is called with a value that stood beside instructions in an earlier result only.

    That a result holds instructions is no failure, and neither is a value that the user named, nor
    one that another member of the same JSON result holds: that is data. Each call is told once.
    """
    results = list(results_of(index))
    if not results:
        yield detector.not_applicable(index.trace, "no results of tools or retrievals")
    told: set[tuple[int, str]] = set()
    for start, result in results if may_be_followed(index, results) else ():
        found = find_instruction(result.text or "")
        followed = followed_by(index, start, instruction_in(result)) if found else None
        if found and followed and (followed[0].order, followed[1]) not in told:
            run, value = followed
            told.add((run.order, value))
            reason = f"{run.tool} was called with {value}, which an instruction in a result named"
            quotes = [*cite(result.span, result.field, found[0]), *run.arguments.cite()]
            yield detector.signal(index.trace, run.span, reason, quotes, tool=run.tool)


def may_be_followed(index: TraceIndex, results: Iterable[tuple[int, TextRef]]) -> bool:
    """Whether a tool was called after a result with an instruction: one search over all of them."""
    last = max((run.start for run in index.tool_runs if run.start is not None), default=-1)
    texts = [result.text or "" for at, result in results if at <= last]
    return bool(texts) and find_instruction("\n".join(texts)) is not None


def results_of(index: TraceIndex) -> Iterator[tuple[int, TextRef]]:
    """What tools and retrievals returned, each with the time at which it was there."""
    for run in index.tool_runs:
        if run.end is not None and run.output.text:
            yield run.end, run.output
    for span in index.trace.spans:
        if span.kind is SpanKind.RETRIEVER and span.end_time_unix_nano is not None and span.output:
            yield span.end_time_unix_nano, TextRef(span, "output", span.output)


def instruction_in(result: TextRef) -> str:
    """The instruction in a result, with what stands near it in the same text of a JSON result."""
    texts = [text for text in scalars_of(json_or_none(result.text)) if isinstance(text, str)]
    for text in texts or [result.text or ""]:
        if found := find_instruction(text):
            return text[max(0, found[0] - BEFORE) : found[1] + AFTER]
    return ""


def followed_by(index: TraceIndex, after: int, instruction: str) -> tuple[ToolRun, str] | None:
    """The first tool run ``after`` the instruction with a value that it named, and no user."""
    later = [run for run in index.tool_runs if run.start is not None and run.start >= after]
    told = words_of_user(index) if later else ""
    return next(
        (
            (run, value)
            for run in later
            for value in map(str, scalars_of(json_or_none(run.arguments.text)))
            if len(value) >= MIN_VALUE and value in instruction and value not in told
        ),
        None,
    )


def words_of_user(index: TraceIndex) -> str:
    """What was asked, and what the model was given before any tool ran."""
    asked = [span.input for span in index.agent_spans]
    given = [message.content for span in index.llm_spans[:1] for message in span.input_messages]
    return "\n".join(filter(None, (*asked, *given)))
