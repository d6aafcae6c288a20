"""Message templates: a message with its variable parts (ids, numbers, times, URLs) masked."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

# Every alternative starts at a boundary and has a bounded or possessive tail, so matching takes
# linear time. The first alternative that matches wins.
VARIABLE_PART = re.compile(
    r"""
      (?P<placeholder> <[a-z]{1,12}> )
    | (?P<secret> \[redacted:[a-z0-9-]{1,60}(?:\#[a-z2-7]{8})?\] )
    | (?P<status> \A\s{0,9}[45]\d\d\b
                | \b(?:http|status|code|error)\b [\W_]{0,4} (?:code[\W_]{0,4})? [1-5]\d\d \b )
    | (?P<url> \bhttps?://[^\s"'<>()]+ )
    | (?P<uuid> \b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b )
    | (?P<email> (?<![\w.+-])[\w.+-]{1,64}@(?=\w)[\w-]{1,63}(?:\.[\w-]{1,63}){1,8} )
    | (?P<time> \b\d{4}-\d\d-\d\d (?:[T\ ]\d\d:\d\d (?::\d\d(?:[.,]\d{1,9})?)?
                (?:\ ?(?:Z|UTC|[+-]\d\d:?\d\d))?)? \b
              | \b\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?\b )
    | (?P<quoted> (?<!\w)'[^'\n]{1,80}'(?!\w) | (?<!\w)"[^"\n]{1,80}"(?!\w) )
    | (?P<number> (?<![\w-])\d+(?:[.,]\d+)*(?![\w-]|[.,]\d) )
    | (?P<token> (?<![\w-])[A-Za-z0-9_-]++ )
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
DIGIT = re.compile(r"\d")


def message_template(text: str) -> str:
    """``text`` with its variable parts masked: equal templates mean the same failure.

    Ids become ``<id>``, numbers ``<n>``, times ``<time>`` and mail addresses ``<email>``; a URL keeps
    its host and the path segments without digits, a masked secret its kind. HTTP status codes stay,
    since they distinguish failures. Idempotent.
    """
    return VARIABLE_PART.sub(masked, text)


def masked(match: re.Match[str]) -> str:
    """The replacement of one match of ``VARIABLE_PART``."""
    found = match.group()
    match match.lastgroup:
        case "secret":
            return found.partition("#")[0].rstrip("]") + "]"
        case "uuid":
            return "<id>"
        case "email" | "time":
            return f"<{match.lastgroup}>"
        case "number":
            return "<n>"
        case "url":
            return masked_url(found)
        case "quoted":
            return masked_quote(found)
        case "token":
            return masked_token(found)
        case _:
            return found


def masked_quote(found: str) -> str:
    """A quoted value: an id if it contains a digit, else a word, which stays."""
    return f"{found[0]}<id>{found[0]}" if DIGIT.search(found) else found


def masked_url(url: str) -> str:
    """Scheme, host and path of ``url``; the query and segments with digits are masked."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "<url>"
    path = "/".join("<id>" if DIGIT.search(s) else s for s in parts.path.split("/"))
    query = "?<query>" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}{path}{query}"


def masked_token(token: str) -> str:
    """The mask of a token: an id, or a word with a few digits (``utf-8``, ``30s``)."""
    digits = len(DIGIT.findall(token))
    if not digits:
        return token
    letters = sum(map(str.isalpha, token))
    if letters and (digits >= 3 or len(token) >= 12):
        return "<id>"
    return NUMBER.sub("<n>", token)
