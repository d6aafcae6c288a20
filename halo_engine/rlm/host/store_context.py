"""What host functions share that only read: the store, its short ids, and what to tell of a call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from halo_engine.rlm.checks import CheckRules
from halo_engine.rlm.sandbox.base import HostError
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.schema import Span
from halo_engine.store import TraceStore

T = TypeVar("T")


class Bounds(NamedTuple):
    """The most rows of one result, and the most characters of one text in it."""

    rows: int = 10_000
    chars: int = 200_000


@dataclass
class StoreContext:
    """The store that is read, by the rules of checks and by short ids.

    ``warnings`` are told with the results: who called a function may not have looked for them.
    """

    rules: CheckRules
    short_ids: ShortIds
    warnings: list[str] = field(default_factory=list, kw_only=True)
    bounds: Bounds = field(default=Bounds(), kw_only=True)

    @property
    def store(self) -> TraceStore:
        """The trace store."""
        return self.rules.store

    def warn(self, text: str) -> None:
        """Add ``text`` to the warnings, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def first_rows(
        self, function: str, rows: Sequence[T], limit: int, *, argument: str = "limit"
    ) -> Sequence[T]:
        """The first ``limit`` of ``rows``; warns if others are left out.

        ``argument`` of ``function`` sets the limit, up to that of ``bounds``.
        """
        if len(rows) > limit:
            self.warn(
                f"{function}: only the first {limit:,} rows; {argument}= takes up to "
                f"{self.bounds.rows:,}"
            )
        return rows[:limit]

    def trace_id(self, reference: object) -> str:
        """The full id of the trace ``reference`` (short or full); raises ``HostError``."""
        trace_id = self.short_ids.trace_id(reference)
        if trace_id is None:
            last = len(self.short_ids.trace_ids)
            raise HostError(f"There is no trace {reference!r}: they are called T1 to T{last}.")
        return trace_id

    def span(self, reference: object) -> Span:
        """The span with the short id ``reference``; raises ``HostError``."""
        span = self.short_ids.span(reference)
        if span is None:
            raise HostError(f"There is no span {reference!r}: write it like T3.5, see outline().")
        return span
