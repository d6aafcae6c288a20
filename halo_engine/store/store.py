"""The trace store: writes traces, and answers queries, searches and SQL over them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from halo_engine.errors import EngineError, StorageError
from halo_engine.private_files import file_errors
from halo_engine.schema import Trace
from halo_engine.store.compaction import remove_leftovers, scratch_folder, unite_parts
from halo_engine.store.connection import path_of
from halo_engine.store.database import derived_path, disk_errors, remove_derived, write_derived
from halo_engine.store.earlier_file import earlier_file, traces_in
from halo_engine.store.manifest import has_manifest, read_manifest, write_manifest
from halo_engine.store.parts import PartFiles, ids_in, packed_part, positions_in, write_part
from halo_engine.store.queries import TraceQueries
from halo_engine.store.rows import DerivedTable, table_of
from halo_engine.store.search import TraceSearch
from halo_engine.store.sql import SqlWorker
from halo_engine.store.union import united_traces

SQL_SECONDS = 10.0
SQL_ROWS = 1000


class TraceStore(TraceQueries, TraceSearch):
    """The traces of one run in a folder of parts.

    ``TraceStore(path)`` opens it for writing, which one process at a time can do;
    ``TraceStore(path, read_only=True)`` opens it for reading and for ``sql``, also while another
    process writes: what was stored by then is read.
    """

    def __init__(self, path: Path | str, *, read_only: bool = False) -> None:
        take_over_earlier_file(path_of(path))
        super().__init__(path, read_only=read_only)
        self._sql = SqlWorker(self.path)
        if not read_only:
            remove_leftovers(self.path, self._manifest)

    def close(self) -> None:
        """Unite small parts where something was written, release the files and end the SQL worker."""
        self._sql.close()
        self._forget_parts()
        self._forget_database()  # its memory is free for uniting
        try:
            if not self.read_only:
                unite_parts(self.path, read_manifest(self.path))
        finally:
            super().close()

    def ingest(self, traces: Iterable[Trace]) -> None:
        """Store ``traces``, on disk when this returns: those that came together, as ``add`` does.

        Of different spans with one id among ``traces`` all are kept.
        """
        self.add(self.pack(united_traces({}, traces)))

    @staticmethod
    def pack(traces: Sequence[Trace]) -> PartFiles:
        """``traces``, united, as ``add`` takes them. Any process can do that."""
        return packed_part(traces)

    def add(self, part: PartFiles) -> frozenset[str]:
        """Store a part, on disk when this returns; gives the ids of those that were stored before.

        A trace that is stored already becomes the union of both versions. A span with the same id
        is replaced, unless it is another record (``Origin.reference``) that says something else:
        then both are kept. A record of a span that has not ended gives way to one of the same span
        that has, whichever comes first. The scores of the trace are replaced as a whole. With an
        error nothing is stored. Raises ``StorageError`` where the disk is full.
        """
        if not (trace_ids := ids_in(part)):
            return frozenset()
        with self._committing():
            before = self._stored_of(trace_ids)
            self._add(part)
            if before:
                after = list(self._whole(list(before)))
                whole = united_traces(before, after)
                self._add(packed_part(whole, [*before.values(), *after]))
        return frozenset(before)

    def _stored_of(self, trace_ids: Iterable[str]) -> dict[str, Trace]:
        """The stored versions of those of ``trace_ids`` that are stored."""
        again = self._positions.keys() & set(trace_ids)
        return {trace.trace_id: trace for trace in self._whole(sorted(again))} if again else {}

    def _add(self, part: PartFiles) -> None:
        """Take a part into the store; its traces replace those of earlier parts."""
        name, folder = self._manifest.next_part(), scratch_folder(self.path)
        write_part(folder, part)
        with file_errors(self.path):
            folder.rename(self.path / name)
        added = dict(positions_in(self.path / name, frozenset()))
        superseded: dict[str, list[str]] = {}
        for trace_id in added.keys() & self._positions.keys():
            superseded.setdefault(self._positions[trace_id].part, []).append(trace_id)
        self._manifest = self._manifest.with_part(name, superseded)
        self._positions.update(added)
        self._forget_database()

    @contextmanager
    def _committing(self) -> Iterator[None]:
        """What the block adds is stored at its end, or nothing of it with an error.

        Which of both, the manifest on disk says: Ctrl-C may come when it is replaced already.
        """
        try:
            yield
            write_manifest(self.path, self._manifest)
        except BaseException:
            self.__dict__.pop("_positions", None)
            self._forget_database()
            self._manifest = read_manifest(self.path)
            remove_leftovers(self.path, self._manifest)
            raise

    def sql(
        self,
        query: str,
        *,
        rows: int | None = SQL_ROWS,
        seconds: float = SQL_SECONDS,
        chars: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> list[dict[str, Any]]:
        """The first ``rows`` rows (None: all) of a SELECT over ``spans``, ``traces`` and ``scores``.

        Values are those of JSON: numbers, strings, lists; times and decimals are strings. Strings
        are truncated to ``chars`` characters; only ``columns`` are kept. The query runs in a worker
        process, so that it cannot exhaust the memory of this one.

        Raises ``EngineError`` if the store is not opened read-only, if the query is not one SELECT,
        fails (with DuckDB's message), takes longer than ``seconds``, or needs too much memory.
        """
        if not self.read_only:
            raise EngineError("SQL needs a store opened with read_only=True.")
        return self._sql.rows(query, rows=rows, seconds=seconds, chars=chars, columns=columns)

    def derive(self, *tables: DerivedTable) -> None:
        """Keep what was derived from the traces beside the store, for ``sql`` to read.

        A table of the same name is replaced. Raises ``StorageError`` where the disk is full.
        """
        path = derived_path(self.path)
        arrow = ((table.name, table_of(table.columns, table.rows)) for table in tables)
        with self._sql.stopped(), disk_errors(path):
            write_derived(path, arrow)

    def forget_derived(self) -> None:
        """Delete all derived tables; raises ``StorageError`` where that is not possible."""
        path = derived_path(self.path)
        with self._sql.stopped(), file_errors(path):
            remove_derived(path)


def take_over_earlier_file(path: Path) -> None:
    """Convert what an earlier version stored for ``path``, where that was not done yet.

    The new store is built beside it and takes its place whole, so that an interrupted conversion is
    repeated. Raises ``EngineError`` if the file is damaged or in use, and ``StorageError``.
    """
    file = earlier_file(path)
    if has_manifest(path) or not file.is_file():
        return
    built = path.with_name(f"{path.name}-converted")
    try:
        with TraceStore(built) as store:
            for traces in traces_in(file):
                store.ingest(traces)
        with file_errors(path):
            built.rename(path)
            file.unlink()
    except StorageError as error:
        error.add_note(f"{file} is of an earlier version, and converted when it is first used.")
        raise
