"""The files of a lake, on a disk or in a bucket."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pa_fs

from halo_adapters.lake.errors import lake_errors
from halo_adapters.lake.layout import (
    FORMAT,
    MARKER,
    MARKER_CONTENT,
    PART,
    PROJECT,
    S3,
    SCRATCH,
    LakePart,
    Partition,
    day_of_folder,
    location_of_lake,
    value_of_folder,
)
from halo_adapters.lake.settings import LakeSettings
from halo_engine.errors import ConfigError
from halo_engine.private_files import make_private_folder, replace_bytes
from halo_engine.schema import Failure
from halo_engine.store.manifest import FACTS_FILE, SPANS_FILE
from halo_engine.store.parts import PartFiles, write_part


class LakeFolder:
    """The files of a lake. A path of it is relative to its folder.

    Makes no request before it is used. For what it cannot do, a method raises an ``AdapterError``,
    or a ``StorageError`` on a disk; one that reads a file an ``OSError``.
    """

    def __init__(self, settings: LakeSettings) -> None:
        self._settings = settings
        self.is_remote = settings.path.startswith(S3)
        self.location = location_of_lake(settings.path)
        self._root = self.location.removeprefix(S3)

    @cached_property
    def _files(self) -> pa_fs.FileSystem:
        if not self.is_remote:
            return pa_fs.LocalFileSystem()
        bucket, given = self._root.partition("/")[0], self._settings
        with lake_errors(self.location):
            region = given.region or (
                "us-east-1" if given.endpoint_url else pa_fs.resolve_s3_region(bucket)
            )
            return pa_fs.S3FileSystem(
                region=region,
                endpoint_override=given.endpoint_url,
                allow_delayed_open=True,  # a small file is written by one request
            )

    # -- what there is ---------------------------------------------------------------------------

    def require(self) -> None:
        """Raise ``ConfigError`` where there is no lake, or one of a later version."""
        # An answer to this request says why there is none; one about a single file does not.
        entries = self.entries()
        if (MARKER, False) not in entries:
            raise ConfigError(
                f"There is no lake at {self.location}: {self._without_marker(entries)}"
            )
        try:
            with lake_errors(self.location):
                found = json.loads(self.read(MARKER))["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{self.location}/{MARKER} is damaged: write {MARKER_CONTENT} into it. ({error})"
            ) from error
        if found != FORMAT:
            raise ConfigError(
                f"The lake {self.location} is of a later version of halo-integrations: upgrade it."
            )

    def _without_marker(self, entries: list[tuple[str, bool]]) -> str:
        """What lacks where there is no marker among ``entries``, and what to do."""
        if any(is_folder and name.startswith(PROJECT) for name, is_folder in entries):
            return f"it has partitions but no {MARKER}. Copy that of the lake that they are from."
        return (
            f"it has no {MARKER}. `halo-integrations pull SOURCE --to {self.location}` makes one."
        )

    def make(self) -> None:
        """Make it a lake unless it is; ``ConfigError`` where there is anything else in it."""
        found = self.entries()
        if (MARKER, False) in found:
            self.require()
            return
        if found:
            raise ConfigError(
                f"{self.location} is no lake and is not empty: name a new or empty place with --to."
            )
        content = MARKER_CONTENT.encode()
        if self.is_remote:
            self._put(MARKER, content)
            return
        make_private_folder(Path(self._root))
        replace_bytes(Path(self._root) / MARKER, content)

    def entries(self, path: str = "") -> list[tuple[str, bool]]:
        """The names in a folder, in order, and whether each is a folder; none where it is not."""
        found: list[pa_fs.FileInfo] = []
        with lake_errors(self.location), suppress(FileNotFoundError):
            found = self._files.get_file_info(pa_fs.FileSelector(self._full(path)))
        folder = pa_fs.FileType.Directory
        return sorted((info.base_name, info.type == folder) for info in found)

    def partitions(self) -> tuple[list[Partition], list[Failure]]:
        """The partitions, and a failure for each name that is not understood."""
        found: list[Partition] = []
        strange: list[Failure] = []
        for name, _ in self.entries():
            if name == MARKER or name.startswith(SCRATCH):
                continue
            try:
                project = value_of_folder(name, "project")
            except ValueError:
                strange.append(self._not_understood(name))
                continue
            for day, _ in self.entries(name):
                try:
                    found.append(Partition(project, day_of_folder(day)))
                except ValueError:
                    strange.append(self._not_understood(f"{name}/{day}"))
        return found, strange

    def parts(self, partition: Partition) -> tuple[list[LakePart], list[Failure]]:
        """The names of parts in a partition, whole or not, and failures as ``partitions``."""
        names = [name for name, _ in self.entries(partition.path)]
        known = [LakePart(name, partition) for name in names if name.startswith(PART)]
        others = [name for name in names if not name.startswith(PART)]
        return known, [self._not_understood(f"{partition.path}/{name}") for name in others]

    def _not_understood(self, path: str) -> Failure:
        what = "This is no file of a lake, so it was not read: move it to another folder."
        return Failure(stage="pull", where=f"{self.location}/{path}", what=what)

    # -- files -----------------------------------------------------------------------------------

    def read(self, path: str) -> bytes:
        """The content of a file."""
        with self._files.open_input_file(self._full(path)) as file:
            content: bytes = file.read()
        return content

    def facts(self, part: LakePart) -> bytes | None:
        """The file of the facts of a part; None where the part is not whole."""
        try:
            with self._files.open_input_stream(self._full(f"{part.path}/{FACTS_FILE}")) as file:
                content: bytes = file.read()
        except FileNotFoundError:
            return None
        return content

    def is_whole(self, part: LakePart) -> bool:
        """Whether a part is there, and whole."""
        with lake_errors(self.location):
            found = self._files.get_file_info(self._full(f"{part.path}/{FACTS_FILE}"))
        is_file: bool = found.type == pa_fs.FileType.File
        return is_file

    def spans(self, part: LakePart) -> Path | pa.NativeFile:
        """The file of the spans of a part, to be read by ``PartReader``."""
        path = self._full(f"{part.path}/{SPANS_FILE}")
        return self._files.open_input_file(path) if self.is_remote else Path(path)

    def add(self, part: LakePart, files: PartFiles) -> None:
        """Write a part: it is there whole, or not at all. The last of its files commits it."""
        if self.is_remote:
            for name, content in files.items():
                self._put(f"{part.path}/{name}", content)
            return
        scratch = Path(self._full(f"{SCRATCH}{part.name}"))
        shutil.rmtree(scratch, ignore_errors=True)  # of a process that was killed
        write_part(scratch, files)
        place = Path(self._full(part.path))
        try:
            make_private_folder(place.parent)
            with lake_errors(self.location):
                scratch.rename(place)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise

    def remove(self, part: LakePart) -> None:
        """Remove a part, what commits it first; another process may have done so."""
        folder = self._full(part.path)
        with lake_errors(self.location), suppress(FileNotFoundError):
            self._files.delete_file(f"{folder}/{FACTS_FILE}")
            self._files.delete_dir(folder)

    def _put(self, path: str, content: bytes) -> None:
        with lake_errors(self.location):
            with self._files.open_output_stream(self._full(path)) as file:
                file.write(content)

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}".rstrip("/")
