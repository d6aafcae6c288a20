"""Text that can be encoded: a Python string may hold lone surrogates, which no encoding has.

They come from JSON escapes such as ``"\\ud83d"``, half of an emoji that was cut.
"""

from __future__ import annotations

import re

LONE_SURROGATES = re.compile("[\ud800-\udfff]")


def valid_text(value: str) -> str:
    """``value`` with lone surrogates, which UTF-8 cannot encode, replaced by U+FFFD."""
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return LONE_SURROGATES.sub("\ufffd", value)
    return value
