"""The derived views of one trace: model calls, tool calls, tool runs, their answers, the errors."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Iterator, Set
from functools import cached_property
from itertools import pairwise
from operator import itemgetter

from msgspec import structs

from halo_engine.detectors.control_flow import DEFERRED, ControlFlow, control_flows
from halo_engine.detectors.errors_in_trace import copied_errors, origins_of_errors
from halo_engine.detectors.span_text import completion_text, has_tool_calls, is_llm
from halo_engine.detectors.tool_names import is_same_tool, reads_only
from halo_engine.detectors.tool_runs import (
    TextRef,
    ToolCallRef,
    ToolRun,
    earlier_calls,
    run_of_call,
    run_of_span,
    tool_calls_of,
    tool_name,
)
from halo_engine.schema import Message, Span, SpanKind, StatusCode, ToolDefinition, Trace

# Kinds of spans that pass on what a span below them answers.
WRAPPERS = frozenset({SpanKind.AGENT, SpanKind.CHAIN})


class TraceViews:
    """The derived views of one trace that rules share, each computed at its first use."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace

    @cached_property
    def llm_spans(self) -> list[Span]:
        """The LLM spans, in order; of one call that two instrumentations record, the fuller one.

        SDKs of providers trace themselves by now, without content, inside or beside the span of an
        instrumentation.
        """
        spans = [span for span in self.trace.spans if span.kind is SpanKind.LLM]
        if all(map(records_what_was_said, spans)):
            return spans
        full = {span.span_id for span in spans if records_what_was_said(span)}
        told = {response_id(span) for span in spans if span.span_id in full} - {None}
        return [
            span
            for span in spans
            if span.span_id in full
            or not (span.parent_span_id in full or response_id(span) in told)
        ]

    @cached_property
    def completions(self) -> list[tuple[Span, str | None]]:
        """Each model call with the text of its answer, None where that was not recorded."""
        return [(span, completion_text(span)) for span in self.llm_spans]

    @cached_property
    def last_call(self) -> Span | None:
        """The last model call; of one around another, the inner one."""
        return self.llm_spans[-1] if self.llm_spans else None

    @cached_property
    def agent_spans(self) -> list[Span]:
        """The AGENT and CHAIN spans, in order."""
        return [
            span
            for span in self.trace.spans
            if span.kind is SpanKind.AGENT or span.kind is SpanKind.CHAIN
        ]

    @cached_property
    def tool_calls(self) -> list[ToolCallRef]:
        """The tool calls that models requested, in order.

        Where one LLM span wraps another, the call that both record counts once. Equal ids alone do
        not show that: a cached answer repeats its ids. Where each model call is a trace of its own,
        the last one holds the run in its messages: then the calls since the user's last words.
        """
        every = [
            call for turn, span in enumerate(self.llm_spans) for call in tool_calls_of(span, turn)
        ]
        if not every and len(self.llm_spans) == 1 and not self.has_tool_kind:
            return list(earlier_calls(self.llm_spans[0]))
        known = {(call.span.span_id, call.requested.id) for call in every if call.requested.id}
        every = [c for c in every if (c.span.parent_span_id, c.requested.id) not in known]
        told = list(self._calls_told_later({call.requested.id for call in every}))
        return sorted([*every, *told], key=lambda call: call.turn) if told else every

    @cached_property
    def has_tool_kind(self) -> bool:
        """Whether a span is of the kind TOOL."""
        return any(span.kind is SpanKind.TOOL for span in self.trace.spans)

    def _calls_told_later(self, known: Set[str | None]) -> Iterator[ToolCallRef]:
        """The calls with an id that no answer records, but the messages of the next model call."""
        told = set(known)
        for turn, (before, span) in enumerate(pairwise(self.llm_spans)):
            if has_tool_calls(before):
                continue
            earlier = [call for call in earlier_calls(span) if call.requested.id]
            given = {c.id for m in before.input_messages for c in m.tool_calls} if earlier else ()
            for call in earlier:
                if call.requested.id not in told and call.requested.id not in given:
                    told.add(call.requested.id)
                    yield structs.replace(call, turn=turn, span=before, told_by=span)

    @cached_property
    def tool_spans(self) -> list[Span]:
        """The spans of tool runs: TOOL spans, and spans without a kind that have a tool's name.

        A TOOL span inside another of the same tool is the same run, wrapped.
        """
        return list(self._tool_twins[0])

    @cached_property
    def _tool_twins(self) -> tuple[list[Span], dict[str, list[Span]]]:
        """The outermost span of each tool run, and by its id those of the same run inside."""
        outer: list[Span] = []
        run_ids: dict[str, str] = {}
        inside: dict[str, list[Span]] = defaultdict(list)
        for span in filter(self.is_tool, self.trace.spans):
            around = self._tool_around(span)
            if around and is_same_tool(tool_name(around), tool_name(span)):
                run_ids[span.span_id] = run_ids.get(around.span_id, around.span_id)
                inside[run_ids[span.span_id]].append(span)
            else:
                outer.append(span)
        return outer, inside

    def _tool_around(self, span: Span) -> Span | None:
        """The tool's span around ``span``, with nothing but spans of transport between."""
        above = self.trace.by_id.get(span.parent_span_id or "")
        if above is None or self.is_tool(above):
            return above
        if above.kind is not None and above.kind is not SpanKind.UNKNOWN:
            return None
        outer = self.trace.by_id.get(above.parent_span_id or "")
        return outer if outer and self.is_tool(outer) else None

    def is_tool(self, span: Span) -> bool:
        """Whether the span records the run of a tool.

        Decorators that are not told what a function is record it as a span without a kind or as a
        step.
        """
        if span.kind is SpanKind.TOOL:
            return True
        if span.kind is None or span.kind is SpanKind.UNKNOWN:
            return span.name in self.tool_names
        return span.kind is SpanKind.CHAIN and span.name in self.called_names

    @cached_property
    def called_names(self) -> set[str]:
        """The names of the tools that models called."""
        return {call.requested.name for call in self.tool_calls if call.requested.name}

    @cached_property
    def tool_names(self) -> set[str]:
        """Every name of a tool that was declared to a model or called by it."""
        declared = {tool.name for span in self.llm_spans for tool in span.tools if tool.name}
        return declared | self.called_names

    @cached_property
    def _declares_tools(self) -> bool:
        """Whether any span declares tools."""
        return any(span.tools for span in self.trace.spans)

    def declared_tools(self, call: ToolCallRef) -> tuple[ToolDefinition, ...]:
        """The tools that were declared for ``call``: on its LLM span, else on the nearest above."""
        if call.span.tools or not self._declares_tools:
            return call.span.tools
        return next((span.tools for span in self.trace.ancestors(call.span) if span.tools), ())

    @cached_property
    def schemas_of_runs(self) -> dict[str, ToolDefinition]:
        """Tool -> its definition as the spans of its runs record it."""
        return {tool_name(s): s.tools[0] for s in self.tool_spans if len(s.tools) == 1}

    @cached_property
    def answers(self) -> dict[str, list[tuple[int, TextRef]]]:
        """Tool-call id -> the tool messages that answer it, the last one of each turn."""
        found: dict[str, dict[int, TextRef]] = defaultdict(dict)
        for turn, span in enumerate(self.llm_spans):
            for index, message in enumerate(span.input_messages):
                if message.tool_call_id:
                    field = f"input_messages.{index}.content"
                    answer = TextRef(span, field, message.content, message)
                    found[message.tool_call_id][turn] = answer
        return {call_id: list(by_turn.items()) for call_id, by_turn in found.items()}

    def answer_to(self, call: ToolCallRef) -> TextRef | None:
        """The first tool message after the call that answers it."""
        answers = self.answers.get(call.requested.id or "", [])
        after = bisect_right(answers, call.turn, key=itemgetter(0))
        return answers[after][1] if after < len(answers) else None

    def has_answer(self, call: ToolCallRef) -> bool:
        """Whether a later tool message answers the call, or, naming no call, may do so."""
        return self.answer_to(call) is not None or call.turn < self._last_unnamed_answer

    @cached_property
    def _last_unnamed_answer(self) -> int:
        """The last turn whose model was given a tool message that names no call."""
        turns = (
            turn
            for turn, span in enumerate(self.llm_spans)
            if any(m.role == "tool" and not m.tool_call_id for m in span.input_messages)
        )
        return max(turns, default=-1)

    @cached_property
    def calls_that_ran(self) -> dict[str, ToolCallRef]:
        """Id of a tool's span -> the model's call that it runs.

        It is the call with the id that the span names, of several calls with one id the next one;
        else the next one of the tool.
        """
        if not self.tool_calls:
            return {}
        inside = self._tool_twins[1]
        by_id: dict[str, deque[ToolCallRef]] = defaultdict(deque)
        for call in self.tool_calls:
            by_id[call.requested.id or ""].append(call)
        found: dict[str, ToolCallRef] = {}
        for span in self.tool_spans:
            ids = (twin.tool_call_id for twin in (span, *inside.get(span.span_id, ())))
            if same_id := next((by_id[i] for i in ids if i and i in by_id), None):
                # a call that is run again keeps its id
                found[span.span_id] = same_id.popleft() if len(same_id) > 1 else same_id[0]
        named = {id(call) for call in found.values()}
        waiting: dict[str, deque[ToolCallRef]] = defaultdict(deque)
        for call in self.tool_calls:
            if id(call) not in named:
                waiting[call.tool].append(call)
        for span in self.tool_spans:
            queue = waiting.get(self.called_name(tool_name(span)))
            if span.span_id not in found and queue and start_of(queue[0].span) <= start_of(span):
                found[span.span_id] = queue.popleft()
        return found

    def called_name(self, tool: str) -> str:
        """The name under which models call a tool that runs as ``tool``, as far as they do."""
        if tool in self.tool_names:
            return tool
        return next((name for name in sorted(self.tool_names) if is_same_tool(tool, name)), tool)

    @cached_property
    def tool_runs(self) -> list[ToolRun]:
        """The runs of tools that returned or failed, in order of their start.

        Where tools have spans, a call that only a message answers ran if there is no span that may
        be its run: the runtime refused it.
        """
        runs = list(self._runs_with_spans())
        ran = {id(call) for call in self.calls_that_ran.values()}
        for call in self.tool_calls:
            answer = None if id(call) in ran else self.answer_to(call)
            if answer and not (self.tool_spans and self._may_have_a_span(call, answer)):
                runs.append(run_of_call(call, answer))
        if self.tool_spans and len(runs) > len(self.tool_spans):
            runs.sort(key=lambda run: run.start or 0)
        return [
            run if run.order == order else structs.replace(run, order=order)
            for order, run in enumerate(runs)
        ]

    def tool_runs_after(self, span: Span) -> bool:
        """Whether a tool runs after the model call ``span`` and before the next one."""
        run = next_after(self._run_starts, start_of(span))
        return run < math.inf and run < next_after(self._call_starts, start_of(span))

    @cached_property
    def _call_starts(self) -> list[int]:
        return sorted(map(start_of, self.llm_spans))

    @cached_property
    def _run_starts(self) -> list[int]:
        return sorted(map(start_of, self.tool_spans))

    def _runs_with_spans(self) -> Iterator[ToolRun]:
        """The runs that spans record, but for those that control flow ended."""
        inside = self._tool_twins[1]
        ran = [span for span in self.tool_spans if span.span_id not in self.control_flow]
        for order, span in enumerate(ran):
            twins = (span, *inside.get(span.span_id, ()))
            failure = next(filter(self.is_failure, twins if self.recorded_errors else ()), None)
            call = self.calls_that_ran.get(span.span_id)
            answer = self.answer_to(call) if call else None
            yield run_of_span(order, span, failure, call, answer)

    def _may_have_a_span(self, call: ToolCallRef, answer: TextRef) -> bool:
        """Whether a tool's span without a call began between the call and its answer."""
        times = self._starts_without_call
        first = bisect_left(times, start_of(call.span))
        return first < len(times) and times[first] <= start_of(answer.span)

    @cached_property
    def _starts_without_call(self) -> list[int]:
        alone = (span for span in self.tool_spans if span.span_id not in self.calls_that_ran)
        return sorted(map(start_of, alone))

    @cached_property
    def user_turns(self) -> list[tuple[int, str]]:
        """When a model was called to answer a user, with the user's words, in order."""
        ends = ((start_of(span), last_message(span)) for span in self.llm_spans)
        turns = ((start, m.content) for start, m in ends if m and m.role == "user")
        return sorted((start, content or "") for start, content in turns)

    def said_between(self, before: ToolRun, run: ToolRun) -> list[str]:
        """What users said between two runs."""
        first = bisect_left(self.user_turns, before.end or 0, key=itemgetter(0))
        last = bisect_right(self.user_turns, run.start or 0, key=itemgetter(0))
        return [words for _, words in self.user_turns[first:last]]

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
    def recorded_errors(self) -> list[Span]:
        """The spans that are recorded as failed, in order: none of most traces."""
        return [span for span in self._suspects if span.is_error]

    @cached_property
    def _suspects(self) -> list[Span]:
        """The spans that may be recorded as failed or put off."""
        return [
            span
            for span in self.trace.spans
            if span.status.code is StatusCode.ERROR or span.events or DEFERRED in span.attributes
        ]

    @cached_property
    def control_flow(self) -> dict[str, ControlFlow]:
        """Span id -> control flow, for the spans recorded as errors that are no failures."""
        return control_flows(self._suspects)

    @cached_property
    def copied_errors(self) -> frozenset[str]:
        """The ids of the spans whose status ERROR is that of another step."""
        return copied_errors(self.trace) if self.recorded_errors else frozenset()

    def is_failure(self, span: Span) -> bool:
        """Whether the span is recorded as failed, not by control flow nor with another's status."""
        return (
            bool(self.recorded_errors)
            and span.is_error
            and span.span_id not in self.control_flow
            and span.span_id not in self.copied_errors
        )

    @cached_property
    def error_spans(self) -> list[Span]:
        """The failed spans where an error arose, not where it passed."""
        return origins_of_errors(self.trace, self.is_failure) if self.recorded_errors else []

    @cached_property
    def top(self) -> Span | None:
        """The root, or, where none was recorded, the first span without a recorded parent."""
        tops = (s for s in self.trace.spans if s.parent_span_id not in self.trace.by_id)
        return self.trace.root or next(tops, None)

    @cached_property
    def is_cancelled(self) -> bool:
        """Whether the run as a whole, or its last model call, was cancelled."""
        if not self.control_flow:
            return False
        ends = [self.trace.root, *self.llm_spans[-1:]]
        return any(
            self.control_flow.get(span.span_id) is ControlFlow.CANCELLED for span in ends if span
        )

    @cached_property
    def is_paused(self) -> bool:
        """Whether the run waits: it was paused, and no model call began after that."""
        if ControlFlow.PAUSED not in self.control_flow.values():
            return False
        kinds = [(self.control_flow.get(span.span_id), is_llm(span)) for span in self.trace.spans]
        last = next((k for k, calls in reversed(kinds) if calls or k is ControlFlow.PAUSED), None)
        return last is ControlFlow.PAUSED


def last_message(span: Span) -> Message | None:
    """The last message that a model was given, but for instructions."""
    given = (m for m in reversed(span.input_messages) if m.role not in ("system", "developer"))
    return next(given, None)


def start_of(span: Span) -> int:
    """The start of a span, 0 where it was not recorded."""
    return span.start_time_unix_nano or 0


def next_after(times: list[int], time: int) -> float:
    """The first of the sorted ``times`` after ``time``; infinite where there is none."""
    at = bisect_right(times, time)
    return times[at] if at < len(times) else math.inf


def records_what_was_said(span: Span) -> bool:
    """Whether a model call records what was said."""
    return bool(span.input_messages or span.output_messages or span.input or span.output)


def response_id(span: Span) -> str | None:
    """The id that the provider gave to its answer."""
    found = span.attributes.get("gen_ai.response.id")
    return found if isinstance(found, str) else None
