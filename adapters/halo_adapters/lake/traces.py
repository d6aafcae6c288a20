"""The traces of a lake, whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
from msgspec import MsgspecError

from halo_adapters.base import TracePage
from halo_adapters.lake.errors import require_there
from halo_adapters.lake.folder import LakeFolder
from halo_adapters.lake.layout import LakePart
from halo_adapters.lake.versions import Version
from halo_adapters.trace_failures import trace_failure
from halo_engine.schema import Failure, Score, Trace
from halo_engine.store.columns import SPANS
from halo_engine.store.manifest import SCORES_FILE
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


class LakeTraces:
    """Reads traces of a lake by where they are."""

    def __init__(self, lake: LakeFolder) -> None:
        self._lake = lake
        self._parts: dict[LakePart, OpenPart] = {}

    def pages(self, versions: Mapping[str, Sequence[Version]]) -> Iterator[TracePage]:
        """The traces of ``versions`` as ``page`` gives them, in the order of their parts."""
        return map(self.page, bounded_versions(versions))

    def page(self, versions: Mapping[str, Sequence[Version]]) -> TracePage:
        """The traces of ``versions``, each whole and once; one that cannot be read is a failure."""
        traces: list[Trace] = []
        failures: list[Failure] = []
        for trace_id, own in versions.items():
            try:
                traces.append(self._united(own))
            except UNREADABLE as error:
                require_there(self._lake.location, error)
                what = f"A part of the lake {self._lake.location} is damaged. ({error})"
                failures.append(trace_failure(trace_id, what))
        return TracePage(traces=tuple(traces), failures=tuple(failures))

    def _united(self, versions: Sequence[Version]) -> Trace:
        """The union of the versions of a trace, the later ones last."""
        first, *later = versions
        trace = united_trace(None, [self._read(first)])
        for version in later:
            trace = united_trace(trace, [self._read(version)])
        return trace

    def _read(self, version: Version) -> Trace:
        if version.part not in self._parts:
            if len(self._parts) == OPEN_PARTS:
                self._parts.pop(next(iter(self._parts)))
            self._parts[version.part] = OpenPart(self._lake, version.part)
        return self._parts[version.part].trace(version)


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
