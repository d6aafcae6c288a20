"""What all host functions share: the store with its short ids, and the model that reads traces."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from halo_engine.comparison import ComparedCorpus
from halo_engine.findings import Report
from halo_engine.llm import ChatModel, ModelClient
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.events import EventLog
from halo_engine.rlm.host.store_context import StoreContext
from halo_engine.rlm.mapping import Mapper
from halo_engine.rlm.survey import PURPOSE as SURVEY

# Share of what the survey left of the budget that host functions may use for model calls. The rest is
# for turns, in which what was read is tested and submitted.
READING_SHARE = 0.6


@dataclass
class HostContext(StoreContext):
    """The environment of one session: ``model`` answers questions about traces.

    ``signals`` is the report of the detectors, ``corpus`` compares the runs. ``log`` is told what
    happens. Warnings are put before the output in the next reply, so that the root model receives
    them even if its code prints nothing.
    """

    signals: Report
    corpus: ComparedCorpus
    client: ModelClient
    model: ChatModel
    delimiter: DataDelimiter
    log: EventLog = field(default_factory=EventLog)

    def mapper(self) -> Mapper:
        """What asks the model about many traces."""
        return Mapper(self.client, self.model, self.short_ids, self.delimiter, self.log)

    def reading(self) -> AbstractContextManager[None]:
        """A block in which only the share of the budget for reading traces is available."""
        surveyed = (SURVEY, f"{SURVEY} repair")
        return self.client.budget.up_to_part(READING_SHARE, after=surveyed)
