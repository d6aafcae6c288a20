"""What users say that explains what an agent does."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Requests to do or to look up again what was done before.
REPEAT = re.compile(
    r"(?i)\b(?:double|re)[ -]?(?:check|confirm|verif|try|run|do)|\btry\b.{0,30}\bagain\b"
    r"|\b(?:check|verify|confirm|look|search|run|do)\b.{0,30}\b(?:again|once more|one more time)\b"
    r"|\bare you (?:really )?sure\b|\bright now\b"
)


def asks_to_repeat(said: Iterable[str]) -> bool:
    """Whether a user asked to do something again."""
    return any(REPEAT.search(words) for words in said)
