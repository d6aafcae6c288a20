"""What is read of files in one step, and what any process can make of it: traces, or their facts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from msgspec import structs

from halo_adapters.base import TracePage
from halo_adapters.dialects.errors import DialectErrors
from halo_adapters.files.asides import Aside, Asides
from halo_adapters.files.formats.recognition import spans_in_record
from halo_adapters.files.framing.lines import Lines
from halo_adapters.files.mapping import Place
from halo_adapters.files.records import Problem, Record
from halo_adapters.trace_filter import QueryFilter, TraceFacts
from halo_engine.schema import Failure, Span, Trace, sort_spans

# Limits of one page: spans and failures, and bytes of the records they come from.
PAGE_ITEMS = 4_000
PAGE_BYTES = 8 << 20


class Once(NamedTuple):
    """A failure that is told once for all with this key."""

    key: str
    failure: Failure


Item = Span | Failure | Once


class TracePart(NamedTuple):
    """What a batch has of a trace: what that says of it, how many spans, and in which records.

    These are its first and its last, counted from 0; others between may be of other traces.
    """

    facts: TraceFacts
    spans: int
    first: int
    last: int

    def united(self, later: TracePart) -> TracePart:
        """Both parts, of which ``later`` comes later in the batch."""
        facts, spans = self.facts.united(later.facts), self.spans + later.spans
        return TracePart(facts, spans, self.first, later.last)


class BatchFacts(NamedTuple):
    """What a batch, whose records have ``size`` bytes, has of each trace, by trace id."""

    size: int
    parts: Mapping[str, TracePart]


class FilePage(TracePage):
    """A page of a batch, with what its reader has to put together.

    ``spans`` is the number of all spans in the batch. ``asides`` are what it says of spans that may
    be in others. ``facts`` are there where they are asked for.
    """

    spans: int = 0
    asides: tuple[Aside, ...] = ()
    told_once: tuple[Once, ...] = ()
    facts: BatchFacts | None = None


class Choice(NamedTuple):
    """The traces of a batch that are wanted, and the numbers of its records that may have them.

    Any record may where there are no numbers (None).
    """

    trace_ids: frozenset[str]
    records: frozenset[int] | None


class FileBatch(NamedTuple):
    """Records, each with the label of its input, and lines that are still to be parsed.

    ``limit`` is that of a record in bytes. ``read`` and ``size`` are those of the page. ``only`` is
    what is wanted of it, None: all.
    """

    pieces: tuple[tuple[str, Record | Lines], ...]
    limit: int
    read: int | None = None
    size: int | None = None
    only: Choice | None = None

    def __str__(self) -> str:
        places = (f"{label} from {piece.number} on" for label, piece in self.pieces)
        return f"{next(places, 'nothing')} was read"

    @property
    def record_bytes(self) -> int:
        """The bytes of all records."""
        return sum(piece.size for _, piece in self.pieces)

    @property
    def is_large(self) -> bool:
        """Whether it is one record that is larger than batches are, and may have many traces."""
        return len(self.pieces) == 1 and self.record_bytes > PAGE_BYTES

    def decoded(self) -> FilePage:
        """All that is wanted of it as one page."""
        errors, asides = DialectErrors(), Asides()
        page = self.page((item for _, item in self.items(asides, errors)), errors)
        return structs.replace(page, asides=asides.take())

    def pages(self, asides: Asides) -> Iterator[FilePage]:
        """As ``decoded``, in pages of bounded size; what is said of spans is added to ``asides``."""
        errors = DialectErrors()
        items = (item for _, item in self.items(asides, errors))
        while some := list(islice(items, PAGE_ITEMS)):
            yield self.page(some, errors)

    def page(self, items: Iterable[Item], errors: DialectErrors) -> FilePage:
        """A page of ``items``, and of what dialects could not do until now."""
        found: dict[type, list[Any]] = defaultdict(list)
        for item in items:
            found[type(item)].append(item)
        found[Once] += (Once(failure.where, failure) for failure in errors.take())
        return FilePage(
            traces=group_by_trace(found[Span]),
            failures=tuple(found[Failure]),
            read=self.read,
            size=self.size,
            spans=len(found[Span]),
            told_once=tuple(found[Once]),
        )

    def items(self, asides: Asides, errors: DialectErrors) -> Iterator[tuple[int, Item]]:
        """The spans that are wanted, with what ``asides`` say of them, and failures for problems.

        Each with the number of its record in the batch, counted from 0.
        """
        records = self.only.records if self.only else None
        for number, (label, record) in enumerate(self._records()):
            if records is None or number in records:
                items = items_in_record(record, label, asides, errors)
                yield from ((number, item) for item in items if self._is_wanted(item))

    def _records(self) -> Iterator[tuple[str, Record]]:
        for label, piece in self.pieces:
            records = piece.records(self.limit) if isinstance(piece, Lines) else (piece,)
            yield from ((label, record) for record in records)

    def _is_wanted(self, item: Item) -> bool:
        return (
            self.only is None or not isinstance(item, Span) or item.trace_id in self.only.trace_ids
        )


class FactsBatch(NamedTuple):
    """A batch of whose traces only the facts are asked for that ``query_filter`` needs."""

    batch: FileBatch
    query_filter: QueryFilter

    def __str__(self) -> str:
        return str(self.batch)

    def decoded(self) -> FilePage:
        """A page without traces, with the facts."""
        errors, asides = DialectErrors(), Asides()
        parts: dict[str, TracePart] = {}
        others: list[Item] = []
        spans = 0
        for number, item in self.batch.items(asides, errors):
            if not isinstance(item, Span):
                others.append(item)
                continue
            spans += 1
            if said := self.query_filter.facts_of(item):
                part, before = TracePart(said, 1, number, number), parts.get(item.trace_id)
                parts[item.trace_id] = before.united(part) if before else part
        page = self.batch.page(others, errors)
        facts = BatchFacts(self.batch.record_bytes, parts)
        return structs.replace(page, spans=spans, facts=facts, asides=asides.take())


def items_in_record(
    record: Record, label: str, asides: Asides, errors: DialectErrors
) -> Iterator[Item]:
    """The spans in a record of the input ``label``, and failures; asides are added to ``asides``."""
    reference = f"{label}:{record.number}" if record.number else label
    if record.problem:
        yield failure_of_problem(record.problem, reference)
    if record.problem and record.value is None:
        return
    for found in spans_in_record(record.value, Place(reference, asides, errors)):
        if isinstance(found, Span):
            yield found
        elif isinstance(found, Problem):
            yield failure_of_problem(found, reference)
        else:
            asides.add(found)


def failure_of_problem(problem: Problem, reference: str) -> Failure | Once:
    """``problem`` of the record at ``reference`` as a failure of the pull."""
    where = problem.where or reference
    failure = Failure(stage="pull", where=where, what=f"The record {problem.what}")
    return Once(problem.what, failure) if problem.is_general else failure


def group_by_trace(spans: Iterable[Span]) -> tuple[Trace, ...]:
    """``spans`` as traces, in the order of their first spans."""
    spans_by_trace: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        spans_by_trace[span.trace_id].append(span)
    return tuple(
        Trace(trace_id=trace_id, spans=tuple(sort_spans(trace_spans)))
        for trace_id, trace_spans in spans_by_trace.items()
    )
