"""Answers of a model that are cut, blocked, refused, empty or broken (D15 to D19)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from halo_engine.detectors.base import Corpus, Detector, Outcome, cite, detector
from halo_engine.detectors.span_text import (
    asks_for_tools,
    completion,
    completion_field,
    invocation_parameters,
    is_json,
    plain_apostrophes,
)
from halo_engine.detectors.trace_index import identity, read
from halo_engine.findings import Citation, Severity
from halo_engine.schema import Span, Trace

NO_LLM = "no LLM spans"
NO_ANSWERS = "no model output recorded"

TRUNCATED = frozenset({"length", "max_tokens", "max_output_tokens"})
FILTERED = frozenset(
    {"content_filter", "content_filtered", "safety", "refusal", "prohibited_content", "blocklist"}
)
# A limit this low was set on purpose: being cut is then the design.
SMALL_LIMIT = 512
LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")

REFUSAL_HEAD = 300
MIN_REPEATED = 4


@detector(
    id="D15",
    failure_mode="output_malformed",
    severity=Severity.MEDIUM,
    title="The model's answer is cut at the token limit",
    recommendation=(
        "Raise the limit of output tokens, ask for shorter answers, or continue a cut answer; "
        "never parse or show one as if it were whole."
    ),
)
def truncated_output(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """The model stopped for length. Low where the limit is at most 512 tokens.

    Without a finish reason, an answer as long as the limit of the call counts as cut.
    """
    judged = [span for span in read(trace).llm if can_judge_length(span)]
    if not judged:
        yield rule.not_applicable(trace, missing_finish(trace))
    for span in judged:
        if is_cut(span):
            limit = token_limit(span)
            small = limit is not None and limit <= SMALL_LIMIT
            severity = Severity.LOW if small else rule.severity
            reason = "the answer was cut" + (f" at {limit} tokens" if limit else "")
            yield rule.signal(trace, span, reason, finish_quotes(span), severity=severity)


def missing_finish(trace: Trace) -> str:
    """Why the end of the model's answers cannot be judged."""
    return "no finish reason recorded" if read(trace).llm else NO_LLM


def can_judge_length(span: Span) -> bool:
    """Whether the span says why its answer ended, or how long it was and could be."""
    tokens, limit = span.usage.completion_tokens, token_limit(span)
    return bool(span.finish_reason) or (tokens is not None and limit is not None)


def is_cut(span: Span) -> bool:
    """Whether the answer ended for length."""
    if span.finish_reason:
        return span.finish_reason.lower() in TRUNCATED
    tokens = span.usage.completion_tokens
    return bool(tokens) and tokens == token_limit(span)


def token_limit(span: Span) -> int | None:
    """The limit of output tokens that the call asked for."""
    given = invocation_parameters(span)
    limits = [given.get(key) for key in LIMITS]
    limits.append(span.attributes.get("gen_ai.request.max_tokens"))
    return next((limit for limit in limits if type(limit) is int), None)


def finish_quotes(span: Span) -> Iterator[Citation]:
    """Quote why the answer ended, and its last words."""
    quotes = list(cite(span, "finish_reason")) or list(cite(span, "usage.completion_tokens"))
    text, field = completion(span), completion_field(span)
    if text and field and not asks_for_tools(span):
        quotes += cite(span, field, max(0, len(text) - 100))
    yield from quotes


@detector(
    id="D16",
    failure_mode="unwarranted_refusal",
    severity=Severity.MEDIUM,
    title="The provider's content filter blocks the answer",
    recommendation=(
        "Look at what was blocked: rephrase prompts and tool results that set the filter off, "
        "adjust its thresholds where the provider allows, and give the user a clear answer."
    ),
)
def content_filter(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """The model's finish reason is a content filter, safety, or the provider's refusal."""
    judged = [span for span in read(trace).llm if span.finish_reason]
    if not judged:
        yield rule.not_applicable(trace, missing_finish(trace))
    for span in judged:
        if (span.finish_reason or "").lower() in FILTERED:
            reason = f"the answer ended with {span.finish_reason}"
            yield rule.signal(trace, span, reason, cite(span, "finish_reason"))


# Refusals of the request as such. "I cannot cancel a delivered order" is an answer, no refusal.
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


@detector(
    id="D17",
    failure_mode="unwarranted_refusal",
    severity=Severity.LOW,
    title="The agent ends with a refusal",
    recommendation=(
        "Read the quoted requests. Where they were allowed, say so in the system prompt, with an "
        "example, and give the agent the tool that it lacked."
    ),
)
def refusal_phrase(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """The run's last answer begins with a phrase of refusal and calls no tool: a candidate only."""
    span = read(trace).answer
    if span is None:
        yield rule.not_applicable(trace, NO_ANSWERS if read(trace).llm else NO_LLM)
        return
    head = plain_apostrophes((completion(span) or "").lstrip()[:REFUSAL_HEAD])
    found = REFUSAL.search(head)
    if found and not asks_for_tools(span) and span is read(trace).llm[-1]:
        reason = f"the last answer refuses: {found.group()}"
        yield rule.signal(trace, span, reason, cite(span, completion_field(span) or "output"))


@detector(
    id="D18",
    failure_mode="output_malformed",
    severity=Severity.MEDIUM,
    title="The model answers nothing",
    recommendation=(
        "Retry an empty answer once, check stop sequences, token limits and message format, and "
        "never hand an empty text to the next step."
    ),
)
def empty_completion(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """A model call without error, text, tool call and reasoning, or of one repeated character."""
    judged = [span for span in read(trace).llm if not span.is_error and has_answer_field(span)]
    if not judged:
        yield rule.not_applicable(trace, NO_ANSWERS if read(trace).llm else NO_LLM)
    for span in judged:
        if is_blank(span) and not asks_for_tools(span) and not has_reasoning(span):
            field = completion_field(span)
            quotes = [*cite(span, "usage.completion_tokens"), *(cite(span, field) if field else ())]
            yield rule.signal(trace, span, "the answer is empty", quotes or identity(span))


def has_answer_field(span: Span) -> bool:
    """Whether the span says what, or how much, the model answered."""
    return completion(span) is not None or span.usage.completion_tokens is not None


def is_blank(span: Span) -> bool:
    """Whether an answer holds nothing; where its text is not recorded, by its tokens."""
    text = completion(span)
    if text is None:
        return span.usage.completion_tokens == 0
    text = text.strip()
    repeated = len(text) >= MIN_REPEATED and text == text[0] * len(text)
    return not text or (repeated and not text[0].isdigit())


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
def broken_structured_output(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """An answer that begins as JSON, or was asked for as JSON, and breaks off or has a fault.

    An answer that the model stopped for length is left to ``truncated_output``.
    """
    judged = [span for span in read(trace).llm if (completion(span) or "").strip()]
    if not judged:
        yield rule.not_applicable(trace, NO_ANSWERS if read(trace).llm else NO_LLM)
    for span in judged:
        if not asks_for_tools(span) and not is_cut(span):
            yield from broken(trace, rule, span)


def broken(trace: Trace, rule: Detector, span: Span) -> Iterator[Outcome]:
    """The signal for an answer that should be JSON and is not."""
    text, field = completion(span) or "", completion_field(span) or "output"
    problem = json_fault(text, required=asks_for_json(span))
    if problem is not None:
        at = max(0, min(problem.pos, len(text) - 1) - 100)
        quotes = [*cite(span, field, 0, 100), *cite(span, field, at, at + 200)]
        yield rule.signal(trace, span, f"the answer is not JSON: {problem}", quotes)


# How a JSON text begins, and prose does not: "[1] says" and "{name}, hello" are prose.
JSON_START = re.compile(r"\s*(?:\{|\[\s*\{|\[)\s*\"")
FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*)\n\s*```\s*\Z", re.DOTALL)
JSON_FORMATS = frozenset({"json_object", "json_schema", "json"})


def asks_for_json(span: Span) -> bool:
    """Whether the call asked for its answer in JSON (``response_format``)."""
    wanted = invocation_parameters(span).get("response_format")
    kind = wanted.get("type") if isinstance(wanted, dict) else wanted
    return isinstance(kind, str) and kind in JSON_FORMATS


def json_fault(text: str, *, required: bool) -> json.JSONDecodeError | None:
    """Where a JSON answer breaks, None if it is whole, or if the text is not meant to be JSON.

    Prose after a whole JSON value is a fault only where JSON was ``required``; a code fence around
    the value never is.
    """
    if not required and not JSON_START.match(text):
        return None
    fenced = FENCE.match(text) if required else None
    body = fenced.group(1) if fenced else text.strip()
    if is_json(body):
        return None
    try:
        json.loads(body) if required else json.JSONDecoder().raw_decode(body)
    except json.JSONDecodeError as problem:
        return problem
    except (RecursionError, ValueError):
        return None
    return None
