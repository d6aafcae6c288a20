"""Traces out of files, folders of files, or standard input."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar

from pydantic import Field

from halo_adapters.base import HealthCheck, HealthStatus, OnWait, TracePage, TraceQuery
from halo_adapters.files.inputs import Input, inputs_of, rewindable, total_size
from halo_adapters.files.records import ACCEPTED, Problem, parse, spans_in
from halo_adapters.files.trace_filter import QueryFilter
from halo_engine.errors import ConfigError
from halo_engine.schema import Failure, FrozenModel, Span, Trace, in_order

PAGE_ITEMS = 2_000
PAGE_BYTES = 32 << 20

Select = Callable[[Iterable[Span]], list[Span]]


class FilesSettings(FrozenModel):
    """Which files to read."""

    path: str = Field(description="A trace file, a folder of them, or - for standard input.")
    max_record_bytes: int = Field(
        256 << 20,
        gt=0,
        description="A line, or an indented JSON document, longer than this is not read.",
    )


class FilesAdapter:
    """Trace files: OpenInference and HALO JSON lines, Phoenix spans, OTLP JSON; also gzip.

    Formats are recognised by content, record by record. JSON lines are read with bounded memory
    however large the file; a JSON document that is not one per line (an indented array or OTLP
    document) is loaded whole, up to ``max_record_bytes``. What cannot be read is a ``Failure``
    with file and line, and reading goes on.
    """

    name: ClassVar[str] = "files"
    Settings: ClassVar[type[FilesSettings]] = FilesSettings
    filters: ClassVar[frozenset[str]] = frozenset(
        {
            *("project", "since", "until", "trace_ids", "session_id", "errors_only", "metadata"),
            *("environments", "names", "tags", "user_id", "version", "limit", "sample"),
        }
    )

    def __init__(self, settings: FilesSettings, *, on_wait: OnWait | None = None) -> None:
        self._settings = settings  # files make nobody wait

    def pull(self, query: TraceQuery) -> Iterator[TracePage]:
        """Every matching trace, in pieces as they come in the files.

        A filter that needs whole traces makes it read everything twice: once to choose, once to
        give. ``query.already_stored`` is of no use here, since a trace on disk may lack its later pieces.
        Raises ``ConfigError`` where the path is not there, or holds no span at all.
        """
        selection = QueryFilter(query)
        inputs = inputs_of(self._settings.path)
        if not selection.looks_ahead:
            yield from self._pages(inputs, selection.keep, 0, 1)
            return
        with rewindable(inputs) as again:
            yield from self._pages(again, selection.learn, 0, 2)
            for page in self._pages(again, selection.keep, 1, 2):
                yield page.model_copy(update={"failures": (), "total": selection.total})

    def health_checks(self) -> Iterator[HealthCheck]:
        """Whether the path is there, and its first record in a known format."""
        try:
            inputs = inputs_of(self._settings.path)
        except ConfigError as error:
            fix = "Give the path of a trace file, or of a folder of them."
            yield HealthCheck(what="path", status=HealthStatus.FAILED, found=str(error), fix=fix)
            return
        size = total_size(inputs)
        if size is None:
            yield HealthCheck(
                what="path", status=HealthStatus.OK, found="a stream, read when a run starts"
            )
            return
        found = f"{len(inputs)} file{'s' * (len(inputs) > 1)}, {size / 1e6:.1f} MB"
        yield HealthCheck(what="path", status=HealthStatus.OK, found=found)
        yield self._check_format(inputs)

    def _check_format(self, inputs: list[Input]) -> HealthCheck:
        """Whether the first record is a span."""
        limit = self._settings.max_record_bytes
        records = (record for source in inputs for record in source.records(limit))
        reference, record = next(records, ("", b"null"))
        first = next(items_in(record, reference), None)
        if isinstance(first, Span):
            found = f"{reference} holds span {first.span_id}"
            return HealthCheck(what="format", status=HealthStatus.OK, found=found)
        found = nothing_found(self._settings.path, first if reference else None)
        fix = "Give files in one of these formats, or look at the first line."
        return HealthCheck(what="format", status=HealthStatus.FAILED, found=found, fix=fix)

    def _pages(
        self, inputs: list[Input], select: Select, done: int, passes: int
    ) -> Iterator[TracePage]:
        """One pass over ``inputs``; ``done`` of ``passes`` were made before."""
        inputs = [replace(source, read=0) for source in inputs]
        size, found, first_failure = total_size(inputs), 0, None
        for batch in self._batches(inputs):
            found += len(batch.spans)
            first_failure = first_failure or next(iter(batch.failures), None)
            read = done * (size or 0) + sum(source.read for source in inputs)
            yield TracePage(
                traces=traces_of(select(batch.spans)),
                failures=tuple(batch.failures),
                read=None if size is None else read,
                size=None if size is None else passes * size,
            )
        if not found:
            raise ConfigError(nothing_found(self._settings.path, first_failure))

    def _batches(self, inputs: list[Input]) -> Iterator[SpanBatch]:
        """Everything in ``inputs`` in batches of bounded size."""
        batch = SpanBatch()
        for source in inputs:
            for reference, record in source.records(self._settings.max_record_bytes):
                batch.size += len(record)
                for item in items_in(record, reference):
                    batch.add(item)
                    if batch.is_full:
                        yield batch
                        batch = SpanBatch()
        yield batch


@dataclass
class SpanBatch:
    """What was read since the last batch, out of records of ``size`` bytes."""

    spans: list[Span] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    size: int = 0

    def add(self, item: Span | Failure) -> None:
        """Put ``item`` where it belongs."""
        if isinstance(item, Span):
            self.spans.append(item)
        else:
            self.failures.append(item)

    @property
    def is_full(self) -> bool:
        """Whether it is time for the next batch."""
        items = len(self.spans) + len(self.failures)
        return items >= PAGE_ITEMS or self.size >= PAGE_BYTES


def items_in(record: bytes | Problem, reference: str) -> Iterator[Span | Failure]:
    """The spans in a record, and what is wrong with it."""
    if isinstance(record, Problem):
        yield failure_of(record, reference)
        return
    try:
        value, noted = parse(record)
    except ValueError as error:
        yield failure_of(Problem(str(error)), reference)
        return
    if noted:
        yield failure_of(noted, reference)
    for found in spans_in(value, reference):
        yield found if isinstance(found, Span) else failure_of(found, reference)


def failure_of(problem: Problem, reference: str) -> Failure:
    """``problem`` as the record of the run."""
    where = problem.where or reference
    return Failure(stage="pull", where=where, what=f"The record {problem.what}")


def traces_of(spans: Iterable[Span]) -> tuple[Trace, ...]:
    """``spans`` by trace, in the order in which the traces come."""
    families: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        families[span.trace_id].append(span)
    return tuple(
        Trace(trace_id=trace_id, spans=tuple(in_order(family)))
        for trace_id, family in families.items()
    )


def nothing_found(path: str, failure: Failure | None) -> str:
    """The sentence for an input without a single span."""
    why = f" {failure.where}: {failure.what}" if failure else " It is empty."
    return f"No span could be read from {path}.{why} Accepted are {ACCEPTED}."
