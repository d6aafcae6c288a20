"""The adapter of trace files: reads files, folders of files, and standard input."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, TypeVar

from rich import filesize

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
from halo_adapters.files.health import content_checks
from halo_adapters.files.inputs import STANDARD_INPUT, find_inputs, total_size
from halo_adapters.files.reader import FilesReader
from halo_adapters.files.records import count_of
from halo_adapters.files.settings import FilesSettings
from halo_adapters.trace_filter import FILTERS
from halo_engine.errors import ConfigError

T = TypeVar("T")


class FilesAdapter(BatchSource):
    """Reads trace files: what is in them is recognised by its content, not by their names.

    ``framing`` makes records of bytes, ``formats`` makes spans of records; both may be mixed. Memory
    is bounded by the longest record, whatever the size of the file: a line, a JSON document, a row of
    a table, a message. A record that cannot be read is a ``Failure`` with file and line, and reading
    continues.
    """

    name: ClassVar[str] = "files"
    title: ClassVar[str] = "files"
    Settings: ClassVar[type[FilesSettings]] = FilesSettings
    filters: ClassVar[frozenset[str]] = FILTERS
    follow_ups: ClassVar[frozenset[FollowUpKind]] = frozenset()
    has_usable_defaults: ClassVar[bool] = False
    losses: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: FilesSettings, *, on_wait: OnWait | None = None) -> None:
        self._settings = settings  # reading files never waits for a platform

    def scanned(self, query: TraceQuery, scan: Scan[T]) -> Iterator[Scanned[T]]:
        """Every matching trace, in parts in the order of the files.

        A filter takes two passes: one to choose, one to read what was chosen. Traces in
        ``query.already_stored`` are read again, since later parts of them may be missing. Raises
        ``ConfigError`` where the path does not exist, or no span can be read from it.
        """
        return FilesReader(self._settings).scanned(query, scan)

    def location(self) -> str:
        """The absolute path, or ``-``."""
        path = self._settings.path
        return path if path == STANDARD_INPUT else str(Path(path).absolute())

    def health_checks(self) -> Iterator[HealthCheck]:
        """Whether the path exists, what of its spans is understood, and what is missing in them."""
        try:
            inputs = find_inputs(self._settings.path)
        except ConfigError as error:
            fix = "Give the path of a trace file, or of a folder of them."
            yield HealthCheck(what="path", status=HealthStatus.FAILED, found=str(error), fix=fix)
            return
        size = total_size(inputs)
        if size is None:
            yield HealthCheck(
                what="path", status=HealthStatus.OK, found="a stream, read when a run starts"
            )
            return
        found = f"{count_of(len(inputs), 'file')}, {filesize.decimal(size)}"
        yield HealthCheck(what="path", status=HealthStatus.OK, found=found)
        yield from content_checks(self.pull(TraceQuery()))
