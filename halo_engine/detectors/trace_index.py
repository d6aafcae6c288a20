"""Index of one trace: model calls, tool calls, tool runs, their answers, and the errors."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any

import orjson

from halo_engine.detectors.citations import cite, cite_identity
from halo_engine.detectors.control_flow import ControlFlow, control_flows
from halo_engine.detectors.span_text import (
    completion_text,
    decode_json,
    error_fields,
    error_line,
    error_text,
    is_error_result,
    is_llm,
    json_or_none,
)
from halo_engine.detectors.tool_names import reads_only
from halo_engine.findings import Citation
from halo_engine.schema import Span, SpanKind, ToolCall, Trace
from halo_engine.text.scripts import SPACELESS, is_spaceless
from halo_engine.text.template_mining import ANY
from halo_engine.text.vocabulary import vocabulary

# Values of arguments that are looked for in an error: their length in characters, their number.
MIN_ARGUMENT, MAX_ARGUMENT = 3, 100
MIN_SPACELESS = 2  # a name in Chinese
MAX_ARGUMENTS = 50
# A character that makes a longer word of one beside it.
WORD = rf"[^\W{SPACELESS}]"

UNNAMED = "an unnamed tool"

# Members of arguments and results that differ in every call and are part of neither.
VOLATILE = vocabulary(
    "request_id requestid req_id correlation_id correlationid trace_id traceid span_id spanid "
    "call_id callid tool_call_id idempotency_key idempotencykey nonce timestamp ts requested_at "
    "sent_at served_at fetched_at retrieved_at took took_ms elapsed elapsed_ms duration_ms "
    "latency_ms"
)


@dataclass(frozen=True, slots=True)
class TextRef:
    """A text of a trace, with its span and field."""

    span: Span
    field: str
    text: str | None

    def cite(self) -> Iterator[Citation]:
        """Quote the beginning of the text."""
        return cite(self.span, self.field)


@dataclass(frozen=True, slots=True)
class ToolCallRef:
    """A tool call requested by a model, at ``field`` of the LLM span ``span``.

    ``turn`` counts the LLM spans of the trace from 0.
    """

    turn: int
    span: Span
    field: str
    requested: ToolCall

    @property
    def tool(self) -> str:
        """The name of the tool, as the model wrote it."""
        return self.requested.name or UNNAMED

    @property
    def arguments(self) -> TextRef:
        """The arguments, as the model wrote them."""
        return TextRef(self.span, f"{self.field}.arguments", self.requested.arguments)

    def cite(self) -> Iterator[Citation]:
        """Quote the name and the arguments."""
        yield from cite(self.span, f"{self.field}.name")
        yield from self.arguments.cite()


@dataclass(frozen=True)
class ToolRun:
    """One run of a tool.

    It is recorded by its TOOL span, or, in a trace without any, by the model's call and the tool
    message that answers it; ``span`` is then the LLM span of the call. ``order`` counts the runs of
    the trace from 0. ``start`` and ``end`` are nanoseconds since 1970.
    """

    order: int
    span: Span
    tool: str
    arguments: TextRef
    output: TextRef
    start: int | None
    end: int | None
    failed: bool

    @cached_property
    def key(self) -> tuple[str, str] | None:
        """Tool and canonical arguments, None where no arguments were recorded."""
        text = self.arguments.text
        return None if text is None else (self.tool, canonical_json(text))

    @cached_property
    def error(self) -> str:
        """The line of the failed run's error, or of its output, that names what failed."""
        recorded = error_text(self.span) if self.span.is_error else ""
        return error_line(recorded or self.output.text or "")

    @cached_property
    def error_pattern(self) -> str:
        """``error`` with the values that the arguments hold masked: other calls have others."""
        values = argument_values(self.arguments.text)
        return values.sub(ANY, self.error) if values else self.error

    def cite(self) -> Iterator[Citation]:
        """Quote the arguments and the result, or, lacking both, the name."""
        quotes = [*self.arguments.cite(), *self.cite_result()]
        yield from quotes or cite_identity(self.span)

    def cite_result(self) -> Iterator[Citation]:
        """Quote the error of a failed run, else its output."""
        field = next(error_fields(self.span), None) if self.span.is_error else None
        yield from cite(self.span, field) if field else self.output.cite()

    def after(self, other: ToolRun) -> bool:
        """Whether this run began after the end of ``other``: not so in a parallel fan-out."""
        return self.start is not None and other.end is not None and self.start >= other.end

    def covers(self, span: Span) -> bool:
        """Whether ``span`` ran while this run did."""
        start, end = span.start_time_unix_nano, span.end_time_unix_nano
        if self.start is None or self.end is None or start is None or end is None:
            return False
        return self.start <= start and end <= self.end

    def same_result(self, other: ToolRun) -> bool:
        """Whether both failed, or both returned the same output."""
        if self.failed or other.failed:
            return self.failed and other.failed
        return self.result is not None and self.result == other.result

    @property
    def has_arguments(self) -> bool:
        """Whether the call was made with any argument."""
        return self.key is not None and self.key[1] not in ("", "{}", "[]", "null")

    @cached_property
    def result(self) -> str | None:
        """The output in a form that is equal for equal results."""
        text = self.output.text
        return None if text is None else canonical_json(text)


def canonical_json(text: str) -> str:
    """Arguments or a result in a form that is equal for equal ones.

    Keys are sorted, white space is collapsed, and members that only identify the request or measure
    it are left out. In a text that is not JSON only white space is collapsed.
    """
    try:
        value = without_volatile(decode_json(text))
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except (ValueError, TypeError, RecursionError):
        return " ".join(text.split())


def without_volatile(value: Any) -> Any:
    """``value`` without volatile members, the white space of its strings collapsed."""
    if isinstance(value, dict):
        return {k: without_volatile(v) for k, v in value.items() if k.lower() not in VOLATILE}
    if isinstance(value, list):
        return [without_volatile(v) for v in value]
    return " ".join(value.split()) if isinstance(value, str) else value


def argument_values(arguments: str | None) -> re.Pattern[str] | None:
    """A pattern that finds the texts and numbers in arguments; None where there are none."""
    texts = {str(value) for value in scalars_of(json_or_none(arguments))}
    sought = sorted(filter(can_be_sought, texts))[:MAX_ARGUMENTS]
    longest_first = sorted(sought, key=len, reverse=True)
    alternatives = "|".join(map(re.escape, longest_first))
    return re.compile(f"(?<!{WORD})(?:{alternatives})(?!{WORD})") if sought else None


def can_be_sought(text: str) -> bool:
    """Whether a value is long enough to be told from other text, and not too long to be in it."""
    shortest = MIN_SPACELESS if is_spaceless(text) else MIN_ARGUMENT
    return shortest <= len(text) <= MAX_ARGUMENT


def scalars_of(value: Any) -> Iterator[str | int | float]:
    """The texts and numbers in a JSON value."""
    left = [value]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left += value.values()
        elif isinstance(value, list):
            left += value
        elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
            yield value


class TraceIndex:
    """The derived views of one trace that rules share, each computed at its first use."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace

    @cached_property
    def llm_spans(self) -> list[Span]:
        """The LLM spans, in order."""
        return [span for span in self.trace.spans if is_llm(span)]

    @cached_property
    def tool_calls(self) -> list[ToolCallRef]:
        """The tool calls that models requested, in order.

        Where one LLM span wraps another, the call that both record counts once. Equal ids alone do
        not show that: a cached answer repeats its ids.
        """
        every = [
            call for turn, span in enumerate(self.llm_spans) for call in tool_calls_of(span, turn)
        ]
        known = {(call.span.span_id, call.requested.id) for call in every if call.requested.id}
        return [c for c in every if (c.span.parent_span_id, c.requested.id) not in known]

    @cached_property
    def tool_spans(self) -> list[Span]:
        """The spans of tool runs: TOOL spans, and spans without a kind that have a tool's name.

        A TOOL span inside another of the same tool is the same run, wrapped.
        """
        spans = [span for span in self.trace.spans if self.is_tool(span)]
        tools = {span.span_id: tool_name(span) for span in spans}
        return [s for s in spans if tools.get(s.parent_span_id or "") != tool_name(s)]

    def is_tool(self, span: Span) -> bool:
        """Whether the span records the run of a tool."""
        if span.kind is None or span.kind is SpanKind.UNKNOWN:
            return span.name in self.tool_names
        return span.kind is SpanKind.TOOL

    @cached_property
    def tool_names(self) -> set[str]:
        """Every name of a tool that was declared to a model or called by it."""
        declared = {tool.name for span in self.llm_spans for tool in span.tools if tool.name}
        return declared | {call.requested.name for call in self.tool_calls if call.requested.name}

    @cached_property
    def answers(self) -> dict[str, list[tuple[int, TextRef]]]:
        """Tool-call id -> the tool messages that answer it, the last one of each turn."""
        found: dict[str, dict[int, TextRef]] = defaultdict(dict)
        for turn, span in enumerate(self.llm_spans):
            for index, message in enumerate(span.input_messages):
                if message.tool_call_id:
                    answer = TextRef(span, f"input_messages.{index}.content", message.content)
                    found[message.tool_call_id][turn] = answer
        return {call_id: list(by_turn.items()) for call_id, by_turn in found.items()}

    def answer_to(self, call: ToolCallRef) -> TextRef | None:
        """The first tool message after the call that answers it."""
        answers = self.answers.get(call.requested.id or "", [])
        after = bisect_right(answers, call.turn, key=itemgetter(0))
        return answers[after][1] if after < len(answers) else None

    @cached_property
    def tool_runs(self) -> list[ToolRun]:
        """The runs of tools that returned or failed, in order of their start."""
        if self.tool_spans:
            ended = [span for span in self.tool_spans if span.span_id not in self.control_flow]
            return [run_of_span(span, order) for order, span in enumerate(ended)]
        answered = ((call, self.answer_to(call)) for call in self.tool_calls)
        pairs = [(call, answer) for call, answer in answered if answer]
        return [run_of_call(call, answer, order) for order, (call, answer) in enumerate(pairs)]

    @cached_property
    def runs_by_tool(self) -> dict[str, list[ToolRun]]:
        """Tool -> its runs, in order."""
        found: dict[str, list[ToolRun]] = defaultdict(list)
        for run in self.tool_runs:
            found[run.tool].append(run)
        return found

    @cached_property
    def changes(self) -> list[int]:
        """For each run, how many runs up to and including it may have changed state."""
        total, counts = 0, []
        for run in self.tool_runs:
            total += not reads_only(run.tool)
            counts.append(total)
        return counts

    def changed_between(self, first: ToolRun, second: ToolRun) -> bool:
        """Whether a run strictly between the two may have changed state."""
        return self.changes[second.order - 1] > self.changes[first.order]

    @cached_property
    def runs_gap(self) -> str | None:
        """Why tool runs cannot be compared with each other, None if they can."""
        if not self.tool_runs:
            return "no tool runs"
        if all(run.arguments.text is None for run in self.tool_runs):
            return "no tool arguments recorded"
        if all(run.start is None or run.end is None for run in self.tool_runs):
            return "no times on the tool runs"
        return None

    @cached_property
    def control_flow(self) -> dict[str, ControlFlow]:
        """Span id -> control flow, for the spans recorded as errors that are no failures."""
        return control_flows(self.trace.spans)

    def is_failure(self, span: Span) -> bool:
        """Whether the span is recorded as failed, and not by control flow."""
        return span.is_error and span.span_id not in self.control_flow

    @cached_property
    def error_spans(self) -> list[Span]:
        """The failed spans without a failed child: where an error arose, not where it passed."""
        failed = [span for span in self.trace.spans if self.is_failure(span)]
        parents = {span.parent_span_id for span in failed}
        return [span for span in failed if span.span_id not in parents]

    @cached_property
    def is_cancelled(self) -> bool:
        """Whether the run as a whole, or its last model call, was cancelled."""
        ends = [self.trace.root, *self.llm_spans[-1:]]
        return any(
            self.control_flow.get(span.span_id) is ControlFlow.CANCELLED for span in ends if span
        )

    @cached_property
    def is_paused(self) -> bool:
        """Whether the run waits: it was paused, and no model call began after that."""
        kinds = [(self.control_flow.get(span.span_id), is_llm(span)) for span in self.trace.spans]
        last = next((k for k, calls in reversed(kinds) if calls or k is ControlFlow.PAUSED), None)
        return last is ControlFlow.PAUSED

    @cached_property
    def last_answer(self) -> Span | None:
        """The last LLM span with a text in its answer."""
        return next(
            (s for s in reversed(self.llm_spans) if (completion_text(s) or "").strip()), None
        )


def tool_calls_of(span: Span, turn: int = 0) -> Iterator[ToolCallRef]:
    """The tool calls in the answer of one LLM span."""
    for i, message in enumerate(span.output_messages):
        for j, call in enumerate(message.tool_calls):
            yield ToolCallRef(turn, span, f"output_messages.{i}.tool_calls.{j}", call)


def tool_name(span: Span) -> str:
    """The name of the tool whose run ``span`` records."""
    return span.tool_name or span.name or UNNAMED


def run_of_span(span: Span, order: int) -> ToolRun:
    """The run that a TOOL span records."""
    return ToolRun(
        order=order,
        span=span,
        tool=tool_name(span),
        arguments=TextRef(span, "input", span.input),
        output=TextRef(span, "output", span.output),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        failed=span.is_error or is_error_result(span.output),
    )


def run_of_call(call: ToolCallRef, answer: TextRef, order: int) -> ToolRun:
    """The run between a model's call and the tool message that answers it."""
    return ToolRun(
        order=order,
        span=call.span,
        tool=call.tool,
        arguments=call.arguments,
        output=answer,
        start=call.span.end_time_unix_nano,
        end=answer.span.start_time_unix_nano,
        failed=is_error_result(answer.text),
    )
