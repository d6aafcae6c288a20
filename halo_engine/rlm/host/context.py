"""What all host functions share: the store with its short ids, and the model that reads traces."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeVar

from halo_engine.comparison import ComparedCorpus
from halo_engine.findings import Report
from halo_engine.llm import ChatModel, ModelClient
from halo_engine.rlm.checks import CheckRules
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.events import EventLog
from halo_engine.rlm.mapping import Mapper
from halo_engine.rlm.sandbox.base import HostError
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.rlm.survey import PURPOSE as SURVEY
from halo_engine.schema import Span
from halo_engine.store import TraceStore

T = TypeVar("T")

MAX_ROWS = 10_000
# Share of what the survey left of the budget that host functions may use for model calls. The rest is
# for turns, in which what was read is tested and submitted.
READING_SHARE = 0.6


@dataclass
class HostContext:
    """The environment of one session: ``model`` answers questions about traces.

    ``signals`` is the report of the detectors, ``corpus`` compares the runs. ``log`` is told what
    happens. ``warnings`` are put before the output in the next reply, so that the root model receives
    them even if its code prints nothing.
    """

    rules: CheckRules
    short_ids: ShortIds
    signals: Report
    corpus: ComparedCorpus
    client: ModelClient
    model: ChatModel
    delimiter: DataDelimiter
    log: EventLog = field(default_factory=EventLog)
    warnings: list[str] = field(default_factory=list)

    @property
    def store(self) -> TraceStore:
        """The trace store."""
        return self.rules.store

    def mapper(self) -> Mapper:
        """What asks the model about many traces."""
        return Mapper(self.client, self.model, self.short_ids, self.delimiter, self.log)

    def warn(self, text: str) -> None:
        """Add ``text`` to the warnings, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def first_rows(
        self, function: str, rows: Sequence[T], limit: int, *, argument: str = "limit"
    ) -> Sequence[T]:
        """The first ``limit`` of ``rows``; warns if others are left out.

        ``argument`` of ``function`` sets the limit, ``MAX_ROWS`` at most.
        """
        if len(rows) > limit:
            self.warn(
                f"{function}: only the first {limit:,} rows; {argument}= takes up to {MAX_ROWS:,}"
            )
        return rows[:limit]

    def reading(self) -> AbstractContextManager[None]:
        """A block in which only the share of the budget for reading traces is available."""
        surveyed = (SURVEY, f"{SURVEY} repair")
        return self.client.budget.up_to_part(READING_SHARE, after=surveyed)

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
