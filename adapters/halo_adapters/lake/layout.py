"""How a lake is laid out.

    lake.json                                   says that the folder is a lake
    project=NAME/day=YYYY-MM-DD/part-*/         a part, as a trace store has them
        spans.parquet  scores.parquet  counts.parquet  traces.parquet

A part is there once its ``traces.parquet`` is, which is written last, and is never changed. Parts are
in the order of their names: a trace in several of them is their union, in which a later one replaces
what an earlier one says of the same span. So a part that is written twice changes nothing.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote
from uuid import uuid4

from halo_adapters.base import TraceQuery
from halo_engine.errors import ConfigError
from halo_engine.schema import Trace

MARKER = "lake.json"
FORMAT = 1
MARKER_CONTENT = json.dumps({"format": FORMAT})
S3 = "s3://"
# What others that write and read partitions of this form call a value that is missing.
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
# A name of a disk has at most 255 bytes; a value that is longer than this is told by so many letters
# of its beginning, each of which takes up to 12 bytes, and by its hash.
LONGEST_VALUE = 220
BEGINNING = 16
PROJECT = "project="
PART = "part-"
# Folders in which a part is written before it has its name.
SCRATCH = "new-"

# Of a trace that was read piece by piece, each piece is in the partition of its own start: those of
# the days beside a window are looked at, too.
APART = timedelta(days=1)


class Partition(NamedTuple):
    """A project and a day (UTC); None where a trace has none."""

    project: str | None
    day: date | None

    @property
    def path(self) -> str:
        """The folder of the partition, below that of the lake."""
        return f"project={text_of_value(self.project)}/day={text_of_value(self.day)}"

    def may_have(self, query: TraceQuery) -> bool:
        """Whether traces that match ``query``, or pieces of them, can be in it."""
        if query.project is not None and text_of_value(query.project) != text_of_value(
            self.project
        ):
            return False
        if query.since is None and query.until is None:
            return True
        if self.day is None:
            return False
        since = query.since and (query.since.astimezone(UTC) - APART).date()
        until = query.until and (query.until.astimezone(UTC) + APART).date()
        return (since is None or since <= self.day) and (until is None or self.day <= until)


class LakePart(NamedTuple):
    """A part: its name, which orders all of a lake, and where it is."""

    name: str
    partition: Partition

    @property
    def path(self) -> str:
        """The folder of the part, below that of the lake."""
        return f"{self.partition.path}/{self.name}"


def is_lake(path: str) -> bool:
    """Whether ``path`` is the address of a bucket, or a folder with what a lake has."""
    if path.startswith(S3):
        return True
    with suppress(OSError):
        folder = Path(path)
        return (folder / MARKER).is_file() or any(folder.glob(f"{PROJECT}*/day=*/{PART}*"))
    return False


def location_of_lake(path: str) -> str:
    """A folder as an absolute path, or the address of a prefix in a bucket.

    Raises ``ConfigError`` for an address without a bucket.
    """
    if not path.startswith(S3):
        return str(Path(path).absolute())
    bucket, _, prefix = path.removeprefix(S3).strip("/").partition("/")
    if not bucket:
        raise ConfigError(f"{path} names no bucket: write s3://BUCKET/PREFIX.")
    return f"{S3}{bucket}/{prefix}".rstrip("/")


def parts_begin(run_id: str, started: datetime) -> str:
    """How the names of the parts of a run begin: those of a run that started later come later."""
    return f"{PART}{started.astimezone(UTC):%Y%m%d-%H%M%S-%f}-{run_id.rpartition('-')[2]}-"


def part_name(begin: str, number: int) -> str:
    """The name of a part of the run whose parts so ``begin``, in their order."""
    return f"{begin}{number:06}"


def united_name(last: str) -> str:
    """A name for the union of parts, in their place in the order: right after the ``last`` of them.

    It has a random end, since two processes may unite the same parts.
    """
    base, _, united = last.partition("_")
    return f"{base}_{int(united[:4] or 0) + 1:04}-{uuid4().hex[:8]}"


def partition_of(trace: Trace) -> Partition:
    """Where ``trace`` is stored."""
    projects = (s.origin.project for s in trace.spans if s.origin and s.origin.project)
    starts = [s.start_time_unix_nano for s in trace.spans if s.start_time_unix_nano is not None]
    return Partition(next(projects, None), day_of(min(starts)) if starts else None)


def day_of(unix_nano: int) -> date | None:
    """The day of a time in UTC; None for one that no calendar has."""
    try:
        return datetime.fromtimestamp(unix_nano // 10**9, UTC).date()
    except (OverflowError, ValueError, OSError):
        return None


def text_of_value(value: str | date | None) -> str:
    """A value of a partition as its folder says it; what no disk takes as a name by its hash."""
    if value is None:
        return NO_VALUE
    text = quote(str(value), safe=" ")
    if len(text) <= LONGEST_VALUE:
        return text
    digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    return f"{quote(str(value)[:BEGINNING], safe=' ')}~{digest}"


def value_of_folder(name: str, key: str) -> str | None:
    """What the folder ``name`` says of ``key``; raises ``ValueError`` where it does not."""
    found, separator, value = name.partition("=")
    if found != key or not separator:
        raise ValueError(f"{name} is no {key}=VALUE")
    return None if value == NO_VALUE else unquote(value)


def day_of_folder(name: str) -> date | None:
    """The day of a folder; raises ``ValueError`` where it names none."""
    value = value_of_folder(name, "day")
    return None if value is None else date.fromisoformat(value)
