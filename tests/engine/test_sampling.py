"""Seeded random samples of trace ids."""

from __future__ import annotations

from collections import Counter
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from halo_engine.statistics.sampling import sample_across_groups, sample_ids, seeded_order

IDS = [f"trace-{n}" for n in range(50)]
ids_of_any_kind = st.sets(st.text(st.characters(exclude_categories=["Cs"])))
seeds = st.integers()


@given(ids=ids_of_any_kind, seed=seeds)
def test_an_order_holds_every_id_once_for_any_order_of_the_input(ids, seed) -> None:
    order = seeded_order(sorted(ids), seed)
    assert sorted(order) == sorted(ids)
    assert seeded_order(sorted(ids, reverse=True), seed) == order


def test_an_order_is_not_the_order_of_the_ids_and_changes_with_the_seed() -> None:
    orders = {tuple(seeded_order(IDS, seed)) for seed in range(20)}
    assert len(orders) == 20
    assert tuple(IDS) not in orders
    assert tuple(sorted(IDS)) not in orders


@given(ids=ids_of_any_kind, size=st.integers(0, 20), seed=seeds)
def test_a_sample_is_the_beginning_of_the_order(ids, size, seed) -> None:
    assert sample_ids(ids, size, seed) == seeded_order(ids, seed)[:size]


def test_a_sample_stays_the_same_from_version_to_version() -> None:
    assert sample_ids(IDS, 3, 0) == ["trace-44", "trace-9", "trace-11"]


def test_an_id_that_is_added_displaces_at_most_one_of_a_sample() -> None:
    for seed in range(20):
        before = set(sample_ids(IDS, 10, seed))
        after = set(sample_ids([*IDS, "new"], 10, seed))
        assert len(before - after) <= 1
        assert after - before <= {"new"}


def test_every_id_is_drawn_about_equally_often() -> None:
    seeds, size = 4000, 5
    drawn = Counter(i for seed in range(seeds) for i in sample_ids(IDS, size, seed))
    expected = seeds * size / len(IDS)
    # Pearson's chi-squared with 49 degrees of freedom, 99.9 % quantile 85.4; the draws of one
    # sample exclude each other, which makes the statistic smaller.
    assert sum((drawn[i] - expected) ** 2 / expected for i in IDS) < 85.4


def test_every_pair_is_drawn_together_about_equally_often() -> None:
    few = IDS[:4]
    pairs = Counter(frozenset(sample_ids(few, 2, seed)) for seed in range(6000))
    assert len(pairs) == 6
    # Chi-squared with 5 degrees of freedom, 99.9 % quantile 20.5.
    assert sum((n - 1000) ** 2 / 1000 for n in pairs.values()) < 20.5


def test_each_group_is_drawn_from_once_before_any_is_drawn_from_twice() -> None:
    groups = {
        f"{group}{n}": group for group, size in [("a", 20), ("b", 2), ("c", 1)] for n in range(size)
    }
    for seed, size in product(range(10), range(len(groups) + 1)):
        drawn = Counter(groups[i] for i in sample_across_groups(groups, size, seed))
        full = Counter(groups.values())
        most = max(drawn.values(), default=0)
        assert sum(drawn.values()) == size
        assert all(drawn[g] >= min(most - 1, full[g]) for g in full)


def test_within_a_group_ids_are_drawn_at_random() -> None:
    groups = dict.fromkeys(IDS, "one")
    assert sample_across_groups(groups, 5, 3) == sample_ids(IDS, 5, 3)
