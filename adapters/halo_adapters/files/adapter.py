"""The adapter of trace files: reads files, folders of files, and standard input."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from halo_adapters.base import (
    FollowUpKind,
    HealthCheck,
    HealthStatus,
    OnWait,
    TracePage,
    TraceQuery,
)
from halo_adapters.files.inputs import STANDARD_INPUT, Input, find_inputs, total_size
from halo_adapters.files.reader import FilesReader, no_span_message
from halo_adapters.files.settings import FilesSettings
from halo_engine.errors import ConfigError
from halo_engine.schema import Span


class FilesAdapter:
    """Reads trace files: what is in them is recognised by its content, not by their names.

    ``framing`` makes records of bytes, ``formats`` makes spans of records; both may be mixed. Memory
    is bounded by the longest record, whatever the size of the file: a line, a JSON document, a row of
    a table, a message. A record that cannot be read is a ``Failure`` with file and line, and reading
    continues.
    """

    name: ClassVar[str] = "files"
    title: ClassVar[str] = "files"
    Settings: ClassVar[type[FilesSettings]] = FilesSettings
    filters: ClassVar[frozenset[str]] = frozenset(
        {
            *("project", "since", "until", "trace_ids", "session_id", "errors_only", "metadata"),
            *("environments", "names", "tags", "user_id", "version", "limit", "sample"),
        }
    )
    follow_ups: ClassVar[frozenset[FollowUpKind]] = frozenset()
    has_usable_defaults: ClassVar[bool] = False
    losses: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: FilesSettings, *, on_wait: OnWait | None = None) -> None:
        self._settings = settings  # reading files never waits for a platform

    def pull(self, query: TraceQuery) -> Iterator[TracePage]:
        """Every matching trace, in parts in the order of the files.

        A filter that needs whole traces takes two passes: one to select, one to read. Traces in
        ``query.already_stored`` are read again, since later parts of them may be missing. Raises
        ``ConfigError`` where the path does not exist, or no span can be read from it.
        """
        return FilesReader(self._settings).pages(query)

    def location(self) -> str:
        """The absolute path, or ``-``."""
        path = self._settings.path
        return path if path == STANDARD_INPUT else str(Path(path).absolute())

    def health_checks(self) -> Iterator[HealthCheck]:
        """Whether the path exists, and its first record is in a known format."""
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
        found = f"{len(inputs)} file{'s' * (len(inputs) > 1)}, {size / 1e6:.1f} MB"
        yield HealthCheck(what="path", status=HealthStatus.OK, found=found)
        yield self._check_format(inputs)

    def _check_format(self, inputs: list[Input]) -> HealthCheck:
        """Whether the first record is a span."""
        reference, first = FilesReader(self._settings).first_item(inputs)
        if isinstance(first, Span):
            found = f"{reference} holds span {first.span_id}"
            return HealthCheck(what="format", status=HealthStatus.OK, found=found)
        found = no_span_message(self._settings.path, first)
        fix = "Give files in one of these formats, or look at the first line."
        return HealthCheck(what="format", status=HealthStatus.FAILED, found=found, fix=fix)
