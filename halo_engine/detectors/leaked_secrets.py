"""Detector of secrets in the texts of a trace (D33)."""

from __future__ import annotations

from collections.abc import Iterator

from halo_engine.detectors.base import Corpus, Detector, Outcome, detector
from halo_engine.detectors.citations import cite, cite_identity
from halo_engine.detectors.trace_index import TraceIndex
from halo_engine.fields import as_text
from halo_engine.findings import Severity
from halo_engine.schema import Message, Span, Trace
from halo_engine.text.secrets import find_secrets

# No pattern of a secret matches a shorter text.
SHORTEST = 20  # characters
# Types of attribute values that can hold a secret.
TEXTUAL = (str, list, dict)


@detector(
    id="D33",
    failure_mode="unsafe_action",
    severity=Severity.HIGH,
    title="A secret is recorded in the traces: {message}",
    recommendation=(
        "Revoke it and issue a new one now: everyone with access to the traces has it. Then keep "
        "it out: pass credentials to tools outside the model's texts, and mask them before export."
    ),
)
def secret_in_trace(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A text that matches the pattern of a key, token or private key, each secret once per trace.

    Only its public prefix is quoted.
    """
    trace = index.trace
    if not trace.spans:
        yield detector.not_applicable(trace, "no spans")
    known: set[str] = set()
    for span, field, text in candidate_texts(trace):
        for secret in find_secrets(text):
            value = text[secret.start : secret.end]
            if value not in known:
                known.add(value)
                quotes = [*cite(span, field, secret.start, secret.prefix_end)] or cite_identity(
                    span
                )
                reason = f"{field} holds a secret ({secret.kind})"
                yield detector.signal(trace, span, reason, quotes, message=secret.kind)


def candidate_texts(trace: Trace) -> Iterator[tuple[Span, str, str]]:
    """Span, field and text of every distinct text, if any of them holds a secret, else nothing.

    One search over all texts decides that: most traces hold no secret.
    """
    first_at: dict[str, tuple[Span, str]] = {}
    for span in trace.spans:
        for field, text in searchable_texts(span):
            first_at.setdefault(text, (span, field))
    if find_secrets("\n".join(first_at)):
        yield from ((span, field, text) for text, (span, field) in first_at.items())


def searchable_texts(span: Span) -> Iterator[tuple[str, str]]:
    """Every text of a span that is long enough for a secret, with its field.

    Attributes come last: most repeat the text of another field.
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
