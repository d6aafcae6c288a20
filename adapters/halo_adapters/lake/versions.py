"""Where the traces of a lake are: what is known of each without its spans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import pyarrow as pa

from halo_adapters.lake.errors import require_reachable, unreadable_part
from halo_adapters.lake.folder import LakeFolder
from halo_adapters.lake.layout import LakePart, Partition
from halo_engine.schema import Failure
from halo_engine.store.parts import read_parquet

# So many files are read at once: of a bucket, each takes the time of a request.
READERS = 16

COLUMNS = {
    "trace_id": "trace_id",
    "first_row": "first_row",
    "rows": "spans",
    "size": "size",
    "scores": "scores",
    "start": "start_time_unix_nano",
    "errors": "errors",
    "sessions": "session_ids",
    "last_activity": "last_activity_unix_nano",
    "root_has_ended": "root_has_ended",
}


class Version(NamedTuple):
    """A trace in one part: where its spans are there, and the facts that filters ask for.

    Times are nanoseconds since 1970 in UTC, ``size`` is in characters.
    """

    part: LakePart
    trace_id: str
    first_row: int
    rows: int
    size: int
    scores: int
    start: int | None
    errors: int
    sessions: list[str]
    last_activity: int | None
    root_has_ended: bool


PartVersions = list[Version] | Failure | None


class Contents(NamedTuple):
    """What is in some partitions: trace id -> its versions, the later ones last.

    ``unreadable`` are failures of parts, ``strange`` those of names that are not understood.
    """

    versions: dict[str, list[Version]]
    unreadable: list[Failure]
    strange: list[Failure]


def contents_of(lake: LakeFolder, partitions: Iterable[Partition]) -> Contents:
    """What is in ``partitions``, all of it, also while other processes unite small parts there."""
    strange: list[Failure] = []
    read: dict[LakePart, PartVersions] = {}
    todo = list(partitions)
    with ThreadPoolExecutor(READERS) as pool:
        while todo:
            listed = {partition: lake.parts(partition) for partition in todo}
            parts = [part for own, _ in listed.values() for part in own]
            found = dict(zip(parts, pool.map(partial(read_versions, lake), parts), strict=True))
            # What was there and is not any more is in a part that may not have been listed.
            not_whole = {part.partition for part, versions in found.items() if versions is None}
            todo = [each for each in not_whole if lake.parts(each) != listed[each]]
            read |= {part: each for part, each in found.items() if part.partition not in todo}
            strange += (f for p, (_, names) in listed.items() if p not in todo for f in names)
    unreadable = [each for each in read.values() if isinstance(each, Failure)]
    versions: dict[str, list[Version]] = {}
    for part in sorted(read):
        for version in versions_or_none(read[part]):
            versions.setdefault(version.trace_id, []).append(version)
    return Contents(versions, unreadable, strange)


def versions_or_none(found: PartVersions) -> list[Version]:
    """The versions that were read of a part, if it could be."""
    return found if isinstance(found, list) else []


def read_versions(lake: LakeFolder, part: LakePart) -> PartVersions:
    """The traces in a part, or why they cannot be read; None where it is not whole."""
    try:
        content = lake.facts(part)
        return None if content is None else list(versions_of(part, content))
    except (pa.ArrowException, KeyError, OSError) as error:
        require_reachable(lake.location, error)
        return unreadable_part(f"{lake.location}/{part.path}", error)


def versions_of(part: LakePart, content: bytes) -> Iterator[Version]:
    """The traces in a part, by the ``content`` of its facts."""
    facts = read_parquet(pa.BufferReader(content), list(COLUMNS.values()))
    columns = [facts[name].to_pylist() for name in COLUMNS.values()]
    for values in zip(*columns, strict=True):
        yield Version(part, *values)
