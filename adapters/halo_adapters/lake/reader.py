"""Which traces of a lake match a query: by their partition, by their facts, by their spans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import nlargest

from halo_adapters import otlp
from halo_adapters.base import Batch, TracePage, TraceQuery
from halo_adapters.lake.folder import LakeFolder
from halo_adapters.lake.layout import LakePart
from halo_adapters.lake.settings import LakeSettings
from halo_adapters.lake.traces import LakeBatch, LakeTraces, bounded_versions
from halo_adapters.lake.versions import Version, versions_in
from halo_adapters.trace_failures import missing_trace
from halo_adapters.trace_filter import QueryFilter
from halo_engine.schema import Failure, Trace, unix_nano_of
from halo_engine.statistics.sampling import sample_ids

Versions = dict[str, list[Version]]

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

    def batches(self) -> Iterator[Batch]:
        """Every matching trace, whole; failures of what cannot be read, or is not understood."""
        self._lake.require()
        failures: list[Failure] = []
        found = self._in_partitions(failures)
        missing = sorted(self._ids - found.keys())
        failures += (missing_trace(self._lake.location, trace_id) for trace_id in missing)
        starts, unread = self._matching(found)
        chosen = self._chosen(starts)
        if failures or unread:
            yield TracePage(failures=(*failures, *unread), total=len(chosen))
        stored = self._query.already_stored
        wanted = {trace_id: found[trace_id] for trace_id in chosen if trace_id not in stored}
        for versions in bounded_versions(wanted):
            yield LakeBatch(self._settings, versions, total=len(chosen))

    def _in_partitions(self, failures: list[Failure]) -> Versions:
        """What is in the partitions that can have matching traces."""
        partitions, strange = self._lake.partitions()
        failures += strange
        parts: list[LakePart] = []
        for partition in partitions:
            if partition.may_have(self._query):
                found, strange = self._lake.parts(partition)
                parts += found
                failures += strange
        return versions_in(self._lake, parts, failures)

    def _matching(self, found: Versions) -> tuple[dict[str, int | None], list[Failure]]:
        """Trace id -> the start of those that match, and those that could not be read for that.

        The facts answer for most. A trace in several parts is united first.
        """
        asked = {name for name in TraceQuery.model_fields if getattr(self._query, name)} - NO_FILTER
        starts: dict[str, int | None] = {}
        unsure: Versions = {}
        for trace_id in self._ids & found.keys() if self._ids else found:
            versions = found[trace_id]
            if not asked:
                starts[trace_id] = min(
                    (v.start for v in versions if v.start is not None), default=None
                )
            elif len(versions) > 1 or (asked - BY_FACTS and self._has_facts(versions[0])):
                unsure[trace_id] = versions
            elif self._has_facts(versions[0]):
                starts[trace_id] = versions[0].start
        failures: list[Failure] = []
        for page in LakeTraces(self._lake).pages(unsure):
            failures += page.failures
            starts.update(
                (t.trace_id, first_start_in(t)) for t in page.traces if self._has_spans(t)
            )
        return starts, failures

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

    def _has_spans(self, trace: Trace) -> bool:
        """Whether the spans of a trace are as the query asks."""
        return bool(self._of_spans.matching(self._of_spans.facts_in(trace.spans)))

    def _chosen(self, starts: Mapping[str, int | None]) -> list[str]:
        """The newest ``limit`` of them, a random ``sample``, or all."""
        query = self._query
        if query.sample is not None:
            return sample_ids(starts, query.sample, query.seed)
        if query.limit is not None:
            return nlargest(query.limit, starts, key=lambda trace_id: starts[trace_id] or 0)
        return list(starts)


def first_start_in(trace: Trace) -> int | None:
    """The earliest start in a trace."""
    starts = [s.start_time_unix_nano for s in trace.spans if s.start_time_unix_nano is not None]
    return min(starts, default=None)
