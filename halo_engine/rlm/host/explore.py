"""Host functions that find traces: overview, filter, random sample, search."""

from __future__ import annotations

from typing import Any

from halo_engine.rlm.host.arguments import (
    Count,
    FilterValue,
    Name,
    Pattern,
    Seed,
    trace_filter,
)
from halo_engine.rlm.host.store_context import StoreContext
from halo_engine.rlm.sandbox.base import HostFunction
from halo_engine.store import TraceOrder, TraceSummary
from halo_engine.text.sanitize import shorten, strip_invisible

OVERVIEW_NAMES = 15
OVERVIEW_CHARS = 200


class Explore:
    """The host functions that find traces."""

    def __init__(self, context: StoreContext) -> None:
        self._context = context
        self._store = context.store
        self._short_ids = context.short_ids

    def functions(self) -> tuple[HostFunction, ...]:
        """The functions that code can call."""
        return self.overview, self.find, self.sample, self.search

    def overview(self) -> dict[str, Any]:
        """Counts of the store, its time range, and its most frequent kinds, names and models."""
        found = self._store.overview()
        names = {
            kind: {
                shorten(strip_invisible(c.value), OVERVIEW_CHARS): c.spans
                for c in getattr(found, kind)[:OVERVIEW_NAMES]
            }
            for kind in ("kinds", "names", "tools", "models")
        }
        counts = found.model_dump(include={"traces", "spans", "sessions", "errors"})
        return {**counts, "first": str(found.first), "last": str(found.last), **names}

    def find(
        self,
        order: TraceOrder = "start",
        limit: Count = 20,
        offset: Count = 0,
        **where: FilterValue,
    ) -> list[dict[str, Any]]:
        """Summaries of the traces that match the filter; warns if some are left out."""
        rows = min(limit, self._context.bounds.rows)
        found = self._store.find(trace_filter(where), order=order, limit=rows + 1, offset=offset)
        return [self._summary(s) for s in self._context.first_rows("find", found, rows)]

    def sample(
        self, n: Count, seed: Seed = 0, spread: bool = False, **where: FilterValue
    ) -> list[str]:
        """Short ids of a random sample; ``spread`` takes one trace of each shape first.

        Warns if it is smaller than it could be.
        """
        most = self._context.bounds.rows
        size = min(n, most + 1)
        found = self._store.sample(size, seed=seed, where=trace_filter(where), spread=spread)
        drawn = self._context.first_rows("sample", found, most, argument="n")
        return [self._short_ids.name(summary.trace_id) for summary in drawn]

    def search(
        self,
        pattern: Pattern,
        field: Name | None = None,
        limit: Count = 20,
        ignore_case: bool = True,
        **where: FilterValue,
    ) -> list[dict[str, Any]]:
        """Matches of the regular expression ``pattern`` with the text around them.

        Warns if some are left out.
        """
        rows = min(limit, self._context.bounds.rows)
        fields = {"fields": [field]} if field else {}
        found = self._store.search(
            pattern,
            regex=True,
            ignore_case=ignore_case,
            where=trace_filter(where),
            limit=rows + 1,
            **fields,
        )
        hits = self._context.first_rows("search", found, rows)
        names = self._short_ids.span_names((hit.trace_id, hit.span_id) for hit in hits)
        return [
            {
                "span": names[hit.trace_id, hit.span_id],
                "field": hit.field,
                "snippet": strip_invisible(hit.snippet),
            }
            for hit in hits
        ]

    def _summary(self, summary: TraceSummary) -> dict[str, Any]:
        return {
            "trace": self._short_ids.name(summary.trace_id),
            "name": strip_invisible(summary.name or ""),
            "start": str(summary.start_time),
            "spans": summary.spans,
            "errors": summary.errors,
            "tokens": summary.tokens,
            "chars": summary.size,
        }
