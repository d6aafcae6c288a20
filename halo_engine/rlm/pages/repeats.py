"""Repetitions: steps that an agent takes again and again, with the same result each time."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

# The longest sequence of lines whose repetition is noticed, and the characters it has to save.
LONGEST_BLOCK = 8
MIN_SAVED = 120


class Block(NamedTuple):
    """``length`` items from ``start`` on, which are there ``times`` times, one after the other."""

    start: int
    length: int
    times: int


def repeated_blocks(keys: Sequence[Hashable], chars: Sequence[int]) -> Iterator[Block]:
    """The items with ``keys``, divided into blocks, in order.

    A repetition counts where it saves ``MIN_SAVED`` of the ``chars`` that each item has.
    """
    at = 0
    while at < len(keys):
        block = next(repetitions_at(keys, chars, at), Block(at, 1, 1))
        yield block
        at += block.length * block.times


def repetitions_at(keys: Sequence[Hashable], chars: Sequence[int], at: int) -> Iterator[Block]:
    """The blocks at ``at`` that are worth being shown once, the shortest first."""
    for length in range(1, LONGEST_BLOCK + 1):
        times = times_at(keys, at, length)
        if (times - 1) * sum(chars[at : at + length]) >= MIN_SAVED:
            yield Block(at, length, times)


def times_at(keys: Sequence[Hashable], at: int, length: int) -> int:
    """How often the ``length`` items at ``at`` are there, one after the other."""
    block = keys[at : at + length]
    times = 1
    while len(block) == length and keys[at + times * length : at + (times + 1) * length] == block:
        times += 1
    return times
