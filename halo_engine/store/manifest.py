"""Which parts make up a store.

The manifest is replaced whole, and is what commits: a folder that it does not name is not part of
the store. It was left by a process that ended while it wrote, or is about to be named.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from halo_engine.errors import EngineError
from halo_engine.private_files import file_errors, replace_bytes, sync_folder

MANIFEST = "manifest.json"
FORMAT = 1
SPANS_FILE, FACTS_FILE = "spans.parquet", "traces.parquet"
SCORES_FILE, COUNTS_FILE = "scores.parquet", "counts.parquet"


class Manifest(NamedTuple):
    """The folders of the parts of a store, and of each the traces that a later part holds anew."""

    parts: tuple[str, ...] = ()
    superseded: Mapping[str, frozenset[str]] = {}

    def next_part(self) -> str:
        """The name for another part, later than all others."""
        last = max((int(name.rpartition("-")[2]) for name in self.parts), default=0)
        return f"part-{last + 1:06}"

    def with_part(self, name: str, superseded: Mapping[str, Iterable[str]]) -> Manifest:
        """This, and one part more, which holds anew the traces ``superseded`` of earlier parts."""
        before = self.superseded
        hidden = {
            part: before.get(part, frozenset()).union(ids) for part, ids in superseded.items()
        }
        return Manifest((*self.parts, name), {**before, **hidden})

    def replacing(self, parts: Iterable[str], names: Iterable[str]) -> Manifest:
        """This with the parts ``names`` in place of ``parts``."""
        gone = set(parts)
        return Manifest(
            (*(name for name in self.parts if name not in gone), *names),
            {part: ids for part, ids in self.superseded.items() if part not in gone},
        )


def has_manifest(folder: Path) -> bool:
    """Whether ``folder`` is that of a store."""
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the store in ``folder``.

    Raises ``EngineError`` if it is damaged, of a later format, or names a part that is gone.
    """
    manifest = stored_manifest(folder)
    while gone := [part for part in manifest.parts if not (folder / part).is_dir()]:
        # Its writer may have united parts since the manifest was read.
        before, manifest = manifest, stored_manifest(folder)
        if manifest == before:
            raise EngineError(
                f"The trace store {folder} cannot be opened: it is damaged, {gone[0]} is gone. "
                "Start a new run."
            )
    return manifest


def stored_manifest(folder: Path) -> Manifest:
    """The manifest as it is on disk; raises as ``read_manifest`` does."""
    path = folder / MANIFEST
    try:
        stored = json.loads(path.read_bytes())
        superseded = {part: frozenset(ids) for part, ids in stored["superseded"].items()}
        manifest = Manifest(tuple(stored["parts"]), superseded)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineError(
            f"The trace store {folder} cannot be opened: {MANIFEST} is damaged. Start a new run. "
            f"({error})"
        ) from error
    if stored.get("format") != FORMAT:
        raise EngineError(
            f"The trace store {folder} is of a later version of halo-integrations: upgrade it."
        )
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Make ``manifest`` that of the store in ``folder``; raises ``StorageError``."""
    superseded = {part: sorted(ids) for part, ids in manifest.superseded.items()}
    stored = {"format": FORMAT, "parts": manifest.parts, "superseded": superseded}
    replace_bytes(folder / MANIFEST, json.dumps(stored).encode())
    with file_errors(folder):
        sync_folder(folder)
