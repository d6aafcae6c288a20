"""Cutting of texts that are too long for a page; what was cut is named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Range = tuple[int, int]
# What is shown around words that must be shown, and what a gap between two parts is worth.
NEIGHBOURHOOD = 300
MIN_GAP = 60
# A part ends between two words if one ends within so many characters.
LONGEST_WORD = 20
# How much of a text that is cut is from its beginning; the rest is from its end.
HEAD_SHARE = 0.6


def cut(text: str, limit: int, keep: Sequence[Range] = (), name: str = "") -> str:
    """``text`` in about ``limit`` characters: its beginning, its end, and the ranges ``keep``.

    What is between them is replaced by its length, of the text ``name``.
    """
    if len(text) <= limit:
        return text
    head = int(limit * HEAD_SHARE)
    around = [(start - NEIGHBOURHOOD, end + NEIGHBOURHOOD) for start, end in keep]
    ends = [(0, head), (len(text) - limit + head, len(text))]
    parts = merged_ranges([between_words(text, *part) for part in (*ends, *around)], len(text))
    shown: list[str] = []
    at = 0
    for start, end in parts:
        if start > at:
            shown.append(cut_mark(start - at, name))
        shown.append(text[start:end])
        at = end
    if at < len(text):
        shown.append(cut_mark(len(text) - at, name))
    return " ".join(shown)


def between_words(text: str, start: int, end: int) -> Range:
    """The range from ``start`` to ``end`` without halves of words at its ends, if they are short."""
    first, last = max(0, start), min(end, len(text))
    if first:
        space = text.find(" ", first, min(first + LONGEST_WORD, last))
        first = space + 1 if space >= 0 else first
    if last < len(text):
        space = text.rfind(" ", max(last - LONGEST_WORD, first), last)
        last = space if space >= 0 else last
    return first, last


def cut_mark(chars: int, name: str) -> str:
    """What stands in place of ``chars`` characters of the text ``name``."""
    return f"[... {chars} characters{f' of {name}' if name else ''} ...]"


def merged_ranges(ranges: Iterable[Range], length: int) -> list[Range]:
    """The ranges within ``length`` in order, those that are near each other as one."""
    found: list[Range] = []
    for start, end in sorted((max(0, start), min(end, length)) for start, end in ranges):
        if start >= end:
            continue
        if found and start - found[-1][1] < MIN_GAP:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found
