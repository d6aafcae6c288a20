"""The adapter of lakes: reads what ``pull --to`` wrote."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, TypeVar

from halo_adapters.base import (
    BatchSource,
    FollowUpKind,
    HealthCheck,
    HealthStatus,
    OnWait,
    Scan,
    Scanned,
    TraceQuery,
)
from halo_adapters.lake.folder import LakeFolder
from halo_adapters.lake.layout import location_of_lake
from halo_adapters.lake.reader import LakeReader
from halo_adapters.lake.settings import LakeSettings
from halo_adapters.trace_filter import FILTERS

T = TypeVar("T")


class LakeAdapter(BatchSource):
    """Reads the traces of a lake: of the partitions that can have what is asked for."""

    name: ClassVar[str] = "lake"
    title: ClassVar[str] = "lake"
    Settings: ClassVar[type[LakeSettings]] = LakeSettings
    filters: ClassVar[frozenset[str]] = FILTERS
    follow_ups: ClassVar[frozenset[FollowUpKind]] = frozenset()
    has_usable_defaults: ClassVar[bool] = False
    losses: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: LakeSettings, *, on_wait: OnWait | None = None) -> None:
        self._settings = settings  # pyarrow repeats a request by itself
        location_of_lake(settings.path)

    def scanned(self, query: TraceQuery, scan: Scan[T]) -> Iterator[Scanned[T]]:
        """Every matching trace, whole and once: of several versions in it, their union.

        Raises ``ConfigError`` where there is no lake.
        """
        return LakeReader(self._settings, query).scanned(scan)

    def location(self) -> str:
        """The absolute path of the folder, or the address in the bucket."""
        return location_of_lake(self._settings.path)

    def health_checks(self) -> Iterator[HealthCheck]:
        """Whether the lake can be read, and what is in it."""
        lake = LakeFolder(self._settings)
        lake.require()
        partitions, strange = lake.partitions()
        projects = {partition.project for partition in partitions}
        days = sorted(partition.day for partition in partitions if partition.day)
        window = f", {days[0]} to {days[-1]}" if days else ""
        found = f"{len(projects)} projects, {len(partitions)} partitions{window}"
        yield HealthCheck(what="lake", status=HealthStatus.OK, found=found)
        if strange:
            found = f"{len(strange)} names are not understood, the first of them {strange[0].where}"
            fix = "Move what is no part of a lake to another folder: it is not read."
            yield HealthCheck(what="files", status=HealthStatus.WARNING, found=found, fix=fix)
