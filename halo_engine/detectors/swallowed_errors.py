"""Detector of swallowed errors: no failing ancestor and no answer reports them (D05)."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cache

import re2

from halo_engine.detectors.base import Corpus, Detector, Outcome, detector
from halo_engine.detectors.citations import cite_error
from halo_engine.detectors.span_text import (
    completion_text,
    error_line,
    error_text,
    is_llm,
    plain_apostrophes,
)
from halo_engine.detectors.tool_runs import TextRef, ToolRun, tool_calls_of
from halo_engine.detectors.trace_index import TraceIndex
from halo_engine.findings import Citation, Severity
from halo_engine.schema import Span, SpanKind, Trace
from halo_engine.text.unicode import valid_text

# An answer that mentions a failure does so near its beginning or its end.
SEARCHED = 4000  # characters at either end

# Parts of phrases in which an answer mentions a failure, in the languages of most agents. An honest
# agent must never be accused, so what may mean a failure counts.
MENTIONS = (
    *("an error", "the error", "this error", "some error", "internal error", "technical error"),
    *("error:", "error occur", "errors occur", "error while", "error when"),
    *("fail", "could not", "couldn't", "cannot", "can't", "did not", "didn't", "unable"),
    *("not able", "not yet", "not gone through", "not finding", "do not see", "don't see"),
    *("not been", "not complete", "not process", "not success", "not work", "not go through"),
    *("has not", "hasn't", "have not", "haven't", "was not", "wasn't", "were not", "weren't"),
    *("will not", "won't", "issue with", "escalat", "human agent", "colleague", "look into"),
    *("sorry", "apolog", "unfortunately", "unsuccessful", "went wrong", "try again", "timed out"),
    *("problem", "an issue", "the issue", "some issue", "issues", "trouble", "exception", "denied"),
    *("not found", "not available", "not possible", "unavailable", "invalid", "incorrect"),
    *("does not exist", "doesn't exist", "does not work", "doesn't work", "doesn't seem"),
    *("no result", "no record", "no match", "no account", "no such", "no luck", "unresolved"),
    *("rejected", "declined", "refused", "not recogni", "still pending", "still open"),
    *("fehler", "leider", "nicht", "konnte kein", "erreur", "désolé", "impossible", "n'a pas"),
    *("n'ai pas", "ne peu", "échou", "lo siento", "no pud", "no se pud", "no se ha", "errore"),
    *("purtroppo", "non è stato", "non ho", "erro ", "infelizmente", "não ", "helaas", "niet "),
    *("tyvärr", "desværre", "dessverre", "valitettavasti", "niestety", "bohužel", "sajnos"),
    *("din păcate", "maalesef", "к сожалению", "не удалось", "ошибк", "на жаль", "δυστυχώς"),
    *("maaf", "gagal", "xin lỗi", "không thể", "क्षमा", "माफ़", "للأسف", "عذر", "לצערי", "ขออภัย"),
    *(
        "抱歉",
        "无法",
        "無法",
        "失败",
        "失敗",
        "错误",
        "錯誤",
        "申し訳",
        "エラー",
        "できません",
        "できな",
    ),
    *("죄송", "실패", "오류", "못했"),
)
# An answer that paraphrases an error shares words with it. Words common to all answers do not count.
WORD = re.compile(r"[^\W\d]{4,40}")
COMMON = frozenset(
    {"error", "this", "that", "with", "from", "have", "been", "must", "should", "your"}
)
SHARED_WORDS = 2
ANSWERS_TO_ERROR = 2

# A failed span of these kinds is the result of a check, not an error.
CHECKING_KINDS = frozenset({SpanKind.GUARDRAIL, SpanKind.EVALUATOR})


@dataclass(frozen=True)
class UnhandledError:
    """An error below no failing span, at ``position`` among the spans of the trace.

    ``operation`` is equal for a later attempt at the same thing. ``pattern`` is the ``message``
    without the values that belong to this attempt.
    """

    position: int
    span: Span
    operation: Hashable
    tool: str | None
    message: str
    pattern: str
    quotes: tuple[Citation, ...]


@detector(
    id="D05",
    failure_mode="tool_error_mishandled",
    severity=Severity.HIGH,
    title="A failure of {tool} is not acknowledged: {message}",
    recommendation=(
        "Make the agent check every result before it answers: return errors as errors, instruct it "
        "to report what it could not do, and set the status of the run from its steps."
    ),
)
def swallowed_error(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """An error in a run that went on to an answer, which does not mention it.

    An error is handled when the same operation succeeds later, when a later text of the model
    mentions a failure, or when one of its next answers shares words with the error. A root without
    status is taken as one with OK: platforms do not keep the difference.
    """
    trace, answer = index.trace, index.outcome.answer
    if index.outcome.cause is None and answer is None:
        why = index.outcome.why or "the run has no answer"
        yield detector.not_applicable(trace, why)
    if answer is None:
        return
    unhandled = {(e.tool, e.message): e for e in unhandled_errors(index, answer)}
    for error in unhandled.values():
        reason = f"failed, and no later answer mentions it: {error.message}"
        quotes = [*error.quotes, *answer.cite()]
        yield detector.signal(
            trace,
            error.span,
            reason,
            quotes,
            tool=error.tool,
            error=error.pattern,
        )


def unhandled_errors(index: TraceIndex, answer: TextRef) -> list[UnhandledError]:
    """The exposed errors whose operation never succeeds later and that no answer mentions."""
    errors = exposed_errors(index)
    if not errors or mentions_failure(answer.text or ""):
        return []
    trace = index.trace
    succeeded = last_successes(index)
    answered = position_of_answer(trace, answer)
    left = [e for e in errors if succeeded.get(e.operation, -1) < e.position < answered]
    mentioned = last_mention(trace, min((e.position for e in left), default=len(trace.spans)))
    return unacknowledged(trace, [e for e in left if e.position > mentioned])


def position_of_answer(trace: Trace, answer: TextRef) -> int:
    """The position of the model call whose words the answer is; where there is none, the end.

    A run can end with what was said before its last steps.
    """
    said = (answer.text or "").strip()
    calls = (at for at in reversed(range(len(trace.spans))) if is_llm(trace.spans[at]))
    words = ((at, (completion_text(trace.spans[at]) or "").strip()) for at in calls)
    return next((at for at, text in words if text and text == said), len(trace.spans))


def unacknowledged(trace: Trace, errors: list[UnhandledError]) -> list[UnhandledError]:
    """The errors that share no words with the model's next answers and calls.

    Words that stood in the conversation before the error do not show that an answer is about it,
    unless the error has hardly any others.
    """
    positions = [at for at, span in enumerate(trace.spans) if is_llm(span)]

    @cache
    def answer_words(at: int) -> frozenset[str]:
        return content_words(answer_text(trace.spans[at]))

    @cache
    def known_words(turns: int) -> frozenset[str]:
        if not turns:
            return content_words(ends_of(trace.spans[0].input or ""))
        last = positions[turns - 1]
        return content_words(request_text(trace.spans[last])) | answer_words(last)

    def is_acknowledged(error: UnhandledError) -> bool:
        first = bisect_right(positions, error.position)
        answers = positions[first : first + ANSWERS_TO_ERROR]
        words = content_words(error.message)
        new = words - known_words(first)
        sought = new if len(new) >= SHARED_WORDS else words
        return any(len(sought & answer_words(at)) >= SHARED_WORDS for at in answers)

    return [error for error in errors if not is_acknowledged(error)]


def request_text(span: Span) -> str:
    """What users said to a model; where messages are not recorded, all that it was given."""
    said = [message.content or "" for message in span.input_messages if message.role == "user"]
    return ends_of("\n".join(said) if span.input_messages else span.input or "")


def answer_text(span: Span) -> str:
    """The text of a model's answer and the arguments of its tool calls."""
    calls = [call.requested.arguments or "" for call in tool_calls_of(span)]
    return ends_of("\n".join([completion_text(span) or "", *calls]))


def content_words(text: str) -> frozenset[str]:
    """The words of a text without those of almost any answer, in lower case."""
    return frozenset(word.lower() for word in WORD.findall(text)) - COMMON


def exposed_errors(index: TraceIndex) -> list[UnhandledError]:
    """The errors of tool runs, and those that arose elsewhere, but for results of checks."""
    runs = [run for run in index.tool_runs if run.failed]
    if not (runs or index.error_spans):
        return []
    positions = {span.span_id: at for at, span in enumerate(index.trace.spans)}
    errors = [error_of_run(run, positions) for run in runs]
    told = {run.failure.span_id for run in runs if run.failure}
    around = FailedRuns(index, runs)
    for span in index.error_spans:
        if span.span_id not in told and not around.tell(span):
            errors.append(error_of_span(span, positions[span.span_id]))
    return errors


class FailedRuns:
    """The failed tool runs of a trace, by the spans around and below them."""

    def __init__(self, index: TraceIndex, runs: list[ToolRun]) -> None:
        self._trace = index.trace
        self._of_span = {run.span.span_id: run for run in runs if run.has_span}
        self._by_time = [run for run in runs if not run.has_span]
        self._below: dict[str, list[ToolRun]] = defaultdict(list)
        for run in runs:
            for above in self._trace.ancestors(run.span):
                self._below[above.span_id].append(run)

    def tell(self, span: Span) -> bool:
        """Whether the error of ``span`` is told by a failed run, or is the result of a check.

        A run with a span of its own has its steps below it, whatever their times. One that is known
        by its messages alone has the steps of its time. A step around a run passes its error on.
        """
        above = self._trace.ancestors(span)
        if not CHECKING_KINDS.isdisjoint(each.kind for each in (span, *above)):
            return True
        line = error_line(error_text(span))
        around = (self._of_span.get(each.span_id) for each in above)
        runs = (*around, run_at(self._by_time, span), *self._below[span.span_id])
        return any(run is not None and line in run.error for run in runs)


def run_at(runs: list[ToolRun], span: Span) -> ToolRun | None:
    """The last of ``runs`` to begin before ``span``, if it ended after it."""
    if span.start_time_unix_nano is None:
        return None
    at = bisect_right(runs, span.start_time_unix_nano, key=lambda run: run.start or 0) - 1
    return runs[at] if at >= 0 and runs[at].covers(span) else None


def error_of_run(run: ToolRun, positions: dict[str, int]) -> UnhandledError:
    """The error of a failed tool run; ``positions`` are those of the spans by their ids."""
    return UnhandledError(
        position=positions[run.span.span_id],
        span=run.span,
        operation=(SpanKind.TOOL, run.tool),
        tool=run.tool,
        message=run.error,
        pattern=run.error_pattern,
        quotes=tuple(run.cite()),
    )


def error_of_span(span: Span, position: int) -> UnhandledError:
    """The error of a failed span that is not the run of a tool."""
    message = error_line(error_text(span)) or f"{span.kind or 'a'} span failed"
    return UnhandledError(
        position=position,
        span=span,
        operation=operation_key(span),
        tool=None,
        message=message,
        pattern=message,
        quotes=tuple(cite_error(span)),
    )


def operation_key(span: Span) -> Hashable:
    """The identity of a span's operation, equal for a second attempt; a model call has its prompt."""
    return (span.kind, span.input if is_llm(span) else span.name)


def last_successes(index: TraceIndex) -> dict[Hashable, int]:
    """Each operation -> the position of its last success. A tool run must also return no error."""
    found: dict[Hashable, int] = {}
    positions = {span.span_id: at for at, span in enumerate(index.trace.spans)}
    for position, span in enumerate(index.trace.spans):
        if not index.is_failure(span) and span.kind is not SpanKind.TOOL:
            found[operation_key(span)] = position
    for run in index.tool_runs:
        operation = (SpanKind.TOOL, run.tool)
        if not run.failed:
            found[operation] = max(found.get(operation, -1), positions[run.span.span_id])
    return found


def last_mention(trace: Trace, first: int) -> int:
    """The position after ``first`` of the last answer that mentions a failure, -1 if none does."""
    for position in range(len(trace.spans) - 1, first, -1):
        span = trace.spans[position]
        if is_llm(span) and mentions_failure(completion_text(span) or ""):
            return position
    return -1


def mentions_failure(text: str) -> bool:
    """Whether a text mentions that something failed."""
    return mentions().search(valid_text(ends_of(text).lower())) is not None


@cache
def mentions() -> re2._Regexp:
    """Matches a mention of a failure: one pass, however many there are."""
    return re2.compile("|".join(map(re2.escape, MENTIONS)))


def ends_of(text: str) -> str:
    """The first and the last ``SEARCHED`` characters of a text, with ASCII apostrophes."""
    ends = text if len(text) <= 2 * SEARCHED else f"{text[:SEARCHED]}\n{text[-SEARCHED:]}"
    return plain_apostrophes(ends)
