"""Reading of traces from files, in parts of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from typing import TypeVar

from msgspec import structs

from halo_adapters.base import Batch, Scan, Scanned, TracePage, TraceQuery, traces_here
from halo_adapters.files.asides import Asides
from halo_adapters.files.batches import (
    PAGE_BYTES,
    PAGE_ITEMS,
    FileBatch,
    FilePage,
    group_by_trace,
)
from halo_adapters.files.cut_traces import SortedLines, are_traces_cut_up
from halo_adapters.files.formats.recognition import ACCEPTED
from halo_adapters.files.framing.lines import Lines
from halo_adapters.files.inputs import STANDARD_INPUT, Input, find_inputs, rewindable, total_size
from halo_adapters.files.records import Record
from halo_adapters.files.settings import FilesSettings
from halo_adapters.trace_failures import missing_trace
from halo_adapters.trace_filter import QueryFilter
from halo_engine.errors import ConfigError
from halo_engine.schema import Failure, Span

T = TypeVar("T")

NOT_AGAIN = Failure(
    stage="pull",
    where="stdin",
    what="The record holds log records with events of spans, or descriptions of traces, which are "
    "added to their spans when a file is read again: give a file in place of standard input.",
)

# A piece, with the number of its input.
PlacedPiece = tuple[int, Record | Lines]

Select = Callable[[Iterable[Span]], list[Span]]


class FilesReader:
    """Reads the files at one path."""

    def __init__(self, settings: FilesSettings) -> None:
        self._path = settings.path
        self._max_record_bytes = settings.max_record_bytes
        self._asides = Asides()
        self._told: set[str] = set()  # what is told once
        self._are_traces_cut_up: bool | None = None

    def scanned(self, query: TraceQuery, scan: Scan[T]) -> Iterator[Scanned[T]]:
        """Every matching trace, in parts in the order of the files; then the ids that none has.

        Records are decoded by ``scan`` where all traces are wanted, else here. Raises
        ``ConfigError`` where the path does not exist, or no span can be read from it.
        """
        query_filter = QueryFilter(query)
        yield from self._matching(find_inputs(self._path), query_filter, scan)
        place = "Standard input" if self._path == STANDARD_INPUT else self._path
        if lost := query_filter.missing_ids():
            failures = tuple(missing_trace(place, trace_id) for trace_id in lost)
            yield from scan([TracePage(failures=failures)])

    def _matching(
        self, inputs: list[Input], query_filter: QueryFilter, scan: Scan[T]
    ) -> Iterator[Scanned[T]]:
        """In one pass over ``inputs``, or in two: one to select, one to read."""
        if not query_filter.needs_two_passes:
            select = None if query_filter.takes_all else query_filter.select
            yield from self._pass(inputs, scan, select)
            if self._asides:
                yield from self._amended(inputs, query_filter.select, scan)
            return
        with rewindable(inputs) as again:
            for collected in self._pass(again, traces_here, query_filter.collect, passes=2):
                yield from scan([collected.page])  # without traces: there is nothing to hand out
            for scanned in self._pass(again, scan, query_filter.select, done=1, passes=2):
                page = structs.replace(scanned.page, failures=(), total=query_filter.total)
                yield structs.replace(scanned, page=page)

    def _amended(self, inputs: list[Input], select: Select, scan: Scan[T]) -> Iterator[Scanned[T]]:
        """Once more the spans of which something is said in records of their own, with that.

        They replace those that were read before: it is the same record.
        """
        if total_size(inputs) is None:
            yield from scan([TracePage(failures=(NOT_AGAIN,))])
            return
        asides = self._asides

        def amended(spans: Iterable[Span]) -> list[Span]:
            return [s for s in select(spans) if asides.has(s.trace_id, s.span_id)]

        for scanned in self._pass(inputs, scan, amended, done=1, passes=2):
            yield structs.replace(scanned, page=structs.replace(scanned.page, failures=()))

    def _pass(
        self,
        inputs: list[Input],
        scan: Scan[T],
        select: Select | None,
        *,
        done: int = 0,
        passes: int = 1,
    ) -> Iterator[Scanned[T]]:
        """One pass over ``inputs``; ``done`` of all ``passes`` are complete."""
        if done:
            self._asides.complete()
        inputs = [replace(source) for source in inputs]  # none of them read
        found, first_failure = 0, None
        batches = self._batches(inputs, done, passes)
        for scanned in scan(self._selected(batches, select)):
            page = scanned.page
            if isinstance(page, FilePage):
                page = self._noted(page)
                found += page.spans
            first_failure = first_failure or next(iter(page.failures), None)
            yield structs.replace(scanned, page=page)
        if not found:
            raise ConfigError(no_span_message(self._path, first_failure, self._asides))

    def _noted(self, page: FilePage) -> FilePage:
        """``page`` with those of its failures that were not told yet; its asides are kept."""
        for aside in page.asides:
            self._asides.add(aside)
        new: dict[str, Failure] = {}
        for key, failure in page.told_once:
            if key not in self._told:
                new.setdefault(key, failure)
        self._told.update(new)
        return structs.replace(page, failures=(*page.failures, *new.values()))

    def _selected(self, batches: Iterable[FileBatch], select: Select | None) -> Iterator[Batch]:
        """``batches``, decoded here where spans are to be selected, or where a record is large."""
        for batch in batches:
            is_large = len(batch.pieces) == 1 and batch.pieces[0][1].size > PAGE_BYTES
            if select is None and not is_large:
                yield batch
                continue
            for page in batch.pages(self._asides):
                spans = [span for trace in page.traces for span in trace.spans]
                traces = group_by_trace(select(spans)) if select else page.traces
                yield structs.replace(page, traces=traces)

    def _batches(self, inputs: list[Input], done: int, passes: int) -> Iterator[FileBatch]:
        """Everything in ``inputs`` in batches of bounded size, a large record by itself."""
        limit, total = self._max_record_bytes, total_size(inputs)
        is_cut = total is not None and total > PAGE_BYTES and self._is_cut_up(inputs)
        each = ([(n, piece)] for n, each in enumerate(inputs) for piece in each.pieces(limit))
        groups = with_whole_traces(each, total) if is_cut and total else bounded_groups(each)
        # Where lines are sorted first, each is read twice.
        size, again = total and total * passes * (1 + is_cut), 0
        for placed in groups:
            pieces = tuple((inputs[number].label, piece) for number, piece in placed)
            if total is None:
                yield FileBatch(pieces, limit)
                continue
            read = sum(source.read for source in inputs)
            again += sum(piece.size for _, piece in pieces) if read == total and is_cut else 0
            yield FileBatch(pieces, limit, done * total * (1 + is_cut) + read + again, size)

    def _is_cut_up(self, inputs: Iterable[Input]) -> bool:
        """Whether many traces are in many batches; asked once, whatever the number of passes."""
        if self._are_traces_cut_up is None:
            lines = chain.from_iterable(
                source.json_lines(self._max_record_bytes) for source in inputs
            )
            self._are_traces_cut_up = are_traces_cut_up(lines, PAGE_BYTES)
        return self._are_traces_cut_up


def with_whole_traces(
    pieces: Iterable[Sequence[PlacedPiece]], size: int
) -> Iterator[Sequence[PlacedPiece]]:
    """``pieces`` in groups of bounded size, after their lines, of ``size``, were sorted by trace.

    While that is done groups without lines of traces are given, so that progress can be told.
    """
    with ExitStack() as stack:
        sorted_lines = SortedLines(stack, size)
        for group in bounded_groups(pieces):
            others: list[PlacedPiece] = []
            for number, piece in group:
                left = sorted_lines.add(number, piece) if isinstance(piece, Lines) else (piece,)
                others += ((number, each) for each in left)
            yield others
        yield from bounded_groups(sorted_lines.traces())


def bounded_groups(units: Iterable[Sequence[PlacedPiece]]) -> Iterator[Sequence[PlacedPiece]]:
    """``units`` in groups of ``PAGE_BYTES`` or ``PAGE_ITEMS`` at most, or one unit that is larger."""
    group: list[PlacedPiece] = []
    size = number = 0
    for unit in units:
        own = sum(piece.size for _, piece in unit)
        if group and (size + own > PAGE_BYTES or number >= PAGE_ITEMS):
            yield group
            group, size, number = [], 0, 0
        group += unit
        size += own
        number += sum(piece.lines if isinstance(piece, Lines) else 1 for _, piece in unit)
    if group:
        yield group


def no_span_message(path: str, failure: Failure | None, asides: Asides | None = None) -> str:
    """The message for an input without spans, with the first failure as the reason."""
    why = " It is empty."
    if failure:
        why = f" {failure.where}: {failure.what}"
    elif asides:
        why = (
            " It describes spans or traces that are in other files (log records, a table of traces):"
            " give the folder with both."
        )
    return f"No span could be read from {path}.{why} Accepted are {ACCEPTED}."
