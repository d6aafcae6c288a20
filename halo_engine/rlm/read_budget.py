"""An estimate of how many traces can be read with what is left of a budget.

It limits the sample of traces to what can probably be read; the limits themselves are enforced by
``Budget``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from statistics import fmean
from typing import NamedTuple

from halo_engine.llm import Remaining
from halo_engine.llm.chat import Price, TokenUsage
from halo_engine.rlm.mapping import LIKELY_ROW_TOKENS
from halo_engine.rlm.pages.batches import PAGE_CHARS, PAGE_TRACES, PASSAGE_CHARS
from halo_engine.rlm.pages.detail import Detail
from halo_engine.rlm.pages.page import TranscriptPage
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.statistics.sampling import seeded_order
from halo_engine.store import TraceStore

# Fewer than the usual four, so that the estimate of tokens is on the high side.
CHARS_PER_TOKEN = 3
DEFINITION_CHARS = 600
# The part of a prompt that is the same whatever is asked.
PROMPT_CHARS = 2500
MEASURED_TRACES = 20
# A trace of which reading takes more of what is left is not read.
MAX_TRACE_SHARE = 0.5


class ReadingCost(NamedTuple):
    """What reading one of ``traces`` probably takes, as a share of a budget: mean and variance."""

    traces: int
    mean: float
    variance: float


class ReadBudget:
    """What is ``left`` of a budget for reading traces, ``findings`` definitions per prompt.

    ``sizes`` are the characters to read of each trace, by trace id.
    """

    def __init__(
        self, left: Remaining, price: Price | None, sizes: Mapping[str, float], findings: int
    ) -> None:
        self._left = left
        self._price = price
        self._sizes = sizes
        self._findings = findings
        self._shares: dict[str, float] = {}

    def with_sizes_of(self, other: ReadBudget, trace_ids: Iterable[str]) -> ReadBudget:
        """This budget where ``trace_ids`` have the sizes that they have in ``other``."""
        sizes = {**self._sizes, **{trace_id: other._sizes[trace_id] for trace_id in trace_ids}}
        return ReadBudget(self._left, self._price, sizes, self._findings)

    def share(self, trace_id: str) -> float:
        """The share of what is left that reading a trace probably takes; 0 without a limit."""
        if trace_id not in self._shares:
            self._shares[trace_id] = max(self._shares_of(self.usage([trace_id])), default=0.0)
        return self._shares[trace_id]

    def _shares_of(self, usage: TokenUsage) -> Iterator[float]:
        """The share of each limit that ``usage`` takes."""
        amounts: list[tuple[float, float | None]] = [(usage.total, self._left.tokens)]
        if self._price:
            amounts.append((self._price.of(usage), self._left.usd))
        for amount, left in amounts:
            if left is not None:
                yield amount / left if left else math.inf

    def can_read(self, trace_id: str) -> bool:
        """Whether reading a trace takes no more than ``MAX_TRACE_SHARE`` of what is left."""
        return self.share(trace_id) <= MAX_TRACE_SHARE

    def cost(self, trace_ids: Collection[str]) -> ReadingCost:
        """What reading one of ``trace_ids`` probably takes."""
        shares = [self.share(trace_id) for trace_id in trace_ids]
        if not shares:
            return ReadingCost(0, 0.0, 0.0)
        mean = fmean(shares)
        return ReadingCost(len(shares), mean, fmean((share - mean) ** 2 for share in shares))

    def usage(self, trace_ids: Collection[str]) -> TokenUsage:
        """The estimated tokens for reading each of ``trace_ids`` once."""
        each = (PROMPT_CHARS + self._findings * DEFINITION_CHARS) / PAGE_TRACES
        chars = sum(self._sizes[trace_id] + each for trace_id in trace_ids)
        completion = len(trace_ids) * LIKELY_ROW_TOKENS
        return TokenUsage(prompt=int(chars / CHARS_PER_TOKEN), completion=completion)


def reading_sizes(
    store: TraceStore, short_ids: ShortIds, *details: Detail
) -> dict[Detail, dict[str, float]]:
    """The estimated characters of the transcript of each trace in each of ``details``, by trace id.

    The store repeats a conversation in every LLM span, a transcript does not. The ratio of their
    sizes is measured on a sample. No more of a trace is read than fits on a page.
    """
    sizes = dict(store.trace_sizes())
    sample = seeded_order(sizes, 0)[:MEASURED_TRACES]
    stored = sum(sizes[trace_id] for trace_id in sample)
    page = TranscriptPage(PASSAGE_CHARS[0])
    shown: Counter[Detail] = Counter()
    for trace in short_ids.traces(sample):
        shown.update({detail: page.transcript("T1", trace, detail).chars for detail in details})
    ratios = {detail: shown[detail] / max(1, stored) for detail in details}
    return {
        detail: {trace_id: min(size * ratio, PAGE_CHARS) for trace_id, size in sizes.items()}
        for detail, ratio in ratios.items()
    }
