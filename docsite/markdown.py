"""Markdown, written by programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

# What ends a cell, a tag or a link.
ESCAPED = str.maketrans({"|": "\\|", "<": "&lt;", ">": "&gt;", "[": "\\[", "\n": " "})


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the cells are Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(text: object) -> str:
    """A text for a cell or a paragraph, in which only code and emphasis keep their meaning."""
    return str(text).translate(ESCAPED)


def code(text: object) -> str:
    """A text as code, for a cell; nothing for nothing."""
    shown = str(text).replace("|", "&#124;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<code>{shown}</code>" if shown else ""


def codes(texts: Iterable[object]) -> str:
    """Several texts as code."""
    return ", ".join(map(code, texts))
