"""For how many traces the rest of a budget is likely to reach.

An estimate only, so that no trace is begun in vain: the budget itself holds whatever comes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping

from halo_engine.llm import Budget
from halo_engine.llm.chat import Price, TokenUsage
from halo_engine.rlm.mapping import LIKELY_ROW_TOKENS, PAGE_TRACES, PASSAGE_CHARS
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.rlm.transcript import TranscriptPage, total
from halo_engine.store import TraceStore

# How many characters of traces stand for a token that is paid: the ledger charges what it was.
CHARS_PER_TOKEN = 3
DEFINITION_CHARS = 600
MEASURED_TRACES = 20


class ReadBudget:
    """What is left to read traces with, ``findings`` being looked for in each.

    ``sizes`` are the characters to read of each trace.
    """

    def __init__(
        self, budget: Budget, price: Price | None, sizes: Mapping[str, float], findings: int
    ) -> None:
        left = budget.left()
        self._price = price
        self._sizes = sizes
        self._findings = findings
        self._left = {
            "usd": left.usd if price else None,
            "tokens": left.prompt_tokens if budget.limits.tokens else None,
        }
        self._whole = dict(self._left)

    def take(self, trace_id: str, *, keep: float = 0.0) -> bool:
        """Set aside what reading a trace takes, unless less than ``keep`` of all would be left."""
        usage = self.usage([trace_id])
        costs = {"usd": self._price.of(usage) if self._price else 0.0, "tokens": usage.total}
        left = {
            name: None if value is None else value - costs[name]
            for name, value in self._left.items()
        }
        if any(v is not None and v < keep * (self._whole[n] or 0) for n, v in left.items()):
            return False
        self._left = left
        return True

    def usage(self, trace_ids: Collection[str]) -> TokenUsage:
        """Tokens to read ``trace_ids`` once."""
        each = self._findings * DEFINITION_CHARS / PAGE_TRACES
        chars = sum(self._sizes[trace_id] + each for trace_id in trace_ids)
        completion = len(trace_ids) * LIKELY_ROW_TOKENS
        return TokenUsage(prompt=int(chars / CHARS_PER_TOKEN), completion=completion)


def seeded_order(trace_ids: Iterable[str], seed: int) -> list[str]:
    """``trace_ids`` in an order that is random, and always the same for a ``seed``."""
    return sorted(trace_ids, key=lambda t: hashlib.sha256(f"{seed}{t}".encode()).digest())


def reading_sizes(store: TraceStore, references: ShortIds) -> dict[str, float]:
    """About how many characters there are to read of each trace.

    The store holds conversations many times over, a transcript once: how much shorter it is is
    measured on some traces.
    """
    sizes = dict(store.in_order())
    some = seeded_order(sizes, 0)[:MEASURED_TRACES]
    held = sum(sizes[trace_id] for trace_id in some)
    page = TranscriptPage(PASSAGE_CHARS[0])
    read = sum(total(page.lines("T1", trace)) for trace in references.traces(some))
    return {trace_id: size * read / max(1, held) for trace_id, size in sizes.items()}
