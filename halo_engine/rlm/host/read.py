"""Host functions that show one trace: its outline, its transcript, the texts of a span."""

from __future__ import annotations

from typing import Any

from halo_engine.fields import field_text
from halo_engine.quotes import MAX_QUOTE, quotable_texts
from halo_engine.rlm.host.arguments import Count, Name, Pattern
from halo_engine.rlm.host.store_context import StoreContext
from halo_engine.rlm.pages.detail import Detail
from halo_engine.rlm.pages.page import TranscriptPage
from halo_engine.rlm.sandbox.base import HostError, HostFunction
from halo_engine.text.given_patterns import given_pattern
from halo_engine.text.sanitize import strip_invisible

READ_CHARS = 12_000
PASSAGE_CHARS = 12_000
MIN_FIELD_CHARS = 500
MAX_FIELDS = 60


class Read:
    """The host functions that show one trace, and again what a step printed (``last_printed``)."""

    def __init__(self, context: StoreContext) -> None:
        self.last_printed = ""
        self._context = context
        self._short_ids = context.short_ids

    def functions(self) -> tuple[HostFunction, ...]:
        """The functions that code can call."""
        return self.outline, self.read, self.read_span, self.quote, self.last_output

    def outline(self, trace: Name, limit: Count = 100, offset: Count = 0) -> list[dict[str, Any]]:
        """The spans of a trace without their texts; warns if some are left out."""
        trace_id = self._context.trace_id(trace)
        spans = list(enumerate(self._short_ids.trace(trace_id).spans, start=1))[offset:]
        name = self._short_ids.name(trace_id)
        rows = min(limit, self._context.bounds.rows)
        return [
            {
                "span": f"{name}.{number}",
                "kind": span.kind,
                "name": strip_invisible(span.name or ""),
                "tool": span.tool_name and strip_invisible(span.tool_name),
                "status": span.status.code,
                "chars": sum(len(text) for _, text in quotable_texts(span)),
            }
            for number, span in self._context.first_rows("outline", spans, rows)
        ]

    def read(
        self, trace: Name, start: Count = 0, chars: Count = READ_CHARS, digest: bool = False
    ) -> str:
        """The transcript or digest of a trace, or ``chars`` characters of it from ``start``."""
        text = self.transcript(trace, digest=digest)
        part = text[start : start + min(chars, self._context.bounds.chars)]
        end = start + len(part)
        more = ", digest=True" if digest else ""
        rest = f"\n[{len(text) - end} characters are left: read({trace!r}, start={end}{more})]"
        return part + rest if end < len(text) else part

    def transcript(self, trace: Name, *, digest: bool) -> str:
        """All of the transcript or digest of a trace."""
        trace_id = self._context.trace_id(trace)
        page = TranscriptPage(PASSAGE_CHARS)
        name = self._short_ids.name(trace_id)
        detail = Detail.DIGEST if digest else Detail.FULL
        return page.transcript(name, self._short_ids.trace(trace_id), detail).text

    def read_span(
        self, span: Name, field: Name | None = None, start: Count = 0, chars: Count = READ_CHARS
    ) -> dict[str, str]:
        """The texts of a span by field, or ``chars`` characters of one field from ``start``.

        Warns if there is more.
        """
        found = self._context.span(span)
        if field:
            text, end = (
                field_text(found, field) or "",
                start + min(chars, self._context.bounds.chars),
            )
            if len(text) > end:
                left = f"{len(text) - end:,} characters of {field} are left"
                self._context.warn(f"read_span: {left}: start={end} goes on")
            return {field: strip_invisible(text[start:end])}
        texts = dict(quotable_texts(found))
        room = max(MIN_FIELD_CHARS, READ_CHARS // max(1, len(texts)))
        if len(texts) > MAX_FIELDS or any(len(text) > room for text in texts.values()):
            limits = f"{MAX_FIELDS} fields and {room:,} characters of each"
            self._context.warn(f"read_span: only the first {limits}; field= reads one on")
        shown = list(texts.items())[:MAX_FIELDS]
        return {name: strip_invisible(text[:room]) for name, text in shown}

    def quote(self, span: Name, pattern: Pattern, limit: Count = 5) -> list[dict[str, str]]:
        """The first words in each text of a span that match a pattern, as they can be cited.

        Raises ``HostError`` for a pattern that RE2 does not accept.
        """
        found = self._context.span(span)
        try:
            compiled = given_pattern(f"(?i){pattern}")
        except ValueError as error:
            raise HostError(f"The pattern is not accepted: {error}") from error
        matches = ((name, compiled.search(text)) for name, text in quotable_texts(found))
        words = [(name, match.group()) for name, match in matches if match and match.group()]
        return [
            {"span": span, "field": name, "quote": strip_invisible(text[:MAX_QUOTE])}
            for name, text in words[: min(limit, MAX_FIELDS)]
        ]

    def last_output(self, start: Count = 0, chars: Count = READ_CHARS) -> str:
        """What the step before printed, from character ``start``: more than its reply could show."""
        return self.last_printed[start : start + min(chars, self._context.bounds.chars)]
