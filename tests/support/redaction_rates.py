"""Rates of redaction on the labelled texts: secrets that are missed, and false alarms."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelled_texts.labels import Labelled

Mask = Callable[[str], str]

# What of a secret may be left in a text: less than would help to guess the rest.
LEFT_OVER = 8


@dataclass(frozen=True)
class Rate:
    """Of ``texts`` texts of a kind, the examples that went wrong."""

    kind: str
    texts: int
    wrong: tuple[str, ...]

    @property
    def share(self) -> float:
        """The share of them that went wrong."""
        return len(self.wrong) / self.texts


def miss_rates(labelled: Iterable[Labelled], mask: Mask) -> list[Rate]:
    """For each kind, the texts in which a part of a secret is left, or something else is masked."""
    texts: Counter[str] = Counter()
    wrong: dict[str, list[str]] = {}
    for example in labelled:
        texts[example.kind] += 1
        shown = mask(example.text)
        is_kept = all(words in shown for words in example.kept)
        if not is_kept or any(is_left(secret, shown) for secret in example.secrets):
            wrong.setdefault(example.kind, []).append(f"{example.text!r} -> {shown!r}")
    return [Rate(kind, count, tuple(wrong.get(kind, ()))) for kind, count in texts.items()]


def is_left(secret: str, shown: str) -> bool:
    """Whether a part of ``secret`` is still in a text; its first quarter may be public."""
    parts = range(len(secret) // 4, len(secret) - LEFT_OVER + 1)
    return secret in shown or any(secret[at : at + LEFT_OVER] in shown for at in parts)


def alarm_rates(texts: Iterable[tuple[str, str]], mask: Mask) -> list[Rate]:
    """For each kind of text without a secret, those that were changed."""
    seen: Counter[str] = Counter()
    wrong: dict[str, list[str]] = {}
    for kind, text in texts:
        seen[kind] += 1
        shown = mask(text)
        if shown != text:
            wrong.setdefault(kind, []).append(f"{text!r} -> {shown!r}")
    return [Rate(kind, count, tuple(wrong.get(kind, ()))) for kind, count in seen.items()]


def span_texts(name: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Spans in OpenInference JSON as one text each, under the name of their set."""
    for row in rows:
        texts = [value for value in row["attributes"].values() if isinstance(value, str)]
        yield name, "\n".join(texts)


def rows_of(path: Path) -> Iterator[Mapping[str, Any]]:
    """The spans of a trace file."""
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)
