"""The traces of a lake, whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
from msgspec import MsgspecError

from halo_adapters.base import TracePage
from halo_adapters.lake.errors import is_gone, require_reachable, unreadable_part
from halo_adapters.lake.folder import LakeFolder
from halo_adapters.lake.layout import LakePart
from halo_adapters.lake.versions import Version, contents_of
from halo_engine.schema import Failure, Score, Trace
from halo_engine.store.columns import SPANS
from halo_engine.store.manifest import FACTS_FILE, SCORES_FILE, SPANS_FILE
from halo_engine.store.parts import PartReader, read_parquet, values_in
from halo_engine.store.reading import batches
from halo_engine.store.rows import score_of, span_of
from halo_engine.store.union import united_trace

# The files of so many parts are held open.
OPEN_PARTS = 8
# What is raised for a part that is damaged, or has other columns.
UNREADABLE = (pa.ArrowException, MsgspecError, OSError, LookupError, TypeError, ValueError)


def bounded_versions(
    versions: Mapping[str, Sequence[Version]],
) -> Iterator[dict[str, Sequence[Version]]]:
    """The traces of ``versions`` in batches of bounded size, in the order of their parts."""
    ordered = sorted(versions, key=lambda trace_id: place_in_lake(versions[trace_id][0]))
    sizes = [(trace_id, sum(v.size for v in versions[trace_id])) for trace_id in ordered]
    for batch in batches(sizes):
        yield {trace_id: versions[trace_id] for trace_id in batch}


class UnreadPartError(Exception):
    """A part, in the folder ``where``, cannot be read, or some of it; ``why`` is what was raised."""

    def __init__(self, where: str, why: Exception) -> None:
        super().__init__(where, why)
        self.where, self.why, self.is_gone = where, why, is_gone(why)


class LakeTraces:
    """Reads traces of a lake by where they are."""

    def __init__(self, lake: LakeFolder) -> None:
        self._lake = lake
        self._parts: dict[LakePart, OpenPart] = {}
        self._closed: dict[LakePart, Exception] = {}  # those that could not be opened

    def pages(self, versions: Mapping[str, Sequence[Version]]) -> Iterator[TracePage]:
        """The traces of ``versions`` as ``page`` gives them, in the order of their parts."""
        return map(self.page, bounded_versions(versions))

    def page(self, versions: Mapping[str, Sequence[Version]]) -> TracePage:
        """The traces of ``versions``, each whole and once; failures of parts that cannot be read.

        What another process has united meanwhile is read where it is by now.
        """
        traces: list[Trace] = []
        unread: dict[str, UnreadPartError] = {}
        for trace_id, own in versions.items():
            try:
                traces.append(self._united(own))
            except UnreadPartError as error:
                unread[trace_id] = error
        gone = {i: versions[i] for i, each in unread.items() if each.is_gone}
        moved = self._moved(gone) if gone else {}
        failures = failures_of({i: each for i, each in unread.items() if i not in moved})
        if moved:
            page = self.page(moved)
            traces += page.traces
            failures += page.failures
        return TracePage(traces=tuple(traces), failures=tuple(failures))

    def _moved(self, gone: Mapping[str, Sequence[Version]]) -> dict[str, list[Version]]:
        """Where those of the traces ``gone`` are that are elsewhere by now."""
        partitions = {version.part.partition for own in gone.values() for version in own}
        found = contents_of(self._lake, partitions).versions
        return {i: found[i] for i, own in gone.items() if i in found and found[i] != list(own)}

    def _united(self, versions: Sequence[Version]) -> Trace:
        """The union of the versions of a trace, the later ones last."""
        first, *later = versions
        trace = united_trace(None, [self._read(first)])
        for version in later:
            trace = united_trace(trace, [self._read(version)])
        return trace

    def _read(self, version: Version) -> Trace:
        try:
            return self._open(version.part).trace(version)
        except UNREADABLE as error:
            require_reachable(self._lake.location, error)
            raise UnreadPartError(f"{self._lake.location}/{version.part.path}", error) from error

    def _open(self, part: LakePart) -> OpenPart:
        if part in self._closed:
            raise self._closed[part]
        if part not in self._parts:
            if len(self._parts) == OPEN_PARTS:
                self._parts.pop(next(iter(self._parts)))
            try:
                self._parts[part] = OpenPart(self._lake, part)
            except UNREADABLE as error:
                self._closed[part] = error
                raise
        return self._parts[part]


class OpenPart:
    """A part whose spans are read; its scores are, when one is asked for."""

    def __init__(self, lake: LakeFolder, part: LakePart) -> None:
        self._lake, self._part = lake, part
        self._spans = PartReader(lake.spans(part))
        # The row groups that were read last, and their first row: traces follow each other.
        self._begin, self._groups = 0, pa.table({})
        self._scores: dict[str, list[Score]] | None = None

    def trace(self, version: Version) -> Trace:
        """A trace as it is in this part."""
        spans = tuple(map(span_of, values_in(self._rows(version.first_row, version.rows))))
        if [span.trace_id for span in spans] != [version.trace_id] * version.rows:
            raise ValueError(f"{SPANS_FILE} has other spans than {FACTS_FILE} says")
        scores = tuple(self._scores_of(version.trace_id)) if version.scores else ()
        return Trace(trace_id=version.trace_id, spans=spans, scores=scores)

    def _rows(self, first: int, number: int) -> pa.Table:
        is_read = self._begin <= first and first + number <= self._begin + len(self._groups)
        if not is_read:
            self._begin, self._groups = self._spans.groups(first, number, list(SPANS))
        return self._groups.slice(first - self._begin, number)

    def _scores_of(self, trace_id: str) -> list[Score]:
        if self._scores is None:
            self._scores = {}
            content = self._lake.read(f"{self._part.path}/{SCORES_FILE}")
            for row in values_in(read_parquet(pa.BufferReader(content))):
                self._scores.setdefault(row[0], []).append(score_of(row))
        return self._scores.get(trace_id, [])


def place_in_lake(version: Version) -> tuple[LakePart, int]:
    """Where the spans of a version are."""
    return version.part, version.first_row


def failures_of(unread: Mapping[str, UnreadPartError]) -> list[Failure]:
    """The failures of the parts for which traces, by their id, could not be read: one for each."""
    by_part: dict[str, list[str]] = {}
    for trace_id, error in unread.items():
        by_part.setdefault(error.where, []).append(trace_id)
    return [unreadable_part(where, unread[ids[0]].why, ids) for where, ids in by_part.items()]
