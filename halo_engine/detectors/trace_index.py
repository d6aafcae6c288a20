"""What a trace shows of its agent's acts: the model's tool calls, the tools' runs, the errors."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from halo_engine.detectors.base import cite
from halo_engine.detectors.span_text import (
    completion,
    error_fields,
    error_text,
    essential,
    is_envelope,
    is_llm,
    parsed,
)
from halo_engine.detectors.tool_names import reads_only
from halo_engine.findings import Citation
from halo_engine.schema import Span, SpanKind, ToolCall, Trace

UNNAMED = "an unnamed tool"
NO_STEPS = "no tool runs"

# Arguments that differ in every call and say nothing about what was asked for.
VOLATILE = frozenset(
    {
        *("request_id", "requestid", "req_id", "correlation_id", "correlationid"),
        *("trace_id", "traceid", "span_id", "spanid", "call_id", "callid", "tool_call_id"),
        *("idempotency_key", "idempotencykey", "nonce"),
        *("timestamp", "ts", "requested_at", "sent_at"),
    }
)


@dataclass(frozen=True, slots=True)
class TextRef:
    """A text of a trace and where it stands."""

    span: Span
    field: str
    text: str | None

    def cite(self) -> Iterator[Citation]:
        """Quote the beginning of the text."""
        return cite(self.span, self.field)


@dataclass(frozen=True, slots=True)
class ToolCallRef:
    """A tool call that the model asked for; ``field`` is where it stands in the LLM span.

    ``turn`` counts the LLM spans of the trace from 0.
    """

    turn: int
    span: Span
    field: str
    asked: ToolCall

    @property
    def tool(self) -> str:
        """The name of the tool, as the model wrote it."""
        return self.asked.name or UNNAMED

    @property
    def arguments(self) -> TextRef:
        """The arguments, as the model wrote them."""
        return TextRef(self.span, f"{self.field}.arguments", self.asked.arguments)

    def cite(self) -> Iterator[Citation]:
        """Quote the name and the arguments."""
        yield from cite(self.span, f"{self.field}.name")
        yield from self.arguments.cite()


@dataclass(frozen=True)
class ToolRun:
    """One run of a tool.

    Read from its TOOL span, or, where a trace has none, from the model's call and the tool message
    that answers it; ``span`` is then the LLM span that asked. ``order`` counts the steps of the
    trace from 0. Times are nanoseconds since 1970.
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
        return None if text is None else (self.tool, canonical(text))

    @cached_property
    def error(self) -> str:
        """The essential line of what the failed step says."""
        own = error_text(self.span) if self.span.is_error else ""
        return essential(own or self.output.text or "")

    def cite(self) -> Iterator[Citation]:
        """Quote the arguments and what came of them, or, lacking both, the name."""
        quotes = [*self.arguments.cite(), *self.cite_result()]
        yield from quotes or identity(self.span)

    def cite_result(self) -> Iterator[Citation]:
        """Quote the error of a step that failed, else its output."""
        field = next(error_fields(self.span), None) if self.span.is_error else None
        yield from cite(self.span, field) if field else self.output.cite()

    def after(self, other: ToolRun) -> bool:
        """Whether this step began when ``other`` had ended: not so in a parallel fan-out."""
        return self.start is not None and other.end is not None and self.start >= other.end

    def same_result(self, other: ToolRun) -> bool:
        """Whether both failed, or both gave the same output."""
        if self.failed or other.failed:
            return self.failed and other.failed
        return self.output.text is not None and self.output.text == other.output.text


def canonical(arguments: str) -> str:
    """Arguments without what varies by itself: key order, white space, ids of the request.

    A text that is not JSON is only folded.
    """
    try:
        return orjson.dumps(stable(parsed(arguments)), option=orjson.OPT_SORT_KEYS).decode()
    except (ValueError, TypeError, RecursionError):
        return " ".join(arguments.split())


def stable(value: Any) -> Any:
    """``value`` without volatile members, its white space folded."""
    if isinstance(value, dict):
        return {k: stable(v) for k, v in value.items() if k.lower() not in VOLATILE}
    if isinstance(value, list):
        return [stable(v) for v in value]
    return " ".join(value.split()) if isinstance(value, str) else value


def identity(span: Span) -> Iterator[Citation]:
    """Quote what names a span that has no telling text: its name, else its id."""
    yield from [*cite(span, "name")] or cite(span, "span_id")


def cite_error(span: Span) -> Iterator[Citation]:
    """Quote why a span failed: its error texts, else its status, else its name."""
    quotes = [quote for field in error_fields(span) for quote in cite(span, field)]
    yield from quotes or [*cite(span, "status.code")] or identity(span)


class TraceIndex:
    """What detectors read out of one trace, each thing read once, when first asked for."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace

    @cached_property
    def llm(self) -> list[Span]:
        """The calls of models, in order."""
        return [span for span in self.trace.spans if is_llm(span)]

    @cached_property
    def calls(self) -> list[ToolCallRef]:
        """The tool calls that models asked for, in order.

        Where one LLM span wraps another, the call that both record counts once. An id is no proof
        of that: a cached answer brings its ids along.
        """
        every = [call for turn, span in enumerate(self.llm) for call in calls_of(span, turn)]
        known = {(call.span.span_id, call.asked.id) for call in every if call.asked.id}
        return [call for call in every if (call.span.parent_span_id, call.asked.id) not in known]

    @cached_property
    def tool_spans(self) -> list[Span]:
        """The runs of tools: TOOL spans, else spans without a kind that bear a tool's name.

        A TOOL span inside another of the same tool is the same run, wrapped.
        """
        spans = [span for span in self.trace.spans if self.is_tool(span)]
        tools = {span.span_id: tool_name(span) for span in spans}
        return [s for s in spans if tools.get(s.parent_span_id or "") != tool_name(s)]

    def is_tool(self, span: Span) -> bool:
        """Whether the span is the run of a tool."""
        if span.kind is None or span.kind is SpanKind.UNKNOWN:
            return span.name in self.tool_names
        return span.kind is SpanKind.TOOL

    @cached_property
    def tool_names(self) -> set[str]:
        """Every name of a tool that was declared to a model or called by it."""
        declared = {tool.name for span in self.llm for tool in span.tools if tool.name}
        return declared | {call.asked.name for call in self.calls if call.asked.name}

    @cached_property
    def answers(self) -> dict[str, list[tuple[int, TextRef]]]:
        """Tool-call id -> the tool messages that answer it, the last one of each turn."""
        found: dict[str, dict[int, TextRef]] = defaultdict(dict)
        for turn, span in enumerate(self.llm):
            for index, message in enumerate(span.input_messages):
                if message.tool_call_id:
                    place = TextRef(span, f"input_messages.{index}.content", message.content)
                    found[message.tool_call_id][turn] = place
        return {call_id: list(places.items()) for call_id, places in found.items()}

    def answer_to(self, call: ToolCallRef) -> TextRef | None:
        """The first tool message after the call that answers it."""
        places = self.answers.get(call.asked.id or "", [])
        after = bisect_right(places, call.turn, key=lambda place: place[0])
        return places[after][1] if after < len(places) else None

    @cached_property
    def steps(self) -> list[ToolRun]:
        """The runs of tools, in order of their start."""
        if self.tool_spans:
            return [run_of_span(span, order) for order, span in enumerate(self.tool_spans)]
        answered = ((call, self.answer_to(call)) for call in self.calls)
        pairs = [(call, answer) for call, answer in answered if answer]
        return [run_of_call(call, answer, order) for order, (call, answer) in enumerate(pairs)]

    @cached_property
    def by_tool(self) -> dict[str, list[ToolRun]]:
        """Tool -> its steps, in order."""
        found: dict[str, list[ToolRun]] = defaultdict(list)
        for step in self.steps:
            found[step.tool].append(step)
        return found

    @cached_property
    def changes(self) -> list[int]:
        """For each step, how many steps up to and with it may have changed the world."""
        total, counts = 0, []
        for step in self.steps:
            total += not reads_only(step.tool)
            counts.append(total)
        return counts

    def changed_between(self, first: ToolRun, second: ToolRun) -> bool:
        """Whether a step strictly between the two may have changed the world."""
        return self.changes[second.order - 1] > self.changes[first.order]

    @cached_property
    def gap(self) -> str | None:
        """Why steps cannot be compared with each other, None if they can."""
        if not self.steps:
            return NO_STEPS
        if all(step.arguments.text is None for step in self.steps):
            return "no tool arguments recorded"
        if all(step.start is None or step.end is None for step in self.steps):
            return "no times on the tool runs"
        return None

    @cached_property
    def errors(self) -> list[Span]:
        """The spans that failed of themselves: none of their children failed."""
        failed = [span for span in self.trace.spans if span.is_error]
        passed_on = {span.parent_span_id for span in failed}
        return [span for span in failed if span.span_id not in passed_on]

    @cached_property
    def answer(self) -> Span | None:
        """The last model call that gave a text."""
        return next((s for s in reversed(self.llm) if (completion(s) or "").strip()), None)


def calls_of(span: Span, turn: int = 0) -> Iterator[ToolCallRef]:
    """The tool calls in the answer of one model call."""
    for i, message in enumerate(span.output_messages):
        for j, call in enumerate(message.tool_calls):
            yield ToolCallRef(turn, span, f"output_messages.{i}.tool_calls.{j}", call)


def tool_name(span: Span) -> str:
    """The name of the tool that a TOOL span ran."""
    return span.tool_name or span.name or UNNAMED


def run_of_span(span: Span, order: int) -> ToolRun:
    """The step that a TOOL span records."""
    return ToolRun(
        order=order,
        span=span,
        tool=tool_name(span),
        arguments=TextRef(span, "input", span.input),
        output=TextRef(span, "output", span.output),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        failed=span.is_error or is_envelope(span.output),
    )


def run_of_call(call: ToolCallRef, answer: TextRef, order: int) -> ToolRun:
    """The step between a model's call and the tool message that answers it."""
    return ToolRun(
        order=order,
        span=call.span,
        tool=call.tool,
        arguments=call.arguments,
        output=answer,
        start=call.span.end_time_unix_nano,
        end=answer.span.start_time_unix_nano,
        failed=is_envelope(answer.text),
    )


def remembering_last(make: Callable[[Trace], TraceIndex]) -> Callable[[Trace], TraceIndex]:
    """Keep the reading of the latest trace: detectors run one after another over the same one."""
    last: TraceIndex | None = None

    def remembered(trace: Trace) -> TraceIndex:
        nonlocal last
        kept = last
        if kept is None or kept.trace is not trace:
            kept = last = make(trace)
        return kept

    return remembered


read = remembering_last(TraceIndex)
