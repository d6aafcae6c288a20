"""Tool calls that models request, the runs of the tools, and how two of them are compared."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import orjson
from msgspec import Struct

from halo_engine.detectors.citations import cite, cite_identity
from halo_engine.detectors.span_text import (
    decode_json,
    error_fields,
    error_line,
    error_text,
    is_error_result,
    json_or_none,
)
from halo_engine.findings import Citation
from halo_engine.schema import Message, Span, ToolCall
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


class TextRef(Struct, frozen=True):
    """A text of a trace, with its span and field, and the message that it is the content of."""

    span: Span
    field: str
    text: str | None
    message: Message | None = None

    def cite(self) -> Iterator[Citation]:
        """Quote the beginning of the text."""
        return cite(self.span, self.field)


class ToolCallRef(Struct, frozen=True):
    """A tool call requested by a model in the LLM span ``span``.

    It is recorded at ``field`` of that span, or of ``told_by``: a later model call that was given it.
    ``turn`` counts the LLM spans of the trace from 0, and is -1 for a call before the first of them.
    """

    turn: int
    span: Span
    field: str
    requested: ToolCall
    told_by: Span | None = None

    @property
    def tool(self) -> str:
        """The name of the tool, as the model wrote it."""
        return self.requested.name or UNNAMED

    @property
    def arguments(self) -> TextRef:
        """The arguments, as the model wrote them."""
        where = self.told_by or self.span
        return TextRef(where, f"{self.field}.arguments", self.requested.arguments)

    def cite(self) -> Iterator[Citation]:
        """Quote the name and the arguments."""
        yield from self.cite_member("name")
        yield from self.arguments.cite()

    def cite_member(self, member: str, start: int = 0) -> Iterator[Citation]:
        """Quote a member of the call from character ``start`` on."""
        yield from cite(self.told_by or self.span, f"{self.field}.{member}", start)


class ToolRun(Struct, frozen=True, dict=True):
    """One run of a tool.

    It is recorded by its TOOL span (``has_span``), or by the model's call and the tool message that
    answers it; ``span`` is then the LLM span of the call. ``call`` is the model's call where it is
    known. ``failure`` is the span that recorded the failure, where one did. ``order`` counts the
    runs of the trace from 0. ``start`` and ``end`` are nanoseconds since 1970.
    """

    order: int
    span: Span
    tool: str
    arguments: TextRef
    output: TextRef
    start: int | None
    end: int | None
    failed: bool
    has_span: bool = True
    call: ToolCallRef | None = None
    failure: Span | None = None

    @cached_property
    def key(self) -> tuple[str, str] | None:
        """Tool and canonical arguments, None where no arguments were recorded."""
        text = self.arguments.text
        return None if text is None else (self.tool, canonical_json(text))

    @cached_property
    def error(self) -> str:
        """The line of the failed run's error, or of its output, that names what failed."""
        return error_line(self.error_text)

    @property
    def error_text(self) -> str:
        """All that is recorded of why the run failed."""
        return (error_text(self.failure) if self.failure else "") or self.output.text or ""

    @cached_property
    def error_pattern(self) -> str:
        """``error`` with the values that the arguments hold masked: other calls have others."""
        values = argument_values(self.arguments.text, self.error)
        return values.sub(ANY, self.error) if values else self.error

    def cite(self) -> Iterator[Citation]:
        """Quote the arguments and the result, or, lacking both, the name."""
        quotes = [*self.arguments.cite(), *self.cite_result()]
        yield from quotes or cite_identity(self.span)

    def cite_result(self) -> Iterator[Citation]:
        """Quote the error of a failed run, else its output."""
        failure = self.failure
        field = next(error_fields(failure), None) if failure else None
        yield from cite(failure, field) if failure and field else self.output.cite()

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
        if self.output.text == other.output.text:
            return self.output.text is not None
        return self.result is not None and self.result == other.result

    def same_call(self, other: ToolRun) -> bool:
        """Whether both were called with recorded arguments, and with equal ones."""
        if self.arguments.text is None or self.tool != other.tool:
            return False
        return self.arguments.text == other.arguments.text or self.key == other.key

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


def argument_values(arguments: str | None, error: str) -> re.Pattern[str] | None:
    """A pattern for the texts and numbers of arguments that ``error`` holds; None without any.

    It takes milliseconds to compile, and most errors hold none.
    """
    texts = {str(value) for value in scalars_of(json_or_none(arguments))}
    known = sorted(filter(can_be_sought, texts))[:MAX_ARGUMENTS]
    sought = [text for text in known if text in error]
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


def tool_calls_of(span: Span, turn: int = 0) -> Iterator[ToolCallRef]:
    """The tool calls in the answer of one LLM span."""
    for i, message in enumerate(span.output_messages):
        for j, call in enumerate(message.tool_calls):
            yield ToolCallRef(turn, span, f"output_messages.{i}.tool_calls.{j}", call)


def earlier_calls(span: Span) -> Iterator[ToolCallRef]:
    """The tool calls that a model was told of, since the user's last words."""
    messages = list(enumerate(span.input_messages))
    users = (at for at, message in reversed(messages) if message.role == "user")
    for i, message in messages[next(users, -1) + 1 :]:
        for j, call in enumerate(message.tool_calls):
            yield ToolCallRef(-1, span, f"input_messages.{i}.tool_calls.{j}", call)


def tool_name(span: Span) -> str:
    """The name of the tool whose run ``span`` records."""
    return span.tool_name or span.name or UNNAMED


def run_of_span(
    order: int,
    span: Span,
    failure: Span | None,
    call: ToolCallRef | None,
    answer: TextRef | None,
) -> ToolRun:
    """The run that a TOOL span records, ``order`` among those with spans.

    Arguments and output that the span does not hold are those of the model's ``call`` and of the
    tool message that answers it.
    """
    arguments, output = TextRef(span, "input", span.input), TextRef(span, "output", span.output)
    if arguments.text is None and call:
        arguments = call.arguments
    if output.text is None and answer:
        output = answer
    return ToolRun(
        order=order,
        span=span,
        tool=tool_name(span),
        arguments=arguments,
        output=output,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        failed=failure is not None or bool(span.tool_error) or is_error_answer(output),
        call=call,
        failure=failure,
    )


def run_of_call(call: ToolCallRef, answer: TextRef) -> ToolRun:
    """The run between a model's call and the tool message that answers it."""
    return ToolRun(
        order=0,
        span=call.span,
        tool=call.tool,
        arguments=call.arguments,
        output=answer,
        start=answer.span.start_time_unix_nano if call.turn < 0 else call.span.end_time_unix_nano,
        end=answer.span.start_time_unix_nano,
        failed=is_error_answer(answer),
        has_span=False,
        call=call,
    )


def is_error_answer(answer: TextRef) -> bool:
    """Whether the result of a tool says, or is marked to say, that the call failed."""
    message = answer.message
    marked = message is not None and message.is_error is True
    return marked or is_error_result(answer.text)
