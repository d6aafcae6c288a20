"""Sets of words that rules look for."""

from __future__ import annotations


def vocabulary(words: str) -> frozenset[str]:
    """The set of blank-separated ``words``."""
    return frozenset(words.split())
