"""Drawing of the traces that are read for labelling: random samples of a size fixed in advance.

How many are drawn depends on what a trace takes on average, not on those that are drawn. A sample
that ends at the first trace for which the budget does not suffice holds too few large ones.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest

from halo_engine.rlm.finding_labels import FindingLabels
from halo_engine.rlm.read_budget import ReadBudget, ReadingCost

# Share of the reading budget that findings with a rule leave for those without one.
UNRESTRICTED_SHARE = 0.5
# Share of the reading budget that findings leave for known issues.
KNOWN_SHARE = 0.3
# So many standard deviations of the cost of a sample are kept for large traces in it.
MARGIN = 2.0


def draw_samples(
    findings: Sequence[FindingLabels],
    budget: ReadBudget,
    seed: int,
    known: Sequence[FindingLabels] = (),
) -> list[str]:
    """Fill the ``sample`` of each finding as far as ``budget`` goes; returns all traces drawn.

    Findings with a rule draw first, from the traces that match it, and leave a share of the budget
    for the findings without a rule, if there are any; both leave a share for ``known`` issues, which
    draw last. In each group all draw the same number of traces, in turns, so that a frequent finding
    does not use up the budget of a rare one. What is drawn already costs nothing.
    """
    drawn: dict[str, None] = {}
    left = 1.0
    for group, kept in drawing_groups(findings, known):
        orders = [labels.drawing_order(seed) for labels in group]
        rounds, cost = affordable_rounds(orders, drawn, budget, left - kept)
        left -= cost
        for labels, order in zip(group, orders, strict=True):
            labels.sample.update(order[:rounds])
        drawn |= dict.fromkeys(in_turns([order[:rounds] for order in orders]))
    return list(drawn)


def drawing_groups(
    findings: Sequence[FindingLabels], known: Sequence[FindingLabels]
) -> Iterator[tuple[list[FindingLabels], float]]:
    """The groups in the order in which they draw, each with the share that it leaves to others."""
    for_known = KNOWN_SHARE if known else 0.0
    for labelled, own, kept in ((findings, 1 - for_known, for_known), (known, for_known, 0.0)):
        with_rule = [labels for labels in labelled if labels.matches is not None]
        without = [labels for labels in labelled if labels.matches is None]
        yield with_rule, kept + (own * UNRESTRICTED_SHARE if without else 0.0)
        yield without, kept


def affordable_rounds(
    orders: Sequence[Sequence[str]], drawn: Collection[str], budget: ReadBudget, share: float
) -> tuple[int, float]:
    """How many traces of each of ``orders`` can be read with ``share`` of ``budget``, and their cost.

    The cost is that of as many random traces, with ``MARGIN`` for large ones among them, as a share
    of the budget. Traces that are ``drawn`` already cost nothing.
    """
    costs = [budget.cost(order) for order in orders]
    numbers = [0] * len(orders)
    seen = set(drawn)
    affordable = 0, 0.0
    for rounds, trace_ids in enumerate(zip_longest(*orders), start=1):
        for n, trace_id in enumerate(trace_ids):
            if trace_id is not None and trace_id not in seen:
                seen.add(trace_id)
                numbers[n] += 1
        if mean_cost(costs, numbers) > share:
            break
        cost = likely_cost(costs, numbers)
        if cost <= share:  # not so for a large part of all, but again for all
            affordable = rounds, cost
    return affordable


def mean_cost(costs: Sequence[ReadingCost], numbers: Sequence[int]) -> float:
    """The mean cost of reading so many random traces of each population."""
    return sum(n * cost.mean for n, cost in zip(numbers, costs, strict=True) if n)


def likely_cost(costs: Sequence[ReadingCost], numbers: Sequence[int]) -> float:
    """The cost of reading so many random traces of each population that is seldom exceeded.

    It is the mean and ``MARGIN`` standard deviations of a total of simple random samples without
    replacement: of n out of N traces with variance s^2, its variance is n (1 - n/N) s^2.

    Source: W. G. Cochran, "Sampling Techniques", 3rd ed. (1977), section 2.5.
    """
    drawn = [(n, cost) for n, cost in zip(numbers, costs, strict=True) if n]
    variance = sum(n * (1 - n / cost.traces) * cost.variance for n, cost in drawn)
    return mean_cost(costs, numbers) + MARGIN * math.sqrt(variance)


def in_turns(orders: Sequence[Sequence[str]]) -> Iterator[str]:
    """The first of each of ``orders``, then the second of each, and so on."""
    for trace_ids in zip_longest(*orders):
        yield from (trace_id for trace_id in trace_ids if trace_id is not None)
