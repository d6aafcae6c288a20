"""Traces chosen of files in two passes: what the second reads, and files that change meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from halo_adapters.base import Batch, Scanned, TraceQuery, traces_here
from halo_adapters.files.adapter import FilesAdapter, FilesSettings
from halo_adapters.files.batches import PAGE_BYTES, PAGE_ITEMS, FilePage
from halo_engine.schema import Trace
from trace_files import Row, lines_of, row, written


class Scans:
    """Makes traces of batches here; ``batches`` are those of each time."""

    def __init__(self, between: Callable[[], object] = lambda: None) -> None:
        self.batches: list[list[Batch]] = []
        self._between = between

    def __call__(self, batches: Iterable[Batch]) -> Iterator[Scanned[tuple[Trace, ...]]]:
        self.batches.append([])
        for batch in batches:
            self.batches[-1].append(batch)
            yield from traces_here([batch])
        self._between()

    def spans_read(self, path: Path, **query: Any) -> list[str]:
        """The ids of the spans that match."""
        adapter = FilesAdapter(FilesSettings(path=str(path)))
        found = adapter.scanned(TraceQuery(**query), self)
        return [s.span_id for each in found for trace in each.result for s in trace.spans]


def test_what_has_no_span_of_a_matching_trace_is_not_handed_out_again(tmp_path: Path) -> None:
    rows = [row(f"t{n}", f"s{n}") for n in range(2 * PAGE_ITEMS + 100)]
    rows[-1]["status"] = {"code": "ERROR"}
    path, scans = written(tmp_path, rows), Scans()
    assert scans.spans_read(path, errors_only=True) == [rows[-1]["span_id"]]
    first, second = ([str(batch) for batch in batches] for batches in scans.batches)
    assert len(first) == 3
    assert second == [first[-1], "nothing was read"]


def test_spans_that_are_written_while_traces_are_chosen_are_read_too(tmp_path: Path) -> None:
    path = written(tmp_path, [row("t1", "a", status={"code": "ERROR"}), row("t2", "b")])

    def more() -> None:
        with path.open("ab") as file:
            file.write(lines_of([row("t2", "c"), row("t1", "d")]))

    assert Scans(more).spans_read(path, errors_only=True) == ["a", "d"]


@pytest.mark.parametrize(
    "left", [None, [], [row("t2", "b"), row("t1", "a", status={"code": "ERROR"})]]
)
def test_spans_that_are_gone_once_their_traces_are_chosen_are_a_failure(
    tmp_path: Path, left: list[Row] | None
) -> None:
    path = written(tmp_path, [row("t1", "a", status={"code": "ERROR"}), row("t2", "b")])

    def less() -> None:
        path.unlink(missing_ok=True)
        if left is not None:
            path.write_bytes(lines_of(left))

    adapter = FilesAdapter(FilesSettings(path=str(path)))
    found = list(adapter.scanned(TraceQuery(errors_only=True), Scans(less)))
    (failure,) = [failure for each in found for failure in each.page.failures]
    assert failure.where == str(path)
    assert failure.what.startswith("1 span of the traces that match could not be read")


def test_traces_are_chosen_of_one_large_record_too(tmp_path: Path) -> None:
    large = row("t1", "a", name="x" * PAGE_BYTES)
    path, scans = written(tmp_path, [[large, row("t2", "b", status={"code": "ERROR"})]]), Scans()
    assert scans.spans_read(path, errors_only=True) == ["b"]
    assert {type(batch) for batch in scans.batches[0]} == {FilePage}
