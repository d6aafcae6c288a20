"""What is read of a lake in one step, by any process that reaches it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from msgspec import structs

from halo_adapters.base import TracePage
from halo_adapters.lake.folder import LakeFolder
from halo_adapters.lake.settings import LakeSettings
from halo_adapters.lake.traces import LakeTraces
from halo_adapters.lake.versions import Version
from halo_adapters.trace_filter import QueryFilter
from halo_engine.schema import Trace


class LakeBatch(NamedTuple):
    """Some traces of a lake; those that match ``only``, unless that is None.

    ``total`` is that of the page.
    """

    settings: LakeSettings
    versions: Mapping[str, Sequence[Version]]
    total: int | None = None
    only: QueryFilter | None = None

    def __str__(self) -> str:
        return f"{len(self.versions)} traces from {next(iter(self.versions))} on were read"

    @property
    def is_on_disk(self) -> bool:
        """Whether the lake is a folder of this machine."""
        return not lake_in_process(self.settings).is_remote

    def decoded(self) -> TracePage:
        """The traces, each whole and once; one that cannot be read is a failure."""
        page = LakeTraces(lake_in_process(self.settings)).page(self.versions)
        traces = tuple(t for t in page.traces if self.only is None or matches(t, self.only))
        return structs.replace(page, traces=traces, total=self.total)


class StartsPage(TracePage):
    """In place of traces the first start of each, by its id."""

    starts: Mapping[str, int | None] = {}


class StartsBatch(NamedTuple):
    """A batch of whose traces only the starts are asked for."""

    batch: LakeBatch

    def __str__(self) -> str:
        return str(self.batch)

    @property
    def is_on_disk(self) -> bool:
        """See ``LakeBatch``."""
        return self.batch.is_on_disk

    def decoded(self) -> StartsPage:
        """A page with the starts of the traces that match."""
        page = self.batch.decoded()
        starts = {trace.trace_id: first_start_in(trace) for trace in page.traces}
        return StartsPage(failures=page.failures, starts=starts)


@lru_cache(maxsize=1)  # its connection, and the region of its bucket, serve for all batches
def lake_in_process(settings: LakeSettings) -> LakeFolder:
    """The lake, in this process."""
    return LakeFolder(settings)


def matches(trace: Trace, query_filter: QueryFilter) -> bool:
    """Whether a trace is as ``query_filter`` asks."""
    return bool(query_filter.matching(query_filter.facts_in(trace.spans)))


def first_start_in(trace: Trace) -> int | None:
    """The earliest start in a trace."""
    starts = [s.start_time_unix_nano for s in trace.spans if s.start_time_unix_nano is not None]
    return min(starts, default=None)
