"""What is read of files in one step, and the page of traces that any process can make of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
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
from halo_engine.schema import Failure, Span, Trace, sort_spans

# Limits of one page: spans and failures, and bytes of the records they come from.
PAGE_ITEMS = 4_000
PAGE_BYTES = 8 << 20


class Once(NamedTuple):
    """A failure that is told once for all with this key."""

    key: str
    failure: Failure


Item = Span | Failure | Once


class FilePage(TracePage):
    """A page of a batch, with what its reader has to put together.

    ``spans`` is the number of all spans in the batch. ``asides`` are what it says of spans that may
    be in others.
    """

    spans: int = 0
    asides: tuple[Aside, ...] = ()
    told_once: tuple[Once, ...] = ()


class FileBatch(NamedTuple):
    """Records, each with the label of its input, and lines that are still to be parsed.

    ``limit`` is that of a record in bytes. ``read`` and ``size`` are those of the page.
    """

    pieces: tuple[tuple[str, Record | Lines], ...]
    limit: int
    read: int | None = None
    size: int | None = None

    def __str__(self) -> str:
        places = (f"{label} from {piece.number} on" for label, piece in self.pieces)
        return f"{next(places, 'nothing')} was read"

    def decoded(self) -> FilePage:
        """All of it as one page."""
        errors, asides = DialectErrors(), Asides()
        page = self._page(self._items(asides, errors), errors)
        return structs.replace(page, asides=asides.take())

    def pages(self, asides: Asides) -> Iterator[FilePage]:
        """All of it in pages of bounded size; what it says of spans is added to ``asides``."""
        errors = DialectErrors()
        items = self._items(asides, errors)
        while some := list(islice(items, PAGE_ITEMS)):
            yield self._page(some, errors)

    def _page(self, items: Iterable[Item], errors: DialectErrors) -> FilePage:
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

    def _items(self, asides: Asides, errors: DialectErrors) -> Iterator[Item]:
        """The spans in the records, with what ``asides`` say of them, and failures for problems."""
        for label, record in self._records():
            reference = f"{label}:{record.number}" if record.number else label
            if record.problem:
                yield failure_of_problem(record.problem, reference)
            if record.problem and record.value is None:
                continue
            for found in spans_in_record(record.value, Place(reference, asides, errors)):
                if isinstance(found, Span):
                    yield found
                elif isinstance(found, Problem):
                    yield failure_of_problem(found, reference)
                else:
                    asides.add(found)

    def _records(self) -> Iterator[tuple[str, Record]]:
        for label, piece in self.pieces:
            records = piece.records(self.limit) if isinstance(piece, Lines) else (piece,)
            yield from ((label, record) for record in records)


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
