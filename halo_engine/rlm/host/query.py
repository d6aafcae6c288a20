"""Host functions that query the store: SQL, and scores of the platform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from halo_engine.rlm.host.arguments import Count, Name, Text
from halo_engine.rlm.host.store_context import StoreContext
from halo_engine.rlm.sandbox.base import HostFunction
from halo_engine.text.sanitize import strip_invisible

CELL_CHARS = 2000


class Query:
    """The host functions that query the store."""

    def __init__(self, context: StoreContext) -> None:
        self._context = context
        self._short_ids = context.short_ids

    def functions(self) -> tuple[HostFunction, ...]:
        """The functions that code can call."""
        return self.sql, self.scores

    def sql(
        self, query: Text, limit: Count = 100, chars: Count = CELL_CHARS
    ) -> list[dict[str, Any]]:
        """The rows of a query; warns if rows are left out, or texts are cut that need not be."""
        bounds = self._context.bounds
        max_rows, max_chars = min(limit, bounds.rows), min(chars, bounds.chars)
        found = self._context.store.sql(query, rows=max_rows + 1, chars=max_chars + 1)
        rows = self._context.first_rows("sql", found, max_rows)
        is_default = max_chars == CELL_CHARS
        if is_default and any(is_longer(v, max_chars) for row in rows for v in row.values()):
            self._context.warn(
                f"sql: texts are cut at {max_chars:,}; chars= takes up to {bounds.chars:,}"
            )
        ids = [(str(row.get("trace_id")), str(row.get("span_id"))) for row in rows]
        return [
            {**short_ids, **{name: cell(value, max_chars) for name, value in row.items()}}
            for short_ids, row in zip(self._row_ids(ids), rows, strict=True)
        ]

    def scores(self, name: Name | None = None, limit: Count = 100) -> list[dict[str, Any]]:
        """Scores and annotations of the traces that were read; warns if some are left out."""
        max_rows = min(limit, self._context.bounds.rows)
        found = self._context.store.scores(name, limit=max_rows + 1)
        return [
            {
                "trace": self._short_ids.name(trace_id),
                "name": strip_invisible(score.name),
                "label": score.label and strip_invisible(score.label),
                "value": score.value,
                "explanation": truncated(strip_invisible(score.explanation or "")),
                "source": score.source,
            }
            for trace_id, score in self._context.first_rows("scores", found, max_rows)
        ]

    def _row_ids(self, ids: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
        """The short ids of each pair of trace id and span id, as far as they are in the store."""
        spans = self._short_ids.span_names(ids)
        traces = [self._short_ids.trace_id(trace_id) for trace_id, _ in ids]
        return [
            {
                **({"trace": self._short_ids.name(trace_id)} if trace_id else {}),
                **({"span": spans[pair]} if pair in spans else {}),
            }
            for pair, trace_id in zip(ids, traces, strict=True)
        ]


def is_longer(value: Any, chars: int) -> bool:
    """Whether ``value`` is a text of more than ``chars`` characters."""
    return isinstance(value, str) and len(value) > chars


def cell(value: Any, chars: int) -> Any:
    """A value of a query as code can use it: numbers and None as they are, the rest as text."""
    is_text = value is not None and not isinstance(value, (int, float, bool))
    return truncated(strip_invisible(str(value)), chars) if is_text else value


def truncated(text: str, chars: int = CELL_CHARS) -> str:
    """``text``, cut to ``chars`` characters and marked if it is longer."""
    return f"{text[:chars]} [...]" if len(text) > chars else text
