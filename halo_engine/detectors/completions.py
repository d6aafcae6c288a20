"""Detectors of truncated, filtered, refused, empty and malformed completions (D15 to D19)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from halo_engine.detectors.base import Corpus, Detector, Outcome, Signal, detector
from halo_engine.detectors.citations import cite, cite_error, cite_identity
from halo_engine.detectors.finish_reasons import Finish, finish_of
from halo_engine.detectors.run_outcome import Ending
from halo_engine.detectors.settings import Threshold
from halo_engine.detectors.span_text import (
    completion_field,
    completion_text,
    error_line,
    error_text,
    has_tool_calls,
    holds_any,
    invocation_parameters,
    is_llm,
    parses_as_json,
    plain_apostrophes,
)
from halo_engine.detectors.tool_runs import TextRef
from halo_engine.detectors.trace_index import TraceIndex
from halo_engine.findings import Citation, Severity
from halo_engine.schema import Span, Trace

NO_LLM = "no LLM spans"
NO_ANSWERS = "no model output recorded"

LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")

REFUSAL_HEAD = 300  # characters at the beginning of an answer in which a refusal is searched
MIN_REPEATED = 4  # characters; "..." and "ok" are answers


@detector(
    id="D15",
    failure_mode="output_malformed",
    severity=Severity.MEDIUM,
    title="The model's answer is cut at the token limit",
    recommendation=(
        "Raise the limit of output tokens, ask for shorter answers, or continue a cut answer; "
        "never parse or show one as if it were whole."
    ),
    # So low a limit was set on purpose: truncation is then intended.
    threshold=Threshold(
        default=512,
        counts="limit of output tokens up to which a truncated answer has severity low",
        unit="tokens",
        minimum=0,
    ),
    reads_texts=False,
)
def truncated_output(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """The model stopped for length. Severity low where the token limit is at most the threshold.

    Without a finish reason, an answer as long as the limit of the call counts as truncated.
    """
    trace = index.trace
    judged = [span for span in index.llm_spans if can_judge_length(span)]
    if not judged:
        yield detector.not_applicable(trace, missing_finish(index))
    for span in judged:
        if is_truncated(span):
            name, limit = limit_given(span) or ("", None)
            small = limit is not None and limit <= detector.limit
            severity = Severity.LOW if small else detector.severity
            reason = "the answer was cut" + (f" at {limit} tokens ({name})" if limit else "")
            yield detector.signal(trace, span, reason, finish_quotes(span), severity=severity)


def missing_finish(index: TraceIndex) -> str:
    """Why the end of the model's answers cannot be judged."""
    return "no finish reason recorded" if index.llm_spans else NO_LLM


def can_judge_length(span: Span) -> bool:
    """Whether the span records why its answer ended, or its length and its limit in tokens."""
    if span.finish_reason:
        return True
    return span.usage.completion_tokens is not None and limit_given(span) is not None


def is_truncated(span: Span) -> bool:
    """Whether the answer ended for length."""
    if span.finish_reason:
        return finish_of(span) is Finish.LENGTH
    limit = limit_given(span) if span.usage.completion_tokens else None
    return limit is not None and span.usage.completion_tokens == limit[1]


def limit_given(span: Span) -> tuple[str, int] | None:
    """The limit of output tokens in the parameters of the call, with its name there."""
    given = invocation_parameters(span)
    for name in LIMITS:
        if type(given.get(name)) is int:
            return name, given[name]
    limit = span.attributes.get("gen_ai.request.max_tokens")
    return ("max_tokens", limit) if type(limit) is int else None


def finish_quotes(span: Span) -> Iterator[Citation]:
    """Quote why the answer ended, and its last 100 characters."""
    quotes = list(cite(span, "finish_reason")) or list(cite(span, "usage.completion_tokens"))
    text, field = completion_text(span), completion_field(span)
    if text and field and not has_tool_calls(span):
        quotes += cite(span, field, max(0, len(text) - 100))
    yield from quotes


@detector(
    id="D16",
    failure_mode="unwarranted_refusal",
    severity=Severity.MEDIUM,
    title="The provider's content filter blocks the answer",
    recommendation=(
        "Look at what was blocked: rephrase prompts and tool results that trigger the filter, "
        "adjust its thresholds where the provider allows, and give the user a clear answer."
    ),
    reads_texts=False,
)
def content_filter(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """The model's finish reason is a content filter, safety, or the provider's refusal."""
    trace = index.trace
    judged = [span for span in index.llm_spans if span.finish_reason]
    if not judged and index.outcome.ending is not Ending.FILTERED:
        yield detector.not_applicable(trace, missing_finish(index))
    for span in judged:
        if finish_of(span) is Finish.FILTERED:
            reason = f"the answer ended with {span.finish_reason}"
            yield detector.signal(trace, span, reason, cite(span, "finish_reason"))
    cause = index.outcome.cause if index.outcome.ending is Ending.FILTERED else None
    if cause and finish_of(cause) is not Finish.FILTERED:
        reason = f"the provider withheld the answer: {error_line(error_text(cause))}"
        yield detector.signal(trace, cause, reason, cite_error(cause))


# Refusals of the request as such. "I cannot cancel a delivered order" is an answer.
REFUSAL = re.compile(
    r"(?i)\bi(?:'m| am) (?:really |very )?(?:sorry|afraid)[^.!?\n]{0,20}\bi "
    r"(?:can(?:'t|not| not)|am unable to|won't) (?:help|assist|comply|do that|answer that)\b"
    r"|\bi(?: can(?:'t|not| not)| won't|(?: am|'m) (?:unable|not able) to) (?:help|assist)"
    r"(?: you)?(?: with)? (?:that|this|your request|the request)\b"
    r"|\bi (?:must|have to) (?:decline|refuse)\b"
    r"|\bi can(?:'t|not) (?:comply with|fulfil+|complete|engage (?:in|with)) (?:that|this|your)\b"
    r"|\bas an ai(?: language model| assistant)?,? i (?:can(?:'t|not)|am unable|don't)"
    r"|\b(?:against|violates?) (?:my|our|openai's) (?:guidelines|content polic|usage polic)"
)

# One is in each match.
REFUSAL_WORDS = (
    *("can't", "cannot", "can not", "won't", "unable", "not able", "must", "have to"),
    *("against", "violate", "as an ai"),
)


@detector(
    id="D17",
    failure_mode="unwarranted_refusal",
    severity=Severity.LOW,
    title="The agent ends with a refusal",
    recommendation=(
        "Read the quoted requests. Where they were allowed, state that in the system prompt, with "
        "an example, and give the agent the tool that it lacked."
    ),
)
def refusal_phrase(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """The run's last answer begins with a phrase of refusal and calls no tool: a candidate only."""
    trace, answer = index.trace, refusable_answer(index)
    if answer is None:
        yield detector.not_applicable(trace, NO_ANSWERS if index.llm_spans else NO_LLM)
        return
    head = plain_apostrophes((answer.text or "").lstrip()[:REFUSAL_HEAD])
    if holds_any(REFUSAL_WORDS, head.lower()) and (found := REFUSAL.search(head)):
        reason = f"the last answer refuses: {found.group()}"
        yield detector.signal(trace, answer.span, reason, answer.cite())


def refusable_answer(index: TraceIndex) -> TextRef | None:
    """The last words of a model; where it answers by a call of a tool, those of the run."""
    span = index.last_call
    if span and has_tool_calls(span):
        return index.outcome.answer
    text, field = (completion_text(span), completion_field(span)) if span else (None, None)
    if span and field and (text or "").strip():
        return TextRef(span, field, text)
    return index.outcome.answer if span else None


@detector(
    id="D18",
    failure_mode="output_malformed",
    severity=Severity.MEDIUM,
    title="The model answers nothing",
    recommendation=(
        "Look at what the model was given last: a tool that returned nothing needs a result that "
        "says so. Retry an empty answer once, check stop sequences, token limits and message format, "
        "and never hand an empty text to the next step."
    ),
    reads_texts=False,
)
def empty_completion(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """An LLM span without error, text, tool call and reasoning, or with one repeated character.

    An answer that a tool runs after was a call, which was not recorded as one.
    """
    trace, outcome = index.trace, index.outcome
    empty = [
        span
        for span, text in index.completions
        if is_empty_answer(span, text) and not has_tool_calls(span) and not has_reasoning(span)
    ]
    if outcome.ending is Ending.EMPTY and outcome.shown_by and not is_llm(outcome.shown_by.span):
        span = outcome.shown_by.span
        yield detector.signal(trace, span, "the run's answer is empty", cite_identity(span))
    elif not any(is_judged_for_emptiness(index, span) for span in reversed(index.llm_spans)):
        yield detector.not_applicable(trace, NO_ANSWERS if index.llm_spans else NO_LLM)
    for span in empty:
        if is_judged_for_emptiness(index, span):
            field = completion_field(span)
            quotes = [*cite(span, "usage.completion_tokens"), *(cite(span, field) if field else ())]
            yield detector.signal(trace, span, "the answer is empty", quotes or cite_identity(span))


def is_judged_for_emptiness(index: TraceIndex, span: Span) -> bool:
    """Whether the answer of a model call is recorded, and may not be a call of a tool."""
    asked = finish_of(span) in (Finish.TOOL_CALLS, Finish.MALFORMED_CALL, Finish.ERROR)
    failed = index.is_failure(span) or asked
    return not failed and has_answer_field(span) and not index.tool_runs_after(span)


def has_answer_field(span: Span) -> bool:
    """Whether the span records the text or the number of tokens of the answer."""
    return completion_text(span) is not None or span.usage.completion_tokens is not None


def is_empty_answer(span: Span, text: str | None) -> bool:
    """Whether the answer ``text`` is empty; where it was not recorded, whether it has 0 tokens."""
    if text is None:
        return span.usage.completion_tokens == 0
    text = text.strip()
    if not text or text[0] != text[-1]:
        return not text
    repeated = len(text) >= MIN_REPEATED and text == text[0] * len(text)
    return repeated and not text[0].isdigit()


def has_reasoning(span: Span) -> bool:
    """Whether the span records reasoning: its tokens, or its text."""
    return any("reasoning" in key and bool(value) for key, value in span.attributes.items())


@detector(
    id="D19",
    failure_mode="output_malformed",
    severity=Severity.MEDIUM,
    title="The model's structured answer does not parse",
    recommendation=(
        "Use the provider's structured output with a schema, raise the token limit if answers are "
        "cut, and repair or retry before the answer is used."
    ),
)
def broken_structured_output(
    index: TraceIndex, corpus: Corpus, detector: Detector
) -> Iterator[Outcome]:
    """An answer that begins as JSON, or was requested as JSON, and does not parse.

    Severity low where neither the request nor another answer shows that it should be JSON.
    An answer that the model stopped for length is left to ``truncated_output``.
    """
    trace = index.trace
    judged = [(span, text) for span, text in index.completions if text and text.strip()]
    if not judged:
        yield detector.not_applicable(trace, NO_ANSWERS if index.llm_spans else NO_LLM)
    for span, text in judged:
        if not has_tool_calls(span):
            error = json_error(text, required=requests_json(span))
            if error is not None and not is_truncated(span):
                is_meant = requests_json(span) or any(answers_in_json(each) for _, each in judged)
                severity = detector.severity if is_meant else Severity.LOW
                yield malformed_json(trace, detector, span, error, severity)


def malformed_json(
    trace: Trace, detector: Detector, span: Span, error: json.JSONDecodeError, severity: Severity
) -> Signal:
    """The signal for the answer of ``span``, which should be JSON and does not parse."""
    text, field = completion_text(span) or "", completion_field(span) or "output"
    at = max(0, min(error.pos, len(text) - 1) - 100)
    quotes = [*cite(span, field, 0, 100), *cite(span, field, at, at + 200)]
    reason = f"the answer is not JSON: {error}"
    return detector.signal(trace, span, reason, quotes, severity=severity)


def answers_in_json(text: str) -> bool:
    """Whether an answer is a JSON object or array."""
    return JSON_START.match(text) is not None and parses_as_json(text.strip())


# How a JSON text begins, and prose does not: "[1] states" and "{name}, hello" are prose.
JSON_START = re.compile(r"\s*(?:\{|\[\s*\{|\[)\s*\"")
FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*)\n\s*```\s*\Z", re.DOTALL)
JSON_FORMATS = frozenset({"json_object", "json_schema", "json"})


def requests_json(span: Span) -> bool:
    """Whether the call requested an answer in JSON (``response_format``)."""
    requested = invocation_parameters(span).get("response_format")
    kind = requested.get("type") if isinstance(requested, dict) else requested
    return isinstance(kind, str) and kind in JSON_FORMATS


def json_error(text: str, *, required: bool) -> json.JSONDecodeError | None:
    """The error in a JSON answer, None if it parses or is not meant to be JSON.

    Prose after a complete JSON value is an error only where JSON was ``required``; a code fence
    around the value never is.
    """
    if not required and not JSON_START.match(text):
        return None
    fenced = FENCE.match(text) if required else None
    body = fenced.group(1) if fenced else text.strip()
    if parses_as_json(body):
        return None
    try:
        json.loads(body) if required else json.JSONDecoder().raw_decode(body)
    except json.JSONDecodeError as error:
        return error
    except (RecursionError, ValueError):
        return None
    return None
