"""Secrets that stand in traces for everybody to read (D33)."""

from __future__ import annotations

from collections.abc import Iterator

from halo_engine.detectors.base import Corpus, Detector, Outcome, cite, detector
from halo_engine.detectors.trace_index import identity
from halo_engine.fields import as_text
from halo_engine.findings import Severity
from halo_engine.schema import Message, Span, Trace
from halo_engine.text.secrets import find_secrets

# No shape of a secret is shorter.
SHORTEST = 20
# What an attribute may be that can hold one.
TEXTUAL = (str, list, dict)


@detector(
    id="D33",
    failure_mode="unsafe_action",
    severity=Severity.HIGH,
    title="A secret stands in the traces: {message}",
    recommendation=(
        "Revoke it and issue a new one now: everybody who reads traces has it. Then keep it out: "
        "pass credentials to tools outside the model's texts, and mask them before export."
    ),
)
def secret_in_trace(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """A text with the shape of a key, token or private key; each secret is told once a trace.

    Only its public prefix is quoted.
    """
    if not trace.spans:
        yield rule.not_applicable(trace, "no spans")
    known: set[str] = set()
    for span, field, text in suspicious(trace):
        for secret in find_secrets(text):
            value = text[secret.start : secret.end]
            if value not in known:
                known.add(value)
                quotes = [*cite(span, field, secret.start, secret.shown)] or identity(span)
                reason = f"{field} holds a secret ({secret.kind})"
                yield rule.signal(trace, span, reason, quotes, message=secret.kind)


def suspicious(trace: Trace) -> Iterator[tuple[Span, str, str]]:
    """The texts that hold a secret: span, field and text. Each text is looked at once a trace."""
    places: dict[str, tuple[Span, str]] = {}
    for span in trace.spans:
        for field, text in texts_of(span):
            places.setdefault(text, (span, field))
    if find_secrets("\n".join(places)):
        yield from ((span, field, text) for text, (span, field) in places.items())


def texts_of(span: Span) -> Iterator[tuple[str, str]]:
    """Every text of a span that is long enough for a secret, with its field.

    Attributes come last: most repeat what a field of its own says.
    """
    found = (
        ("input", span.input),
        ("output", span.output),
        ("status.message", span.status.message),
        *message_texts("input_messages", span.input_messages),
        *message_texts("output_messages", span.output_messages),
        *((f"documents.{i}.content", d.content) for i, d in enumerate(span.documents or ())),
        *(
            (f"events.{i}.attributes.{key}", value)
            for i, event in enumerate(span.events)
            for key, value in event.attributes.items()
        ),
        *((f"attributes.{key}", value) for key, value in span.attributes.items()),
    )
    for field, value in found:
        text = as_text(value) if isinstance(value, TEXTUAL) else None
        if text and len(text) >= SHORTEST:
            yield field, text


def message_texts(field: str, messages: tuple[Message, ...]) -> Iterator[tuple[str, str | None]]:
    """The contents and the arguments of tool calls in messages, with their fields."""
    for i, message in enumerate(messages):
        yield f"{field}.{i}.content", message.content
        for j, call in enumerate(message.tool_calls):
            yield f"{field}.{i}.tool_calls.{j}.arguments", call.arguments
