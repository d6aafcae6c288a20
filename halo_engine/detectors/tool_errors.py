"""Detectors of failed tool calls retried unchanged and of calls without an answer (D04, D06)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from halo_engine.detectors.base import Corpus, Detector, Outcome, detector
from halo_engine.detectors.error_kinds import is_transient
from halo_engine.detectors.run_outcome import CRASHES, Ending
from halo_engine.detectors.settings import NANOSECONDS_PER_SECOND, ONE_DAY, Threshold
from halo_engine.detectors.tool_runs import ToolCallRef, ToolRun, tool_name
from halo_engine.detectors.trace_index import TraceIndex
from halo_engine.detectors.user_words import asks_to_repeat
from halo_engine.findings import Severity

# Endings of runs whose last call is left without an answer, which other rules tell.
ENDED_ON_A_CALL = CRASHES | {Ending.STEP_LIMIT, Ending.UNANSWERED, Ending.CONTEXT_OVERFLOW}
# Prefixes of the call ids of tools that the provider runs: no answer to them is ever recorded.
RUN_BY_PROVIDER = ("srvtoolu_", "ws_", "ci_", "fs_")


@detector(
    id="D04",
    failure_mode="tool_error_mishandled",
    severity=Severity.MEDIUM,
    title="{tool} fails and is called again unchanged",
    recommendation=(
        "Let the error describe what to change, and state in the prompt that an unchanged call fails "
        "again. Retry transient errors in the tool, with a back-off."
    ),
    threshold=Threshold(
        default=1.0,
        counts="back-off after which the retry of a transient error is in order",
        unit="seconds",
        minimum=0,
        maximum=ONE_DAY,
    ),
)
def unchanged_retry(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A failed call whose next call of the same tool has the same arguments.

    A retry of a rate limit, a server error or a timeout is in order after the back-off, and so is
    one after a run in between that may have removed the cause. Severity low where a user asked for
    it.
    """
    trace = index.trace
    if index.runs_gap:
        yield detector.not_applicable(trace, index.runs_gap)
        return
    back_off = round(detector.limit * NANOSECONDS_PER_SECOND)
    for runs in index.runs_by_tool.values():
        for before, run in pairwise(runs):
            if is_unchanged_retry(index, before, run, back_off):
                reason = f"{run.tool} failed ({before.error}) and was called again unchanged"
                quotes = [*before.cite(), *run.cite()]
                is_asked_for = asks_to_repeat(index.said_between(before, run))
                severity = Severity.LOW if is_asked_for else detector.severity
                yield detector.signal(
                    trace, run.span, reason, quotes, tool=run.tool, severity=severity
                )


def is_unchanged_retry(index: TraceIndex, before: ToolRun, run: ToolRun, back_off: int) -> bool:
    """Whether ``run`` repeats the failed ``before`` with no reason to expect another result.

    ``back_off`` nanoseconds between the two are such a reason where the error is transient.
    """
    return (
        before.failed
        and run.after(before)
        and not index.changed_between(before, run)
        and run.same_call(before)
        and not (is_transient(before.error) and time_between(before, run) >= back_off)
    )


def time_between(before: ToolRun, run: ToolRun) -> int:
    """The nanoseconds from the end of ``before`` to the start of ``run``."""
    return (run.start or 0) - (before.end or 0)


@detector(
    id="D06",
    failure_mode="tool_error_mishandled",
    severity=Severity.MEDIUM,
    title="The model calls {tool}, and the call is never answered",
    recommendation=(
        "Answer every tool call, with an error if need be, before the model is asked again; look "
        "for a handler that drops calls, or a limit on parallel calls."
    ),
    needs_settled_trace=True,
    reads_texts=False,
)
def abandoned_call(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A tool call with an id that no tool run and no tool message answers.

    It is judged only where some trace records tool runs. The last call of a trace whose root has an
    output counts as that output if its tool never runs in the trace. A call that a pause or a
    cancellation left open is not abandoned.
    """
    trace = index.trace
    calls = [call for call in index.tool_calls if call.requested.id]
    if not calls:
        yield detector.not_applicable(trace, "no tool calls with an id")
        return
    if not (index.has_tool_kind or corpus.tool_spans):
        yield detector.not_applicable(trace, "no tool runs in any trace")
        return
    if not (index.tool_spans or any(span.input_messages for span in index.llm_spans)):
        yield detector.not_applicable(trace, "neither tool runs nor messages to the model")
        return
    for call in unanswered(index, calls):
        if not (may_be_final(index, call) or is_told_by_the_ending(index, call)):
            reason = f"nothing answers the call {call.requested.id} of {call.tool}"
            quotes = [*call.cite_member("id"), *call.cite()]
            yield detector.signal(trace, call.span, reason, quotes, tool=call.tool)


def unanswered(index: TraceIndex, calls: list[ToolCallRef]) -> Iterator[ToolCallRef]:
    """The calls without an answer.

    A run that names no call, or one that nobody made, answers one of its tool's calls.
    """
    run_ids = {span.tool_call_id for span in index.trace.spans}
    call_ids = {call.requested.id for call in calls}
    has_message = [index.has_answer(call) for call in calls]
    unnamed = Counter(tool_name(s) for s in index.tool_spans if s.tool_call_id not in call_ids)
    unnamed.subtract(call.tool for call, has in zip(calls, has_message, strict=True) if has)
    for call, has in zip(calls, has_message, strict=True):
        if has or call.requested.id in run_ids:
            continue
        unnamed[call.tool] -= 1
        if unnamed[call.tool] < 0 and not (call.requested.id or "").startswith(RUN_BY_PROVIDER):
            yield call


def is_told_by_the_ending(index: TraceIndex, call: ToolCallRef) -> bool:
    """Whether the run ended on this call, or before its answer could be seen by a model."""
    return index.outcome.ending in ENDED_ON_A_CALL and call.span is index.last_call


def may_be_final(index: TraceIndex, call: ToolCallRef) -> bool:
    """Whether a call may be the final output of the trace, or its tool may still run."""
    root = index.trace.root
    if call.span is not index.llm_spans[-1]:
        return False
    if index.is_paused or index.is_cancelled:
        return True
    if call.tool in index.runs_by_tool:
        return False
    unfinished = root is None or root.end_time_unix_nano is None
    return unfinished or bool((root.output or "").strip() if root else "")
