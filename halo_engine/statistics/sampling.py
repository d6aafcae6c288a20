"""A random sample of traces that comes out the same again."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from heapq import nsmallest


def sample_ids(trace_ids: Iterable[str], size: int, seed: int) -> list[str]:
    """``size`` of the given ids (all of them where there are fewer), in a random order.

    Bottom-k sampling (Cohen and Kaplan, 2007): those with the smallest keyed hashes. So it is
    uniform, the same for the same ``seed`` in whatever order the ids come, and when new traces
    come only those that push one out change it.
    """
    key = seed.to_bytes(16, "big", signed=True)

    def rank(trace_id: str) -> bytes:
        return blake2b(trace_id.encode(), key=key, digest_size=16).digest()

    return nsmallest(size, set(trace_ids), key=rank)
