"""Text from traces made safe to show: it was written by strangers.

What leaves the engine is read by people in a browser, by Markdown renderers, and by coding agents.
So no control characters, no secrets, no link that can be followed or picture that is fetched, no
markup, and never longer than needed. Proof is not touched by this: the quote in a finding stays
as it stands in the trace.
"""

from __future__ import annotations

import re

from halo_engine.redact import redact

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
SCHEME = re.compile(r"(?i)\b(https?|ftp|data|javascript|file|vbscript)(:)(?=\S)")
IMAGE = re.compile(r"!(?=\[)")
# Single angle quotation marks: they look like what they stand for and mean nothing to a browser.
MARKUP = str.maketrans({"<": "\u2039", ">": "\u203a"})


def safe_text(text: str, limit: int) -> str:
    """``text`` harmless and at most ``limit`` characters long, cut with an ellipsis."""
    clean = CONTROL.sub("", redact(text)).translate(MARKUP)
    clean = SCHEME.sub(r"\1[:]", IMAGE.sub("", clean))
    return shorten(clean, limit)


def safe_line(text: str, limit: int) -> str:
    """``safe_text`` on one line."""
    return shorten(" ".join(safe_text(text, 2 * limit).split()), limit)


def shorten(text: str, limit: int) -> str:
    """``text`` cut to ``limit`` characters, the last of them an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
