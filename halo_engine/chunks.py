"""Fixed-size chunks of a sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Slices of ``items`` in order, each of ``size`` (at least 1) items; the last may be shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
