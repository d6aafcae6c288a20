"""Where the traces of a lake are: what is known of each without its spans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pyarrow as pa

from halo_adapters.lake.errors import require_there
from halo_adapters.lake.folder import LakeFolder
from halo_adapters.lake.layout import LakePart
from halo_engine.schema import Failure
from halo_engine.store.manifest import FACTS_FILE
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


def versions_in(
    lake: LakeFolder, parts: Iterable[LakePart], failures: list[Failure]
) -> dict[str, list[Version]]:
    """Trace id -> its versions in ``parts``, the later ones last.

    What cannot be read is added to ``failures``.
    """
    found: dict[str, list[Version]] = {}
    with ThreadPoolExecutor(READERS) as pool:
        ordered = sorted(parts)
        for part, content in zip(ordered, pool.map(lake.facts, ordered), strict=True):
            try:
                for version in versions_of(part, content):
                    found.setdefault(version.trace_id, []).append(version)
            except (pa.ArrowException, KeyError, OSError) as error:
                require_there(lake.location, error)
                failures.append(unreadable_part(lake, part, error))
    return found


def versions_of(part: LakePart, content: bytes | None) -> Iterator[Version]:
    """The traces in a part, by the ``content`` of its facts; none in one that is not whole."""
    if content is not None:
        facts = read_parquet(pa.BufferReader(content), list(COLUMNS.values()))
        columns = [facts[name].to_pylist() for name in COLUMNS.values()]
        for values in zip(*columns, strict=True):
            yield Version(part, *values)


def unreadable_part(lake: LakeFolder, part: LakePart, error: Exception) -> Failure:
    """The failure of a part that is damaged, or has other columns."""
    what = (
        f"The traces of this part cannot be read: it is damaged, or of another version. ({error})"
    )
    return Failure(stage="pull", where=f"{lake.location}/{part.path}/{FACTS_FILE}", what=what)
