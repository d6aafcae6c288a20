"""Text from traces made safe to show: it was written by strangers.

What leaves the engine is read by people in a browser, by Markdown renderers, in terminals, and by
coding agents. So no control characters and nothing that a reader cannot see, no secrets, no link
that can be followed or picture that is fetched, no markup, and never longer than needed. A bare
``example.com`` stays as it is: it says where it leads, and only somebody's click opens it. Proof
is not touched by this: the quote in a finding stays as it stands in the trace.

The order matters. Characters go first, since one inside a secret or an address would hide it;
secrets are looked for before the text is cut, since half a secret looks like none. Every pattern
takes one pass, whatever the text.
"""

from __future__ import annotations

import re
import string
from urllib.parse import quote

from halo_engine.text.secrets import redact

TAB_SIZE = 4
LINE_BREAK = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# Terminal sequences, control characters, and what is never drawn: the characters that Unicode calls
# Default_Ignorable_Code_Point (DerivedCoreProperties.txt), among them direction marks and the tag
# characters in which whole sentences can hide; annotation marks, surrogates, noncharacters.
INVISIBLE = re.compile(
    r"\x1b\[[0-?]*+[ -/]*+[@-~]|[\x00-\x08\x0e-\x1f\x7f-\x9f"
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ud800-\udfff"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Single angle quotation marks: they look like what they stand for and mean nothing to a browser.
MARKUP = str.maketrans({"<": "\u2039", ">": "\u203a"})
SCHEME = re.compile(
    r"(?i)(https?|ftp|(?<![^\W_])(?:file|data|mailto|javascript|vbscript)):(?=\S)|:(?=//)"
)
WWW = re.compile(r"(?i)(www)\.(?=\S)")
# A blank takes the meaning from an image, an inline link and the definition of a reference.
BRACKET = re.compile(r"!(?=\[)|\](?=[(:])")

# Never before an ellipsis: the colon of a scheme that nothing followed would be followed by one.
NOT_LAST = string.whitespace + ":."

# Left as they are in a URL; all else is percent-encoded, so that it ends nothing it stands in.
URL_CHARACTERS = ":/?#[]@!$&*+,;=%"


def safe_text(text: str, limit: int) -> str:
    """``text`` harmless and at most ``limit`` (at least 1) characters long, its lines kept."""
    return shorten(defang(redact(strip_invisible(text))), limit)


def safe_line(text: str, limit: int) -> str:
    """``safe_text`` on one line."""
    return shorten(defang(redact(" ".join(strip_invisible(text).split()))), limit)


def safe_url(url: str | None) -> str | None:
    """``url`` as it can stand in markup; None unless it leads to a web server.

    For addresses of the platform that traces were read from, never for one out of a trace: only
    the ids in it are a stranger's.
    """
    if url is None or not url.lower().startswith(("http://", "https://")):
        return None
    return quote(url, safe=URL_CHARACTERS, errors="replace")


def shorten(text: str, limit: int) -> str:
    """``text`` cut to ``limit`` (at least 1) characters, the last of them an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1].rstrip(NOT_LAST) + "…"


def strip_invisible(text: str) -> str:
    """``text`` of characters that show as what they are; every line break is a newline."""
    return INVISIBLE.sub("", LINE_BREAK.sub("\n", text)).expandtabs(TAB_SIZE)


def defang(text: str) -> str:
    """``text`` without markup, and without anything that renders as a link or a picture."""
    no_address = WWW.sub(r"\1[.]", SCHEME.sub(r"\1[:]", text.translate(MARKUP)))
    return BRACKET.sub(r"\g<0> ", no_address)
