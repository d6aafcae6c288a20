"""An estimate of how many traces can be read with what is left of a budget.

It limits the sample of traces to what can probably be read; the limits themselves are enforced by
``Budget``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from halo_engine.llm import Remaining
from halo_engine.llm.chat import Price, TokenUsage
from halo_engine.rlm.mapping import LIKELY_ROW_TOKENS, PAGE_TRACES, PASSAGE_CHARS
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.rlm.transcript import TranscriptPage, rendered_chars
from halo_engine.statistics.sampling import seeded_order
from halo_engine.store import TraceStore

# Fewer than the usual four, so that the estimate of tokens is on the high side.
CHARS_PER_TOKEN = 3
DEFINITION_CHARS = 600
MEASURED_TRACES = 20


class ReadBudget:
    """What is ``left`` of a budget for reading traces, ``findings`` definitions per prompt.

    ``sizes`` are the characters to read of each trace, by trace id.
    """

    def __init__(
        self, left: Remaining, price: Price | None, sizes: Mapping[str, float], findings: int
    ) -> None:
        self._price = price
        self._sizes = sizes
        self._findings = findings
        self._left = {
            "usd": left.usd if price else None,
            "tokens": left.tokens,
        }
        self._whole = dict(self._left)

    def take(self, trace_id: str, *, keep: float = 0.0) -> bool:
        """Reserve the cost of reading a trace; False if less than the share ``keep`` would remain."""
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
        """The estimated tokens for reading each of ``trace_ids`` once."""
        each = self._findings * DEFINITION_CHARS / PAGE_TRACES
        chars = sum(self._sizes[trace_id] + each for trace_id in trace_ids)
        completion = len(trace_ids) * LIKELY_ROW_TOKENS
        return TokenUsage(prompt=int(chars / CHARS_PER_TOKEN), completion=completion)


def reading_sizes(store: TraceStore, short_ids: ShortIds) -> dict[str, float]:
    """The estimated characters of the transcript of each trace, by trace id.

    The store repeats a conversation in every LLM span, a transcript does not. The ratio of their
    sizes is measured on a sample.
    """
    sizes = dict(store.trace_sizes())
    sample = seeded_order(sizes, 0)[:MEASURED_TRACES]
    stored = sum(sizes[trace_id] for trace_id in sample)
    page = TranscriptPage(PASSAGE_CHARS[0])
    shown = sum(rendered_chars(page.lines("T1", trace)) for trace in short_ids.traces(sample))
    return {trace_id: size * shown / max(1, stored) for trace_id, size in sizes.items()}
