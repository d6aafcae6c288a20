"""Tool calls whose failure or silence the agent handles badly (D04, D06)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from halo_engine.detectors.base import Corpus, Detector, Outcome, cite, detector
from halo_engine.detectors.environment import is_transient
from halo_engine.detectors.trace_index import ToolCallRef, ToolRun, TraceIndex, read, tool_name
from halo_engine.findings import Severity
from halo_engine.schema import Trace

BACK_OFF_NANOSECONDS = 1_000_000_000
# Tool-call ids of tools that the provider runs itself; no answer to them is ever recorded.
RUN_BY_PROVIDER = ("srvtoolu_", "ws_", "ci_", "fs_")


@detector(
    id="D04",
    failure_mode="tool_error_mishandled",
    severity=Severity.MEDIUM,
    title="{tool} fails and is called again unchanged",
    recommendation=(
        "Let the error say what to change, and tell the agent that an unchanged call fails again. "
        "Retry what may pass by itself in the tool, with a back-off."
    ),
)
def unchanged_retry(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """A failed call whose next call of the same tool has the same arguments.

    A retry of a rate limit, a server error or a timeout at least one second later is in order, and
    so is one after a step in between that may have removed the cause.
    """
    reading = read(trace)
    if reading.gap:
        yield rule.not_applicable(trace, reading.gap)
        return
    for steps in reading.by_tool.values():
        for before, step in pairwise(steps):
            if is_unchanged_retry(reading, before, step):
                reason = f"{step.tool} failed ({before.error}) and was called again unchanged"
                quotes = [*before.cite(), *step.cite()]
                yield rule.signal(trace, step.span, reason, quotes, tool=step.tool)


def is_unchanged_retry(reading: TraceIndex, before: ToolRun, step: ToolRun) -> bool:
    """Whether ``step`` repeats the failed ``before`` with no reason to expect another outcome."""
    return (
        before.failed
        and step.key is not None
        and step.key == before.key
        and step.after(before)
        and not reading.changed_between(before, step)
        and not (is_transient(before.error) and waited(before, step))
    )


def waited(before: ToolRun, step: ToolRun) -> bool:
    """Whether at least the back-off lies between the two."""
    return (step.start or 0) - (before.end or 0) >= BACK_OFF_NANOSECONDS


@detector(
    id="D06",
    failure_mode="tool_error_mishandled",
    severity=Severity.MEDIUM,
    title="The model calls {tool}, and the call is never answered",
    recommendation=(
        "Answer every tool call, with an error if need be, before the model is asked again; look "
        "for a handler that drops calls, or a limit on parallel calls."
    ),
)
def abandoned_call(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """A tool call with an id that no tool run and no tool message answers.

    Only where tool runs are recorded at all. A call that ends a run which gave an output, by a tool
    that is never seen to run, is that output and no open question.
    """
    reading = read(trace)
    calls = [call for call in reading.calls if call.asked.id]
    if not corpus.tool_spans or not calls:
        missing = "no tool calls with an id" if corpus.tool_spans else "no tool runs in any trace"
        yield rule.not_applicable(trace, missing)
        return
    for call in unanswered(reading, calls):
        if not is_last_word(reading, call):
            reason = f"nothing answers the call {call.asked.id} of {call.tool}"
            quotes = [*cite(call.span, f"{call.field}.id"), *call.cite()]
            yield rule.signal(trace, call.span, reason, quotes, tool=call.tool)


def unanswered(reading: TraceIndex, calls: list[ToolCallRef]) -> Iterator[ToolCallRef]:
    """The calls without an answer. A run that names no call answers one of its tool's calls."""
    ran = {span.tool_call_id for span in reading.trace.spans}
    told = [reading.answer_to(call) is not None for call in calls]
    runs = Counter(tool_name(s) for s in reading.tool_spans if s.tool_call_id is None)
    runs.subtract(call.tool for call, answered in zip(calls, told, strict=True) if answered)
    for call, answered in zip(calls, told, strict=True):
        if answered or call.asked.id in ran:
            continue
        runs[call.tool] -= 1
        if runs[call.tool] < 0 and not (call.asked.id or "").startswith(RUN_BY_PROVIDER):
            yield call


def is_last_word(reading: TraceIndex, call: ToolCallRef) -> bool:
    """Whether a call may be the run's result, or its run may still be going on."""
    root = reading.trace.root
    if call.span is not reading.llm[-1] or call.tool in reading.by_tool:
        return False
    unfinished = root is None or root.end_time_unix_nano is None
    return unfinished or bool((root.output or "").strip() if root else "")
