"""Small parts of a partition become few large ones.

A united part takes the place of the last of those that it is made of, and is there before they are
removed: whoever reads in between, or after a crash, finds traces twice, which is the same as once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import NamedTuple

from halo_adapters.lake.folder import LakeFolder
from halo_adapters.lake.layout import APART, LakePart, Partition, united_name
from halo_adapters.lake.traces import LakeTraces
from halo_adapters.lake.versions import Version, contents_of
from halo_engine.schema import Trace
from halo_engine.store.parts import packed_part

# A part is small up to so many characters of text. So many small ones are left alone; more become
# parts of about the next number, which are held in memory while they are united.
SMALL_CHARS = 16_000_000
FEW_PARTS = 8
UNITED_CHARS = 48_000_000


class Sized(NamedTuple):
    """A part with the traces in it, and the characters of these."""

    part: LakePart
    versions: dict[str, Version]
    chars: int


def unite_small_parts(lake: LakeFolder, partition: Partition) -> None:
    """Unite the small parts of ``partition``, where there are more than a few.

    Nothing is done in one of which something cannot be read. A part with a trace that is in a
    partition beside it, too, stays in its place, for the order of the versions of that trace.
    """
    names, _ = lake.parts(partition)
    if len(names) <= FEW_PARTS:
        return
    found = contents_of(lake, [partition])
    parts = sized_parts(found.versions)
    small = [each for each in parts if each.chars <= SMALL_CHARS]
    if found.unreadable or len(small) <= FEW_PARTS:
        return
    spread = traces_beside(lake, partition)
    for group in following_parts(parts, spread):
        unite_group(lake, group)


def sized_parts(found: dict[str, list[Version]]) -> list[Sized]:
    """The parts of these versions, in their order."""
    by_part: dict[LakePart, dict[str, Version]] = {}
    for trace_id, versions in found.items():
        for version in versions:
            by_part.setdefault(version.part, {})[trace_id] = version
    return [
        Sized(part, versions, sum(version.size for version in versions.values()))
        for part, versions in sorted(by_part.items())
    ]


def traces_beside(lake: LakeFolder, partition: Partition) -> set[str]:
    """The ids of the traces in the partitions of the days beside that of ``partition``."""
    if partition.day is None:
        return set()
    days = {partition.day + timedelta(days=n) for n in range(-APART.days, APART.days + 1)}
    beside = [Partition(partition.project, day) for day in days - {partition.day}]
    return set(contents_of(lake, beside).versions)


def following_parts(parts: Iterable[Sized], spread: set[str]) -> Iterator[list[Sized]]:
    """Small parts that follow each other, in groups that become one part each.

    Between those of a group there is no other part, so that versions stay in their order.
    """
    group: list[Sized] = []
    for part in parts:
        fits = part.chars <= SMALL_CHARS and spread.isdisjoint(part.versions)
        if group and (not fits or sum(p.chars for p in group) + part.chars > UNITED_CHARS):
            yield group
            group = []
        if fits:
            group.append(part)
    yield group


def unite_group(lake: LakeFolder, group: list[Sized]) -> None:
    """Write one part of a group, and remove those of the group."""
    if len(group) < 2:
        return
    versions: dict[str, list[Version]] = {}
    for part in group:
        for trace_id, version in part.versions.items():
            versions.setdefault(trace_id, []).append(version)
    traces: list[Trace] = []
    for page in LakeTraces(lake).pages(versions):
        if page.failures:
            return
        traces += page.traces
    if not all(lake.is_whole(part.part) for part in group):
        return  # another process has united them meanwhile
    last = group[-1].part
    lake.add(LakePart(united_name(last.name), last.partition), packed_part(traces))
    for part in group:
        lake.remove(part.part)
