"""Reading of traces from files, in parts of bounded size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from msgspec import structs

from halo_adapters.base import TracePage, TraceQuery
from halo_adapters.dialects.errors import DialectErrors
from halo_adapters.files.asides import Aside, Asides
from halo_adapters.files.formats.recognition import ACCEPTED, spans_in_record
from halo_adapters.files.inputs import STANDARD_INPUT, Input, find_inputs, rewindable, total_size
from halo_adapters.files.mapping import Place
from halo_adapters.files.records import Problem, Record
from halo_adapters.files.settings import FilesSettings
from halo_adapters.trace_failures import missing_trace
from halo_adapters.trace_filter import QueryFilter
from halo_engine.errors import ConfigError
from halo_engine.schema import Failure, Span, Trace, sort_spans

# Limits of one page: spans and failures, and bytes of the records they come from.
PAGE_ITEMS = 4_000
PAGE_BYTES = 32 << 20

NOT_AGAIN = Problem(
    "holds log records with events of spans, or descriptions of traces, which are added to their "
    "spans when a file is read again: give a file in place of standard input."
)

Select = Callable[[Iterable[Span]], list[Span]]


class FilesReader:
    """Reads the files at one path."""

    def __init__(self, settings: FilesSettings) -> None:
        self._path = settings.path
        self._max_record_bytes = settings.max_record_bytes
        self._dialect_errors = DialectErrors()
        self._asides = Asides()
        self._told: set[str] = set()  # problems that are told once
        self._is_again = False

    def pages(self, query: TraceQuery) -> Iterator[TracePage]:
        """Every matching trace, in parts in the order of the files; then the ids that none has.

        Raises ``ConfigError`` where the path does not exist, or no span can be read from it.
        """
        query_filter = QueryFilter(query)
        yield from self._matching(find_inputs(self._path), query_filter)
        place = "Standard input" if self._path == STANDARD_INPUT else self._path
        if lost := query_filter.missing_ids():
            yield TracePage(failures=tuple(missing_trace(place, trace_id) for trace_id in lost))

    def _matching(self, inputs: list[Input], query_filter: QueryFilter) -> Iterator[TracePage]:
        """In one pass over ``inputs``, or in two: one to select, one to read."""
        if not query_filter.needs_two_passes:
            yield from self._pass(inputs, query_filter.select, 0, 1)
            if self._asides:
                yield from self._amended(inputs, query_filter.select)
            return
        with rewindable(inputs) as again:
            yield from self._pass(again, query_filter.collect, 0, 2)
            for page in self._pass(again, query_filter.select, 1, 2):
                yield structs.replace(page, failures=(), total=query_filter.total)

    def _amended(self, inputs: list[Input], select: Select) -> Iterator[TracePage]:
        """Once more the spans of which something is said in records of their own, with that.

        They replace those that were read before: it is the same record.
        """
        if total_size(inputs) is None:
            yield TracePage(failures=(failure_from_problem(NOT_AGAIN, "stdin"),))
            return
        asides = self._asides

        def amended(spans: Iterable[Span]) -> list[Span]:
            return [s for s in select(spans) if asides.has(s.trace_id, s.span_id)]

        for page in self._pass(inputs, amended, 1, 2):
            yield structs.replace(page, failures=())

    def _pass(
        self, inputs: list[Input], select: Select, done: int, passes: int
    ) -> Iterator[TracePage]:
        """One pass over ``inputs``; ``done`` of all ``passes`` are complete."""
        self._is_again = done > 0
        inputs = [replace(source) for source in inputs]  # none of them read
        size, found, first_failure = total_size(inputs), 0, None
        for batch in self._batches(inputs):
            found += len(batch.spans)
            first_failure = first_failure or next(iter(batch.failures), None)
            read = done * (size or 0) + sum(source.read for source in inputs)
            yield TracePage(
                traces=group_by_trace(select(batch.spans)),
                failures=(*batch.failures, *self._dialect_errors.take()),
                read=None if size is None else read,
                size=None if size is None else passes * size,
            )
        if not found:
            raise ConfigError(no_span_message(self._path, first_failure, self._asides))

    def _batches(self, inputs: list[Input]) -> Iterator[SpanBatch]:
        """Everything in ``inputs`` in batches of bounded size."""
        batch = SpanBatch()
        for reference, record in self._records(inputs):
            batch.size += record.size
            for item in self._items(record, reference):
                batch.add(item)
                if batch.is_full:
                    yield batch
                    batch = SpanBatch()
        yield batch

    def _items(self, record: Record, reference: str) -> Iterator[Span | Failure]:
        """The spans in a record, and a failure for each problem with it."""
        if record.problem:
            yield failure_from_problem(record.problem, reference)
            if record.value is None:
                return
        place = Place(reference, self._asides, self._dialect_errors)
        for found in spans_in_record(record.value, place):
            if isinstance(found, Span):
                yield found
            elif isinstance(found, Aside):
                if not self._is_again:
                    self._asides.add(found)
            elif not found.is_general or found.what not in self._told:
                self._told.add(found.what)
                yield failure_from_problem(found, reference)

    def _records(self, inputs: list[Input]) -> Iterator[tuple[str, Record]]:
        """The records in all ``inputs``, each with its reference."""
        for source in inputs:
            yield from source.records(self._max_record_bytes)


@dataclass
class SpanBatch:
    """Spans and failures for one page, from records of ``size`` bytes in all."""

    spans: list[Span] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    size: int = 0

    def add(self, item: Span | Failure) -> None:
        """Add a span or a failure."""
        if isinstance(item, Span):
            self.spans.append(item)
        else:
            self.failures.append(item)

    @property
    def is_full(self) -> bool:
        """Whether a limit of the page is reached."""
        items = len(self.spans) + len(self.failures)
        return items >= PAGE_ITEMS or self.size >= PAGE_BYTES


def failure_from_problem(problem: Problem, reference: str) -> Failure:
    """``problem`` of the record at ``reference`` as a failure of the pull."""
    where = problem.where or reference
    return Failure(stage="pull", where=where, what=f"The record {problem.what}")


def group_by_trace(spans: Iterable[Span]) -> tuple[Trace, ...]:
    """``spans`` as traces, in the order of their first spans."""
    spans_by_trace: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        spans_by_trace[span.trace_id].append(span)
    return tuple(
        Trace(trace_id=trace_id, spans=tuple(sort_spans(trace_spans)))
        for trace_id, trace_spans in spans_by_trace.items()
    )


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
