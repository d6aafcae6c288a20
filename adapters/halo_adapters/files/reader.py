"""Reading of traces from files, in parts of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TypeVar

from msgspec import structs

from halo_adapters.base import Batch, Scan, Scanned, TracePage, TraceQuery
from halo_adapters.files.asides import Asides
from halo_adapters.files.batches import (
    PAGE_BYTES,
    PAGE_ITEMS,
    BatchFacts,
    FileBatch,
    FilePage,
    group_by_trace,
)
from halo_adapters.files.choosing import asked_for_facts, facts_of_traces, span_count, with_chosen
from halo_adapters.files.cut_traces import SortedLines, are_traces_cut_up
from halo_adapters.files.formats.recognition import ACCEPTED
from halo_adapters.files.framing.lines import Lines
from halo_adapters.files.inputs import STANDARD_INPUT, Input, find_inputs, rewindable, total_size
from halo_adapters.files.records import Record, count_of
from halo_adapters.files.settings import FilesSettings
from halo_adapters.trace_failures import missing_trace
from halo_adapters.trace_filter import QueryFilter, TraceFacts
from halo_engine.chunks import sized_chunks
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

# What a pass hands on to be scanned.
HandOn = Callable[[Iterable[FileBatch]], Iterator[Batch]]


class FilesReader:
    """Reads the files at one path."""

    def __init__(self, settings: FilesSettings) -> None:
        self._path = settings.path
        self._max_record_bytes = settings.max_record_bytes
        self._asides = Asides()
        self._facts: list[BatchFacts] = []
        self._told: set[str] = set()  # what is told once
        self._are_traces_cut_up: bool | None = None

    def scanned(self, query: TraceQuery, scan: Scan[T]) -> Iterator[Scanned[T]]:
        """Every matching trace, in parts in the order of the files; then the ids that none has.

        Raises ``ConfigError`` where the path does not exist, or no span can be read from it.
        """
        inputs, query_filter = find_inputs(self._path), QueryFilter(query)
        if query_filter.takes_all:
            yield from self._all(inputs, scan)
            return
        with rewindable(inputs) as again:
            yield from self._matching(again, query_filter, scan)

    def _all(self, inputs: list[Input], scan: Scan[T]) -> Iterator[Scanned[T]]:
        """Every trace, and once more the spans of which something is said in other batches."""
        yield from self._first_pass(inputs, scan, self._whole)
        if self._asides and total_size(inputs) is None:
            yield from scan([TracePage(failures=(NOT_AGAIN,))])
        elif self._asides:
            yield from self._second_pass(inputs, scan, self._amended)

    def _matching(
        self, inputs: list[Input], query_filter: QueryFilter, scan: Scan[T]
    ) -> Iterator[Scanned[T]]:
        """In two passes over ``inputs``: one to choose, one to read."""
        asked = partial(asked_for_facts, query_filter=query_filter)
        yield from self._first_pass(inputs, scan, asked, passes=2)
        facts = self._facts_of_traces(inputs, query_filter)
        chosen = query_filter.matching(facts)
        wanted, left = partial(self._chosen, chosen=chosen), span_count(self._facts, chosen)
        for scanned in self._second_pass(inputs, scan, wanted, total=len(chosen)):
            left -= scanned.page.spans if isinstance(scanned.page, FilePage) else 0
            yield scanned
        place = "Standard input" if self._path == STANDARD_INPUT else self._path
        failures = [missing_trace(place, trace_id) for trace_id in query_filter.missing_ids(facts)]
        if left > 0:
            failures.append(changed_meanwhile(place, left))
        if failures:
            yield from scan([TracePage(failures=tuple(failures))])

    def _first_pass(
        self, inputs: list[Input], scan: Scan[T], hand_on: HandOn, passes: int = 1
    ) -> Iterator[Scanned[T]]:
        """The first of ``passes`` over ``inputs``."""
        found, first_failure = 0, None
        for scanned in scan(hand_on(self._batches(inputs, 0, passes))):
            page = scanned.page
            if isinstance(page, FilePage):
                page = self._noted(page)
                found += page.spans
            first_failure = first_failure or next(iter(page.failures), None)
            yield structs.replace(scanned, page=page)
        self._asides.complete()
        if not found:
            raise ConfigError(no_span_message(self._path, first_failure, self._asides))

    def _second_pass(
        self, inputs: list[Input], scan: Scan[T], hand_on: HandOn, total: int | None = None
    ) -> Iterator[Scanned[T]]:
        """The second pass over ``inputs``, whose failures were told in the first one."""
        for scanned in scan(hand_on(self._batches(inputs, 1, 2))):
            page = structs.replace(scanned.page, failures=(), total=total)
            yield structs.replace(scanned, page=page)

    # -- what of its batches a pass hands on -------------------------------------------------------

    def _whole(self, batches: Iterable[FileBatch]) -> Iterator[Batch]:
        """``batches``; one with a large record is decoded here, in pages of bounded size."""
        for batch in batches:
            yield from batch.pages(self._asides) if batch.is_large else (batch,)

    def _here(self, batches: Iterable[FileBatch]) -> Iterator[FilePage]:
        """``batches`` decoded here, with all that is said of their spans."""
        for batch in batches:
            # one without records only says how far was read
            yield from batch.pages(self._asides) if batch.pieces else (batch.decoded(),)

    def _amended(self, batches: Iterable[FileBatch]) -> Iterator[FilePage]:
        """Of ``batches`` the spans of which something is said in records of their own, with that.

        They replace those that were read before: it is the same record.
        """
        for page in self._here(batches):
            spans = [s for s in spans_on(page) if self._asides.has(s.trace_id, s.span_id)]
            yield structs.replace(page, traces=group_by_trace(spans))

    def _chosen(self, batches: Iterable[FileBatch], chosen: frozenset[str]) -> Iterator[Batch]:
        """What ``batches`` have of the ``chosen`` traces."""
        wanted = with_chosen(batches, self._facts, chosen)
        return self._here(wanted) if self._asides else self._whole(wanted)

    # -- what the pages of the first pass say together ----------------------------------------------

    def _facts_of_traces(
        self, inputs: list[Input], query_filter: QueryFilter
    ) -> dict[str, TraceFacts]:
        """The facts of each trace; from what is said of spans in other batches, too, if anything."""
        if not self._asides:
            return facts_of_traces(self._facts)
        pages = self._here(self._batches(inputs, 1, 2))
        return query_filter.facts_in(span for page in pages for span in spans_on(page))

    def _noted(self, page: FilePage) -> FilePage:
        """``page`` with those of its failures that were not told yet; what else it says is kept."""
        for aside in page.asides:
            self._asides.add(aside)
        if page.facts:
            self._facts.append(page.facts)
        new: dict[str, Failure] = {}
        for key, failure in page.told_once:
            if key not in self._told:
                new.setdefault(key, failure)
        self._told.update(new)
        return structs.replace(page, failures=(*page.failures, *new.values()))

    # -- batches -----------------------------------------------------------------------------------

    def _batches(self, inputs: list[Input], done: int, passes: int) -> Iterator[FileBatch]:
        """Everything in ``inputs`` in batches of bounded size, a large record by itself.

        ``done`` of all ``passes`` are complete.
        """
        inputs = [replace(source) for source in inputs]  # none of them read
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
    """``units`` in groups of ``PAGE_BYTES`` and ``PAGE_ITEMS`` at most, or one larger unit."""
    sizes = ((unit, sum(counted_size(piece) for _, piece in unit)) for unit in units)
    for group in sized_chunks(sizes, PAGE_BYTES):
        yield list(chain.from_iterable(group))


def counted_size(piece: Record | Lines) -> int:
    """The bytes of ``piece``; small records count for more, so that few enough fill a page."""
    records = piece.lines if isinstance(piece, Lines) else 1
    return max(piece.size, records * (PAGE_BYTES // PAGE_ITEMS))


def changed_meanwhile(path: str, spans: int) -> Failure:
    """The failure for ``spans`` that match and were gone when they were to be read."""
    return Failure(
        stage="pull",
        where=path,
        what=f"{count_of(spans, 'span')} of the traces that match could not be read: what is there "
        "was changed or removed after they had been found. Give the same command again.",
    )


def spans_on(page: TracePage) -> Iterator[Span]:
    """The spans of all traces on a page."""
    return (span for trace in page.traces for span in trace.spans)


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
