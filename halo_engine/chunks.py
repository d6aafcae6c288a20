"""Chunks of a sequence: of a fixed number of items, or within a size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Slices of ``items`` in order, each of ``size`` (at least 1) items; the last may be shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def sized_chunks(
    sizes: Iterable[tuple[T, int]], most: int, items: int | None = None
) -> Iterator[list[T]]:
    """Items, each given with its size, in order: as many together as take ``most``, at least one.

    With ``items`` no more than that many.
    """
    chunk: list[T] = []
    total = 0
    for item, size in sizes:
        if chunk and (total + size > most or len(chunk) == items):
            yield chunk
            chunk, total = [], 0
        chunk.append(item)
        total += size
    if chunk:
        yield chunk
