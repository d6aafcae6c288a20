"""Writing traces into a lake, as they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from halo_adapters.lake.folder import LakeFolder
from halo_adapters.lake.layout import LakePart, Partition, part_name, partition_of, parts_begin
from halo_adapters.lake.settings import LakeSettings
from halo_adapters.lake.traces import LakeTraces
from halo_adapters.lake.uniting import unite_small_parts
from halo_adapters.lake.versions import Version, read_versions, versions_of, versions_or_none
from halo_engine.schema import Trace, unix_nano_of
from halo_engine.store.manifest import FACTS_FILE
from halo_engine.store.parts import PartFiles, ids_in, packed_part
from halo_engine.store.reading import SETTLING, STILL_OPEN

# So many parts are written at once: into a bucket, each takes the time of some requests.
WRITERS = 8


class LakeWriter:
    """Writes the traces of one run into a lake.

    Its parts are named after the run, so that a run which was interrupted finds what it wrote.
    Several runs can write into one lake.
    """

    def __init__(
        self,
        settings: LakeSettings,
        run_id: str,
        started: datetime,
        *,
        on_written: Callable[[int], None] = lambda traces: None,
    ) -> None:
        """Makes the lake where there is none.

        ``on_written`` is called with the number of traces that the run wrote, after each part.

        Raises ``ConfigError`` where there is something else, and an ``AdapterError`` or
        ``StorageError`` where it cannot be read or written.
        """
        self._lake, self._begin = LakeFolder(settings), parts_begin(run_id, started)
        self._on_written = on_written
        self._lake.make()
        self._touched: set[Partition] = set()
        self._written: dict[str, list[Version]] = {}
        self._number = 0
        for part in self._own_parts():
            self._number = max(self._number, int(part.name.rpartition("-")[2]))
            self._note(part, versions_or_none(read_versions(self._lake, part)))

    @property
    def location(self) -> str:
        """The folder, or the address in a bucket."""
        return self._lake.location

    def trace_ids(self) -> frozenset[str]:
        """The ids of the traces that this run wrote."""
        return frozenset(self._written)

    def spans(self) -> int:
        """How many spans the traces have that this run wrote; to be asked before ``unite``."""
        whole = {i: found for i, found in self._written.items() if len(found) > 1}
        united = sum(len(t.spans) for p in LakeTraces(self._lake).pages(whole) for t in p.traces)
        return united + sum(found[0].rows for found in self._written.values() if len(found) == 1)

    @staticmethod
    def pack(traces: Sequence[Trace]) -> Mapping[Partition, PartFiles]:
        """``traces``, united, as ``add`` takes them, by partition. Any process can do that."""
        by_partition: dict[Partition, list[Trace]] = {}
        for trace in traces:
            by_partition.setdefault(partition_of(trace), []).append(trace)
        return {partition: packed_part(own) for partition, own in by_partition.items()}

    def add(self, packed: Mapping[Partition, PartFiles]) -> frozenset[str]:
        """Write traces; they are in the lake when this returns. Errors as of the constructor.

        Gives the ids of those of which the run had written something before.
        """
        before = {trace_id for files in packed.values() for trace_id in ids_in(files)}
        before &= self._written.keys()
        parts = [
            LakePart(part_name(self._begin, number), partition)
            for number, partition in enumerate(packed, self._number + 1)
        ]
        self._number += len(parts)
        with ThreadPoolExecutor(WRITERS) as pool:
            written = pool.map(self._lake.add, parts, packed.values())
            for part, files, _ in zip(parts, packed.values(), written, strict=True):
                self._note(part, versions_of(part, files[FACTS_FILE]))
                self._on_written(len(self._written))
        return frozenset(before)

    def unsettled(self, read_at: datetime) -> frozenset[str]:
        """As ``TraceReader.unsettled``, of the traces that this run wrote."""
        settled = unix_nano_of(read_at - SETTLING), unix_nano_of(read_at - STILL_OPEN)
        return frozenset(
            trace_id
            for trace_id, found in self._written.items()
            if max(version.last_activity or 0 for version in found)
            > (settled[not any(version.root_has_ended for version in found)] or 0)
        )

    def unite(self) -> None:
        """Make few large parts of the small ones, in the partitions that were written into."""
        for partition in sorted(self._touched, key=lambda touched: touched.path):
            unite_small_parts(self._lake, partition)

    def _own_parts(self) -> list[LakePart]:
        """The parts that this run wrote before it was interrupted."""
        partitions, _ = self._lake.partitions()
        parts = (part for each in partitions for part in self._lake.parts(each)[0])
        return [
            part for part in parts if part.name.startswith(self._begin) and "_" not in part.name
        ]

    def _note(self, part: LakePart, versions: Iterable[Version]) -> None:
        """Note what is in a part that this run wrote."""
        for version in versions:
            self._written.setdefault(version.trace_id, []).append(version)
        self._touched.add(part.partition)
