"""Where the failures of a trace arose, as opposed to the spans that they passed on their way up."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import takewhile

from halo_engine.detectors.span_text import completion_text, error_line, error_text, is_llm
from halo_engine.schema import Span, SpanKind, StatusCode, Trace

# The words of an error's line, by which it is recognised in the text of a span above.
WORD = re.compile(r"\w{2,40}")
# Only this many characters of the error of a span above are searched.
SEARCHED = 4000
# An error passed through a span that repeats so large a share of its words.
REPEATED = 0.6


def copied_errors(trace: Trace) -> frozenset[str]:
    """The ids of spans whose status ERROR is that of another step, and which did not fail.

    OpenInference's processors for the Vercel AI SDK (2.8.1 and 3.2.1) give every span that ends
    after a failed tool the tool's status and message. That they did is seen where a later model call
    answered and has them; then the spans above are no more proof of a failure.
    """
    tools = {
        message: span
        for span in trace.spans
        if span.kind is SpanKind.TOOL and (message := bare_error(span))
    }
    if not tools:
        return frozenset()
    copied = {
        message
        for span in trace.spans
        if is_llm(span) and (message := bare_error(span)) in tools and answered(span)
    }
    return frozenset(
        span.span_id
        for span in trace.spans
        if (message := bare_error(span)) in copied and span is not tools[message]
    )


def bare_error(span: Span) -> str | None:
    """The message of a status ERROR that no exception of the span explains."""
    is_bare = span.status.code is StatusCode.ERROR and not span.exceptions
    return span.status.message if is_bare else None


def answered(span: Span) -> bool:
    """Whether a model call has an answer: a text, or calls of tools."""
    calls = any(message.tool_calls for message in span.output_messages)
    return calls or bool((completion_text(span) or "").strip())


def origins_of_errors(trace: Trace, is_failure: Callable[[Span], bool]) -> list[Span]:
    """The failed spans in which a failure arose, in the order of the trace.

    A failed span above another passed its failure on if it is the parent, or repeats the error. A
    span that says nothing, such as that of an HTTP request, is told by the call above it.
    """
    failed = [span for span in trace.spans if is_failure(span)]
    passed: set[str] = set()
    for span in failed:
        for above in trace.ancestors(span):
            if above.span_id not in passed and is_failure(above):
                is_parent = above.span_id == span.parent_span_id
                passed.update([above.span_id] if is_parent or repeats(above, span) else [])
    origins = (span for span in failed if span.span_id not in passed)
    told = {id(teller): teller for teller in (told_by(trace, span, is_failure) for span in origins)}
    return list(told.values())


def told_by(trace: Trace, span: Span, is_failure: Callable[[Span], bool]) -> Span:
    """The nearest of ``span`` and the failed spans right above it that says what failed."""
    failed = takewhile(is_failure, [span, *trace.ancestors(span)])
    return next(filter(error_text, failed), span)


def repeats(above: Span, span: Span) -> bool:
    """Whether the error of ``above`` is that of ``span``, or says nothing of its own."""
    text = error_text(above)[:SEARCHED]
    words = set(WORD.findall(error_line(error_text(span)).lower()))
    if not text or not words:
        return True
    return len(words & set(WORD.findall(text.lower()))) >= REPEATED * len(words)
