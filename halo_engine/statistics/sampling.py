"""Seeded random order and random samples of ids, by a keyed hash.

Each id has a rank that depends on the id and the seed alone: ``BLAKE2b(id, key=seed)``. Sorted by
rank, the ids are in a random order; the first ``k`` are a simple random sample without replacement
("bottom-k sampling": E. Cohen and H. Kaplan, "Summarizing data using bottom-k sketches", PODC
2007). The order of the input has no influence, and an id that is added later displaces at most one
other from a sample.

The ranks are permanent random numbers: samples of several populations under one seed, each of which
is a simple random sample of its own, hold the same ids where the populations overlap (E. Ohlsson,
"Coordination of samples using permanent random numbers", in "Business Survey Methods", 1995).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from hashlib import blake2b
from heapq import nsmallest

KEY_BYTES = 16
RANK_BYTES = 16


def seeded_rank(item_id: str, seed: int) -> bytes:
    """The pseudo-random rank of ``item_id`` under ``seed``: 128 bits, compared as bytes.

    Seeds count modulo 2**128. Raises ``UnicodeEncodeError`` for an id with a lone surrogate.
    """
    key = (seed % 256**KEY_BYTES).to_bytes(KEY_BYTES, "big")
    return blake2b(item_id.encode(), key=key, digest_size=RANK_BYTES).digest()


def seeded_order(ids: Iterable[str], seed: int) -> list[str]:
    """``ids``, each once, in a random order that is the same for the same ``seed``."""
    return sorted(set(ids), key=lambda item_id: seeded_rank(item_id, seed))


def sample_ids(ids: Iterable[str], size: int, seed: int) -> list[str]:
    """A simple random sample of ``size`` ids (all where there are fewer), in ``seeded_order``.

    Equal to ``seeded_order(ids, seed)[:size]``, without sorting all ids.
    """
    return nsmallest(size, set(ids), key=lambda item_id: seeded_rank(item_id, seed))


def sample_across_groups(groups: Mapping[str, Hashable], size: int, seed: int) -> list[str]:
    """``size`` of the ids in ``groups`` (id -> group), one of each group before a second of any.

    Within a group, ids are drawn at random; groups take turns. Small groups are over-represented on
    purpose, so shares of all ids cannot be estimated from the result.
    """
    drawn: Counter[Hashable] = Counter()
    rounds: dict[str, int] = {}
    order = seeded_order(groups, seed)
    for item_id in order:
        rounds[item_id] = drawn[groups[item_id]]
        drawn[groups[item_id]] += 1
    return sorted(order, key=rounds.__getitem__)[: max(0, size)]
