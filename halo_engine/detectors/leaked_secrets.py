"""Detector of secrets in the texts of a trace (D33)."""

from __future__ import annotations

from collections.abc import Iterator

from halo_engine.detectors.base import Corpus, Detector, Outcome, detector
from halo_engine.detectors.citations import cite, cite_identity
from halo_engine.detectors.span_text import message_texts
from halo_engine.detectors.trace_index import TraceIndex
from halo_engine.fields import as_text
from halo_engine.findings import Severity
from halo_engine.schema import Span, Trace
from halo_engine.text.levels import Level
from halo_engine.text.redaction import PLACEHOLDER, has_clue, may_hold_secret
from halo_engine.text.secrets.finder import find_secrets
from halo_engine.text.secrets.personal import PERSONAL_KINDS

NO_CREDENTIALS = PERSONAL_KINDS | {"card-number"}
# What stands before a secret is quoted with it.
CONTEXT = 40  # characters
# No text with a secret is shorter, but one that is nothing else.
SHORTEST = 8  # characters
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
    """A credential in a text, masked by the pull or not, each once per trace.

    The placeholder is quoted, or only what stands before a credential that is not masked.
    """
    trace = index.trace
    if not trace.spans:
        yield detector.not_applicable(trace, "no spans")
    known: set[str] = set()
    for span, field, text in candidate_texts(trace):
        for kind, start, shown, value in secrets_in(text):
            if value not in known:
                known.add(value)
                quotes = [*cite(span, field, max(0, start - CONTEXT), shown)] or cite_identity(span)
                reason = f"{field} holds a secret ({kind})"
                yield detector.signal(trace, span, reason, quotes, message=kind)


def secrets_in(text: str) -> Iterator[tuple[str, int, int, str]]:
    """Each secret with its kind, its start, the end of what of it is shown, and what tells it apart.

    Card numbers and personal data are no credentials, which could be revoked.
    """
    for match in PLACEHOLDER.finditer(text):
        if match[1] not in NO_CREDENTIALS:
            yield match[1], match.start(), match.end(), match[0]
    for secret in find_secrets(text):
        if secret.kind not in NO_CREDENTIALS:
            yield secret.kind, secret.start, secret.start, text[secret.start : secret.end]


def candidate_texts(trace: Trace) -> Iterator[tuple[Span, str, str]]:
    """Span, field and text of every distinct text, if any of them may hold a secret, else nothing.

    One search over the trace decides that, and one over each span: most hold no secret.
    """
    seen: set[str] = set()
    spans = trace.spans if may_hold_secret(trace) else ()
    for span in (each for each in spans if has_clue(each, Level.DEFAULT)):
        for field, text in searchable_texts(span):
            if text not in seen:
                seen.add(text)
                yield span, field, text


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
