"""Faults of what the agent stands on: rate limits, keys, missing resources, services (D25, D26)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from halo_engine.detectors.base import Corpus, Detector, Outcome, Signal, cite, detector
from halo_engine.detectors.span_text import error_text, essential
from halo_engine.detectors.trace_index import cite_error, read, tool_name
from halo_engine.findings import Citation, Severity
from halo_engine.schema import Span, SpanKind, Trace

NO_STATUS = "no status recorded"
STORM_IN_TRACE = 3
STORM_IN_WINDOW = 5
WINDOW_NANOSECONDS = 60 * 1_000_000_000
# Nobody names a status behind this many characters of an error's text.
LOOKED_AT = 4000

HTTP_ATTRIBUTES = ("http.response.status_code", "http.status_code")

# A status code counts where the text says that it is one: "Error code: 429", "HTTP 503", "502 Bad
# Gateway", "(404)". Any other number is just a number.
STATUS_IN_TEXT = re.compile(
    r"(?i)\b(?:http|status|code|error)(?:/\d(?:\.\d)?)?[\W_]{1,3}(?:code[\W_]{1,3})?([45]\d\d)\b"
    r"|\b([45]\d\d)\s(?:client error|server error|unauthorized|forbidden|not found"
    r"|too many requests|internal server error|bad gateway|service unavailable|gateway time-?out|\{)"
    r"|\A\s{0,9}([45]\d\d)\b|\(([45]\d\d)\)"
)
RATE_LIMIT = re.compile(r"(?i)rate[ _-]?limit|too many requests|overloaded")
TIMEOUT = re.compile(r"(?i)time[ds]?[ _-]?out|deadline[ _-]?exceeded")
NAMED = {
    "auth": re.compile(
        r"(?i)AuthenticationError|PermissionDenied|AccessDenied|\bunauthorized\b"
        r"|(?:invalid|incorrect)[ _]api[ _]key|expired[ _]token|token expired"
    ),
    "not_found": re.compile(r"\bNotFoundError\b|model_not_found"),
    "service_error": re.compile(
        r"InternalServerError|ServiceUnavailable|(?i:\bbad gateway\b|\bservice unavailable\b)"
    ),
}


def status_in(text: str) -> int | None:
    """The HTTP status that an error's text names, None if it names none."""
    found = STATUS_IN_TEXT.search(text[:LOOKED_AT])
    return int(next(filter(None, found.groups()))) if found else None


def status_attribute(span: Span) -> tuple[str, int] | None:
    """The HTTP status in the span's attributes, with its key."""
    for key in HTTP_ATTRIBUTES:
        value = span.attributes.get(key)
        if value is not None and re.fullmatch(r"[1-5]\d\d", str(value), re.ASCII):
            return key, int(value)
    return None


def is_rate_limit(text: str) -> bool:
    """Whether an error's text says that calls come too fast."""
    return status_in(text) == 429 or RATE_LIMIT.search(text[:LOOKED_AT]) is not None


def is_transient(text: str) -> bool:
    """Whether an error may go away by itself: a rate limit, a timeout, a failing service."""
    return (
        is_rate_limit(text)
        or (status_in(text) or 0) >= 500
        or TIMEOUT.search(text[:LOOKED_AT]) is not None
        or NAMED["service_error"].search(text[:LOOKED_AT]) is not None
    )


def lacks_status(trace: Trace) -> bool:
    """Whether no span says if it failed."""
    return all(span.status.code is None and not span.events for span in trace.spans)


def storms(signals: Sequence[Signal]) -> Iterable[Signal]:
    """The signals of a storm: many in one trace, or many traces' within one window of time."""
    per_trace = Counter(signal.trace_id for signal in signals)
    dense = {id(signal) for signal in within_window(signals)}
    return [s for s in signals if per_trace[s.trace_id] >= STORM_IN_TRACE or id(s) in dense]


def within_window(signals: Sequence[Signal]) -> Iterator[Signal]:
    """The signals that lie with enough others in one window; those without a time never do."""
    timed = [(s.time_unix_nano, s) for s in signals if s.time_unix_nano is not None]
    timed.sort(key=lambda pair: pair[0])
    told = 0
    for last in range(STORM_IN_WINDOW - 1, len(timed)):
        first = last - STORM_IN_WINDOW + 1
        if timed[last][0] - timed[first][0] <= WINDOW_NANOSECONDS:
            yield from (signal for _, signal in timed[max(first, told) : last + 1])
            told = last + 1


@detector(
    id="D25",
    failure_mode="environment_fault",
    severity=Severity.HIGH,
    title="Rate limits or an overloaded provider stop the agent",
    recommendation=(
        "Retry with exponential back-off and jitter, honour Retry-After, cap the number of "
        "parallel calls, and ask the provider for a higher limit if the load is real."
    ),
    corpus_filter=storms,
)
def rate_limit_storm(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """Errors of too many requests: three in one trace, or five within 60 s over all traces.

    An error that its parents pass on counts once.
    """
    if lacks_status(trace):
        yield rule.not_applicable(trace, NO_STATUS)
    for span in read(trace).errors:
        said = error_text(span)
        if is_rate_limit(said):
            yield rule.signal(trace, span, f"rate limited: {essential(said)}", cite_error(span))


@detector(
    id="D26",
    failure_mode="environment_fault",
    severity=Severity.MEDIUM,
    title="A call fails for a reason outside the agent, {message}",
    recommendation=(
        "auth: renew or grant the credentials of this call. not_found: correct the configured "
        "model, route or resource. service_error: retry with back-off, add a fallback, and tell "
        "the owner of the service. Meanwhile let the agent say that it could not do this."
    ),
)
def environment_error(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """An error with HTTP status 401, 403, 404 or 5xx, or one of the names that stand for them.

    What a tool returns as data is not looked at, and an error that its parents pass on counts once.
    """
    failed = {span.span_id for span in read(trace).errors}
    kinds = [(span, error_kind_of(span, span.span_id in failed)) for span in trace.spans]
    found = [error_signal(trace, rule, span, kind) for span, kind in kinds if kind]
    if not found and lacks_status(trace):
        yield rule.not_applicable(trace, NO_STATUS)
    yield from found


def error_kind_of(span: Span, failed: bool) -> str | None:
    """Which fault a span shows: ``auth``, ``not_found``, ``service_error``, or none.

    A span that did not fail shows one only by its status attribute, and a 404 is then an answer.
    """
    attribute = status_attribute(span)
    if not failed:
        kind = kind_of_status(attribute[1]) if attribute and not span.is_error else None
        return None if kind == "not_found" else kind
    said = error_text(span)
    status = attribute[1] if attribute else status_in(said)
    return kind_of_status(status) or (None if is_rate_limit(said) else kind_named(said))


def kind_of_status(status: int | None) -> str | None:
    """The fault that an HTTP status stands for."""
    if status in (401, 403):
        return "auth"
    if status == 404:
        return "not_found"
    return "service_error" if status is not None and 500 <= status < 600 else None


def kind_named(said: str) -> str | None:
    """The fault that an error's text names."""
    return next((kind for kind, names in NAMED.items() if names.search(said[:LOOKED_AT])), None)


def error_signal(trace: Trace, rule: Detector, span: Span, kind: str) -> Signal:
    """The signal for a fault at ``span``."""
    attribute = status_attribute(span)
    line = essential(error_text(span)) or (f"HTTP status {attribute[1]}" if attribute else "")
    message = f"{kind}: {line}" if line else kind
    severity = Severity.HIGH if kind == "auth" else rule.severity
    tool = tool_name(span) if span.kind is SpanKind.TOOL else None
    quotes = error_quotes(span, attribute)
    return rule.signal(trace, span, message, quotes, tool=tool, message=message, severity=severity)


def error_quotes(span: Span, attribute: tuple[str, int] | None) -> list[Citation]:
    """What proves a fault: the error's text, and the status attribute."""
    quotes = list(cite_error(span)) if span.is_error else []
    return quotes + (list(cite(span, f"attributes.{attribute[0]}")) if attribute else [])
