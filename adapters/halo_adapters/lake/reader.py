"""Which traces of a lake match a query: by their partition, by their facts, by their spans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import nlargest
from typing import TypeVar

from halo_adapters import otlp
from halo_adapters.base import Scan, Scanned, TracePage, TraceQuery
from halo_adapters.lake.batches import LakeBatch, StartsBatch, StartsPage
from halo_adapters.lake.folder import LakeFolder
from halo_adapters.lake.settings import LakeSettings
from halo_adapters.lake.traces import bounded_versions
from halo_adapters.lake.versions import Version, contents_of
from halo_adapters.trace_failures import missing_trace
from halo_adapters.trace_filter import QueryFilter
from halo_engine.schema import Failure, unix_nano_of
from halo_engine.statistics.sampling import sample_ids

T = TypeVar("T")

Versions = dict[str, list[Version]]
Starts = dict[str, int | None]

# What of a query says nothing of a single trace, or is answered by its partition or its id.
NO_FILTER = {"project", "trace_ids", "limit", "sample", "seed", "already_stored"}
# What its facts answer.
BY_FACTS = {"since", "until", "session_id", "errors_only"}


class LakeReader:
    """Reads what matches a query of the traces of a lake."""

    def __init__(self, settings: LakeSettings, query: TraceQuery) -> None:
        self._query, self._lake = query, LakeFolder(settings)
        # Whoever decodes a batch may be in another folder.
        self._settings = settings.model_copy(update={"path": self._lake.location})
        self._ids = {otlp.full_trace_id(trace_id) or trace_id for trace_id in query.trace_ids}
        kept = {"project": None, "limit": None, "sample": None, "trace_ids": ()}
        self._of_spans = QueryFilter(query.model_copy(update=kept))

    def scanned(self, scan: Scan[T]) -> Iterator[Scanned[T]]:
        """Every matching trace, whole; failures of what cannot be read, or is not understood."""
        self._lake.require()
        found, failures = self._in_partitions()
        missing = sorted(self._ids - found.keys())
        failures += (missing_trace(self._lake.location, trace_id) for trace_id in missing)
        if failures:
            yield from scan([TracePage(failures=tuple(failures))])
        starts, unsure = self._by_facts(found)
        if unsure and not self._takes_a_share:
            yield from scan(self._batches(found, [*starts, *unsure], only=self._of_spans))
            return
        if unsure:
            yield from self._asked_for_starts(found, unsure, starts, scan)
        chosen = self._chosen(starts)
        yield from scan(self._batches(found, chosen, total=len(chosen)))

    @property
    def _takes_a_share(self) -> bool:
        """Whether it depends on the others that match whether a trace is read."""
        return self._query.limit is not None or self._query.sample is not None

    def _batches(
        self,
        found: Versions,
        trace_ids: Iterable[str],
        *,
        total: int | None = None,
        only: QueryFilter | None = None,
    ) -> Iterator[LakeBatch]:
        """These traces, but for those that are stored already."""
        stored = self._query.already_stored
        wanted = {trace_id: found[trace_id] for trace_id in trace_ids if trace_id not in stored}
        for versions in bounded_versions(wanted):
            yield LakeBatch(self._settings, versions, total, only)

    def _asked_for_starts(
        self, found: Versions, unsure: Iterable[str], starts: Starts, scan: Scan[T]
    ) -> Iterator[Scanned[T]]:
        """First pass: add the ``starts`` of those ``unsure`` that match."""
        asked = bounded_versions({trace_id: found[trace_id] for trace_id in unsure})
        batches = (LakeBatch(self._settings, versions, only=self._of_spans) for versions in asked)
        for scanned in scan(map(StartsBatch, batches)):
            if isinstance(scanned.page, StartsPage):
                starts.update(scanned.page.starts)
            yield scanned

    def _in_partitions(self) -> tuple[Versions, list[Failure]]:
        """What is in the partitions that can have matching traces, and failures."""
        partitions, strange = self._lake.partitions()
        found = contents_of(self._lake, (p for p in partitions if p.may_have(self._query)))
        return found.versions, [*strange, *found.strange, *found.unreadable]

    def _by_facts(self, found: Versions) -> tuple[Starts, list[str]]:
        """The starts of the traces that match by their facts, and those to be asked for their spans.

        A trace in several parts is to be united for that.
        """
        asked = {name for name in TraceQuery.model_fields if getattr(self._query, name)} - NO_FILTER
        starts: Starts = {}
        unsure: list[str] = []
        for trace_id, versions in found.items():
            if self._ids and trace_id not in self._ids:
                continue
            if not asked:
                known = [v.start for v in versions if v.start is not None]
                starts[trace_id] = min(known, default=None)
            elif len(versions) > 1 or (asked - BY_FACTS and self._has_facts(versions[0])):
                unsure.append(trace_id)
            elif self._has_facts(versions[0]):
                starts[trace_id] = versions[0].start
        return starts, unsure

    def _has_facts(self, version: Version) -> bool:
        """Whether the facts of a trace are as the query asks."""
        query, start = self._query, version.start
        since, until = unix_nano_of(query.since), unix_nano_of(query.until)
        if (since is not None or until is not None) and start is None:
            return False
        return (
            (since is None or start is None or since <= start)
            and (until is None or start is None or start < until)
            and (query.session_id is None or query.session_id in (version.sessions or ()))
            and (version.errors > 0 or not query.errors_only)
        )

    def _chosen(self, starts: Starts) -> list[str]:
        """The newest ``limit`` of them, a random ``sample``, or all."""
        query = self._query
        if query.sample is not None:
            return sample_ids(starts, query.sample, query.seed)
        if query.limit is not None:
            return nlargest(query.limit, starts, key=lambda trace_id: starts[trace_id] or 0)
        return list(starts)
