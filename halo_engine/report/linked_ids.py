"""Names, numbers and ids as reports show them."""

from __future__ import annotations

from dataclasses import dataclass

from halo_engine.report.renderer import UrlBuilder
from halo_engine.text.sanitize import safe_line, safe_url

NAME_CHARS = 120


@dataclass(frozen=True)
class LinkedId:
    """The id of a trace or span, and the URL of its page (None: no page)."""

    id: str
    url: str | None


@dataclass(frozen=True)
class LinkedIds:
    """Creates a ``LinkedId`` with the URL of the platform's page for it."""

    url: UrlBuilder

    def __call__(self, trace_id: str, span_id: str | None = None) -> LinkedId:
        """The linked id of a trace, or of a span of it."""
        return LinkedId(
            id=safe_name(span_id or trace_id), url=safe_url(self.url(trace_id, span_id))
        )


def safe_name(text: str) -> str:
    """A name or an id, sanitized: it can come from a trace."""
    is_plain = text.isascii() and text.isalnum() and len(text) <= NAME_CHARS
    return text if is_plain else safe_line(text, NAME_CHARS)  # a page has thousands of ids


def counted(number: int, noun: str) -> str:
    """``1 trace``, ``1,200 traces``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
