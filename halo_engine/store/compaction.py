"""Small parts of a store become few large ones, when its writer has ended.

A platform is read in pages of some traces, and each page is a part. A query opens the files of every
part, so many small ones make it slow.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pyarrow as pa

from halo_engine.chunks import sized_chunks
from halo_engine.errors import StorageError
from halo_engine.private_files import file_errors
from halo_engine.store.columns import SPANS
from halo_engine.store.manifest import SPANS_FILE, Manifest, write_manifest
from halo_engine.store.parts import (
    PartFiles,
    PartReader,
    parquet_bytes,
    part_files,
    read_counts,
    read_facts,
    read_scores,
    row_groups,
    write_part,
)

SCRATCH = "new-"

# A part is small up to so many characters, which some thousand spans exceed. So many small ones are
# left alone; more become large ones, of as many characters as take some 60 MB while they are united.
# What they take packed says nothing of that.
SMALL_CHARS = 1_000_000
FEW_PARTS = 8
UNITED_CHARS = 20_000_000


def scratch_folder(store: Path) -> Path:
    """A folder in which a new part can be written; it is removed if its writer ends before."""
    return store / f"{SCRATCH}{uuid4().hex}"


def remove_leftovers(store: Path, manifest: Manifest) -> None:
    """Remove what earlier writers left that ended while they wrote, or while they united parts."""
    with file_errors(store):
        folders = [path for path in store.iterdir() if path.is_dir()]
    for folder in folders:
        if folder.name not in manifest.parts:
            shutil.rmtree(folder, ignore_errors=True)


def unite_parts(store: Path, manifest: Manifest) -> None:
    """Write small parts, and those of which most is stored anew in others, as few large ones.

    The store stays as it is where the disk is too full for that: it is slower to read.
    """
    worn = [part for part in manifest.parts if is_worn(store, manifest, part)]
    if len(worn) <= FEW_PARTS and not any(part in manifest.superseded for part in worn):
        return
    united = manifest
    with suppress(StorageError):
        for names in sized_chunks(((name, chars_of(store / name)) for name in worn), UNITED_CHARS):
            folder = scratch_folder(store)
            counts = sum_counts(read_counts(store / name) for name in names)
            write_part(folder, united_part([visible(store, manifest, n) for n in names], counts))
            united = united.replacing(names, [united.next_part()])
            with file_errors(store):
                folder.rename(store / united.parts[-1])
        write_manifest(store, united)
        remove_leftovers(store, united)


def is_worn(store: Path, manifest: Manifest, part: str) -> bool:
    """Whether ``part`` is small, or most of its traces are in a later part, too."""
    hidden = len(manifest.superseded.get(part, ()))
    return (
        chars_of(store / part) < SMALL_CHARS
        or hidden * 2 > read_facts(store / part, ["spans"]).num_rows
    )


def chars_of(part: Path) -> int:
    """The characters of the spans of a part."""
    return sum(read_facts(part, ["size"])["size"].to_pylist())


class PartTables(NamedTuple):
    """The rows of a part that are read, the spans in the order of the traces."""

    spans: pa.Table
    facts: pa.Table
    scores: pa.Table


def visible(store: Path, manifest: Manifest, part: str) -> PartTables:
    """What of ``part`` no later part replaces."""
    # Takes as long to import as a short run to be stored, and most stores have few parts.
    import pyarrow.compute as pc

    folder, hidden = store / part, pa.array(manifest.superseded.get(part, ()), pa.string())
    whole = PartReader(folder / SPANS_FILE).whole(), read_facts(folder), read_scores(folder)
    kept = (t.filter(pc.invert(pc.is_in(t["trace_id"], value_set=hidden))) for t in whole)
    return PartTables(*kept)


def sum_counts(counts: Iterable[Counter[tuple[str, str]]]) -> Counter[tuple[str, str]]:
    """All ``counts`` together, also those that are taken off."""
    total: Counter[tuple[str, str]] = Counter()
    for part in counts:
        total.update(part)
    return total


def united_part(parts: Sequence[PartTables], counts: Counter[tuple[str, str]]) -> PartFiles:
    """The files of one part of several, by the start of the traces."""
    spans = pa.concat_tables(part.spans for part in parts)
    facts = pa.concat_tables(part.facts for part in parts)
    facts = facts.set_column(facts.num_columns - 1, "first_row", begins(facts["spans"]))
    facts = facts.sort_by([("start_time_unix_nano", "ascending"), ("trace_id", "ascending")])
    places = list(zip(facts["first_row"].to_pylist(), facts["spans"].to_pylist(), strict=True))
    facts = facts.set_column(facts.num_columns - 1, "first_row", begins(facts["spans"]))
    scores = pa.concat_tables(part.scores for part in parts)
    return part_files(parquet_bytes(SPANS, slices(spans, places)), facts, scores, counts)


def begins(numbers: pa.ChunkedArray) -> pa.Array:
    """The sum of all ``numbers`` before each."""
    import pyarrow.compute as pc

    return pc.subtract(pc.cumulative_sum(numbers), numbers)


def slices(spans: pa.Table, places: Iterable[tuple[int, int]]) -> Iterator[pa.Table]:
    """The rows at ``places``, first row and number, in tables of the size of a row group."""
    sizes = spans["size"].to_pylist()
    traces = (range(first, first + number) for first, number in places)
    for rows in row_groups(traces, sizes.__getitem__):
        yield spans.take(pa.array(rows, pa.int64()))
