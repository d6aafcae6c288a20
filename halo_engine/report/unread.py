"""Sentences about spans of which nothing was understood."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from halo_engine.findings import Report, UnreadSpans
from halo_engine.text.sanitize import safe_line

LINE_CHARS = 400
# How many groups are named.
NAMED_GROUPS = 6
HOW_TO_READ = (
    "Record the agent with OpenInference or with OpenTelemetry GenAI (docs/frameworks.md says how "
    "for each framework), or write a dialect for these spans: examples/plugins has one."
)


def nothing_judged_sentence(report: Report) -> str | None:
    """That nothing could be judged, and what to do; None where anything was understood or found."""
    if report.is_understood or report.worst_failure():
        return None
    spans = f"{report.spans:,} span{'' if report.spans == 1 else 's'}"
    return (
        f"Nothing could be judged, and that is no pass: of {spans} none is understood as work of an "
        f"agent. {HOW_TO_READ}"
    )


def unread_sentences(unread: Sequence[UnreadSpans]) -> Iterator[str]:
    """One sentence on spans that no dialect knows, one on those of infrastructure."""
    yield from filter(None, (unknown_sentence(unread), infrastructure_sentence(unread)))


def unknown_sentence(unread: Sequence[UnreadSpans]) -> str | None:
    """How many spans no dialect knows, by how their attributes begin; None for none."""
    unknown = [group for group in unread if not group.infrastructure]
    if not unknown:
        return None
    number = sum(group.spans for group in unknown)
    subject = f"{number:,} span{'s are' if number != 1 else ' is'}"
    named = ", ".join(map(unknown_text, unknown[:NAMED_GROUPS]))
    more = ", and others" if len(unknown) > NAMED_GROUPS else ""
    text = f"{subject} of no dialect that is known, and not judged: {named}{more}."
    return safe_line(text, LINE_CHARS)


def infrastructure_sentence(unread: Sequence[UnreadSpans]) -> str | None:
    """How many spans are about something else than an agent's work; None for none."""
    about = [(group.infrastructure, group.spans) for group in unread if group.infrastructure]
    if not about:
        return None
    named = ", ".join(f"{number:,} of {what}" for what, number in about)
    text = f"Spans of infrastructure are no work of an agent and are not judged: {named}."
    return safe_line(text, LINE_CHARS)


def unknown_text(group: UnreadSpans) -> str:
    """A group of spans that no dialect knows."""
    attributes = f"with {', '.join(group.prefixes)}" if group.prefixes else "without attributes"
    example = f", such as {group.example!r}" if group.example else ""
    return f"{group.spans:,} {attributes}{example}"
