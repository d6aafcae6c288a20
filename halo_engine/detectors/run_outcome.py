"""The outcome of a run: what it answered, how it ended, and what shows that.

It is decided here, once, for every rule that asks for it: from the root span, the spans right below
it where the root records nothing, and the last model call.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from halo_engine.detectors.error_kinds import (
    is_context_overflow,
    is_environment_error,
    is_filtered_by_provider,
    step_limit_in,
)
from halo_engine.detectors.errors_in_trace import repeats
from halo_engine.detectors.finish_reasons import Finish, finish_of
from halo_engine.detectors.span_text import (
    completion_field,
    completion_text,
    error_fields,
    error_text,
    has_tool_calls,
    is_llm,
    json_object,
    json_or_none,
)
from halo_engine.detectors.step_limits import request_for_a_last_answer, told_step_limit
from halo_engine.detectors.tool_runs import TextRef, tool_name
from halo_engine.detectors.trace_views import WRAPPERS, TraceViews, start_of
from halo_engine.fields import field_text
from halo_engine.schema import Span

# What an output holds that is no answer: a missing value as JSON, Python and SDKs write it.
NO_ANSWER = frozenset({"", "null", "none", "undefined", '""', "''", "{}", "[]"})
# The members of an object that is a call of a tool, in the output of a run that ended with it.
CALL_MEMBERS = frozenset({"toolName", "toolCallId", "function", "tool_calls", "functionCall"})
# An output so many times as long as the model's words holds more than an answer.
MOST_PADDED = 2
# The longest piece of an answer without what JSON and Python escape is looked for in an output.
PLAIN_TEXT = re.compile(r"[\w ,.:;!?()%€$£+-]{1,80}")


class Ending(StrEnum):
    """How a run ended."""

    ANSWERED = "answered"
    EMPTY = "empty"
    FILTERED = "filtered"
    TRUNCATED = "truncated"
    STEP_LIMIT = "step_limit"
    UNANSWERED = "unanswered"
    CRASHED_BY_TOOL = "crashed_by_tool"
    CRASHED_BY_PROVIDER = "crashed_by_provider"
    CRASHED = "crashed"
    CONTEXT_OVERFLOW = "context_overflow"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


CRASHES = frozenset({Ending.CRASHED_BY_TOOL, Ending.CRASHED_BY_PROVIDER, Ending.CRASHED})


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended.

    ``shown_by`` is the text that shows it; ``answer`` what the run said last, if anything. For an
    ending by an error, ``cause`` is the span in which it arose and ``tool`` the tool that failed.
    ``why`` says what is missing where the ending is unknown.
    """

    ending: Ending
    shown_by: TextRef | None = None
    answer: TextRef | None = None
    cause: Span | None = None
    tool: str | None = None
    why: str = ""


def outcome_of_run(index: TraceViews) -> RunOutcome:
    """The outcome of the run that ``index`` is of."""
    top = index.top
    if top is None:
        return RunOutcome(Ending.UNKNOWN, why="no spans")
    if top.end_time_unix_nano is None:
        return RunOutcome(Ending.UNKNOWN, why="the root span has not ended")
    if is_llm(top) and has_tool_calls(top):
        return RunOutcome(Ending.UNKNOWN, why="a model call without the run that it is part of")
    answer = answer_of(index, top)
    if answer is None and index.is_cancelled:
        return RunOutcome(Ending.CANCELLED)
    if answer is None and index.is_paused:
        return RunOutcome(Ending.PAUSED)
    return crash_of(index, top, answer) or ending_without_error(index, top, answer)


# -- what was answered ----------------------------------------------------------------------------


def answer_of(index: TraceViews, top: Span) -> TextRef | None:
    """The last words of the run: the model's, unless the run gave others of its own.

    The output of a root can be a whole state, which holds the model's words and those of the tools:
    then the model's count.
    """
    said, given = last_words(index), given_output(index, top)
    if said is None or given is None:
        return said or given
    output, words = given.text or "", said.text or ""
    is_state = len(output) > MOST_PADDED * len(words) and holds(output, words)
    return said if is_state else given


def last_words(index: TraceViews) -> TextRef | None:
    """The text of the last model call, None where it failed, asked for a tool or said nothing."""
    last = index.last_call
    if last is None or index.is_failure(last) or last.span_id in index.control_flow:
        return None
    if has_tool_calls(last):
        return None
    text, field = completion_text(last), completion_field(last)
    return TextRef(last, field, text) if field and is_answer(text) else None


def given_output(index: TraceViews, top: Span) -> TextRef | None:
    """The answer that the root gives, or, where it records none, the last agent right below."""
    span: Span | None = top
    seen: set[str] = set()
    while span is not None and span.span_id not in seen:
        seen.add(span.span_id)
        if span.output is not None:
            return TextRef(span, "output", span.output) if is_answer(span.output) else None
        below = [s for s in index.trace.children.get(span.span_id, ()) if s.kind in WRAPPERS]
        span = below[-1] if below else None
    return None


def is_answer(text: str | None) -> bool:
    """Whether an output says anything: not a missing value, nor the calls of tools."""
    stripped = (text or "").strip()
    if stripped.lower() in NO_ANSWER:
        return False
    return not (stripped[0] in "[{" and is_only_calls(json_or_none(stripped)))


def is_only_calls(value: Any) -> bool:
    """Whether a JSON value is a call of a tool, or a list of such calls."""
    items = value if isinstance(value, list) else [value]
    return bool(items) and all(
        isinstance(item, dict) and not CALL_MEMBERS.isdisjoint(item) for item in items
    )


def holds(output: str, text: str) -> bool:
    """Whether ``output`` holds ``text``, as it is or as a JSON or Python string has it."""
    if text.strip() in output or json.dumps(text)[1:-1] in output:
        return True
    pieces = PLAIN_TEXT.findall(text)
    longest = max(pieces, key=len, default="").strip()
    return bool(longest) and longest in output


# -- ended by an error ----------------------------------------------------------------------------


def crash_of(index: TraceViews, top: Span, answer: TextRef | None) -> RunOutcome | None:
    """The outcome of a run that an error ended; None where none did."""
    envelope = error_envelope(top)
    if index.is_failure(top):
        cause = cause_of_crash(index, top)
    elif envelope:
        cause = top
    elif answer is None and (last := last_unanswered_error(index)):
        cause = last
    else:
        return None
    text = "\n".join(filter(None, (error_text(cause), error_text(top), envelope)))
    tool = tool_of(index, cause)
    return RunOutcome(
        ending=kind_of_crash(index, cause, tool, text),
        shown_by=error_ref(cause) or (TextRef(top, "output", top.output) if envelope else None),
        cause=cause,
        tool=tool,
    )


def kind_of_crash(index: TraceViews, cause: Span, tool: str | None, text: str) -> Ending:
    """The ending by an error that arose in ``cause``; ``text`` is all that is said of it."""
    finish = finish_of(cause)
    if tool:
        return Ending.CRASHED_BY_TOOL
    if step_limit_in(text) or request_for_a_last_answer(index):
        return Ending.STEP_LIMIT
    if finish is Finish.CONTEXT_OVERFLOW or is_context_overflow(text):
        return Ending.CONTEXT_OVERFLOW
    if finish is Finish.LENGTH:
        return Ending.TRUNCATED
    if finish is Finish.FILTERED or is_filtered_by_provider(text):
        return Ending.FILTERED
    is_provider = is_llm(cause) or is_environment_error(text)
    return Ending.CRASHED_BY_PROVIDER if is_provider else Ending.CRASHED


def cause_of_crash(index: TraceViews, top: Span) -> Span:
    """Where the error arose that failed ``top``: the last one that it repeats, else the last error if
    nothing was answered after it."""
    below = [s for s in index.error_spans if s is not top]
    repeated = [span for span in below if error_text(span) and repeats(top, span)]
    if repeated and error_text(top):
        return repeated[-1]
    return last_unanswered_error(index) or top


def last_unanswered_error(index: TraceViews) -> Span | None:
    """The last error, if no model call answered after it."""
    errors = index.error_spans
    if not errors:
        return None
    last = max(errors, key=ended_at)
    call = index.last_call
    if call is None or index.is_failure(call) or start_of(call) < ended_at(last):
        return last
    return None


def ended_at(span: Span) -> int:
    """The end of a span, or, where it is not recorded, its start; 0 for neither."""
    return span.end_time_unix_nano or start_of(span)


def tool_of(index: TraceViews, span: Span) -> str | None:
    """The tool in whose run ``span`` lies, if it does."""
    around = (span, *index.trace.ancestors(span))
    return next((tool_name(each) for each in around if index.is_tool(each)), None)


def error_envelope(span: Span) -> str:
    """The error that a span gives as its output, as the Agent Development Kit does."""
    output = json_object(span.output) if span.output and "error_" in span.output[:200] else {}
    code, told = output.get("error_code"), output.get("error_message")
    return f"{code}: {told}" if code and told else ""


def error_ref(span: Span) -> TextRef | None:
    """The text that says why ``span`` failed."""
    field = next(error_fields(span), None)
    return TextRef(span, field, field_text(span, field)) if field else None


# -- ended without one ----------------------------------------------------------------------------


def ending_without_error(index: TraceViews, top: Span, answer: TextRef | None) -> RunOutcome:
    """The outcome of a run that no error ended."""
    if (limit := told_step_limit(index, top)) is not None:
        return RunOutcome(Ending.STEP_LIMIT, shown_by=limit, answer=answer)
    last = index.last_call
    finish = finish_of(last) if last else None
    reason = TextRef(last, "finish_reason", last.finish_reason) if last else None
    if last and finish is Finish.LENGTH and not has_tool_calls(last):
        return RunOutcome(Ending.TRUNCATED, shown_by=reason, answer=answer)
    if last and finish is Finish.FILTERED:
        return RunOutcome(Ending.FILTERED, shown_by=reason, answer=answer)
    if answer:
        return RunOutcome(Ending.ANSWERED, shown_by=answer, answer=answer)
    if index.trace.root is None:
        return RunOutcome(Ending.UNKNOWN, why="no root span")
    return ending_without_answer(top, last)


def ending_without_answer(top: Span, last: Span | None) -> RunOutcome:
    """The outcome of a run that says nothing."""
    if last is None:
        if top.output is not None and top.keeps_empty_texts:
            return RunOutcome(Ending.EMPTY, shown_by=TextRef(top, "output", top.output))
        return RunOutcome(Ending.UNKNOWN, why="no LLM spans")
    if has_tool_calls(last) or finish_of(last) is Finish.TOOL_CALLS:
        return RunOutcome(Ending.UNANSWERED, cause=last)
    text, field = completion_text(last), completion_field(last)
    if text is not None and field:
        return RunOutcome(Ending.EMPTY, shown_by=TextRef(last, field, text))
    if top.output is not None and not top.output.strip() and top.keeps_empty_texts:
        return RunOutcome(Ending.EMPTY, shown_by=TextRef(top, "output", top.output))
    return RunOutcome(Ending.UNKNOWN, why="no model output recorded")
