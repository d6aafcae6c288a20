"""The adapter protocols, and the values that pass between the pipeline and an adapter.

    Source                traces can be read from it
      BatchSource         any process can make traces of what was read
      Annotator           annotations can be written, read back and deleted
        FollowUpWriter    comments, review-queue items and dataset items can be created too
        VerdictReader     what people say of annotations can be read
    SpanExporterProvider  OpenTelemetry spans can be sent to it

An adapter is a class that implements ``Source`` and as many of the other protocols as its platform
allows. It describes itself in class attributes, so that general code names no platform. It is made
from an instance of its ``Settings`` model; a setting lists the environment variables that it is
read from in ``json_schema_extra={"env": [...]}``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable
from urllib.parse import quote

from msgspec import structs
from pydantic import BaseModel, Field

from halo_engine.schema import Failure, FrozenModel, FrozenStruct, Trace

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

T = TypeVar("T")

# The names of all annotations that this package writes begin with this.
ANNOTATION_PREFIX = "halo."

# The name under which people can say of whatever is marked on a span or trace whether it is right.
VERDICT = f"{ANNOTATION_PREFIX}verdict"
# How long after an annotation was written it is asked what people say of it.
VERDICTS_WITHIN = timedelta(days=30)

# Called with the reason and the number of seconds before an adapter waits for its platform.
OnWait = Callable[[str, float], None]

# Name, trace id, span id ("" for the trace as a whole) and identifier of an annotation.
AnnotationKey = tuple[str, str, str, str]


def is_own_annotation(name: str) -> bool:
    """Whether an annotation or score called ``name`` was written by this package."""
    return name.startswith(ANNOTATION_PREFIX)


class TraceQuery(FrozenModel):
    """Which traces to read. A trace must pass every filter that is set.

    ``since`` is inclusive and ``until`` exclusive; both are compared with the earliest start in the
    trace. ``environments`` and ``names`` (trace names) match when one of their values does, ``tags``
    when the trace has all of them. ``metadata`` compares span attributes (dotted key -> value, see
    ``halo_adapters.attribute_filter.spellings``): a trace matches when one of its spans does.
    ``limit`` takes that many of the newest traces, whole; ``sample`` takes that many at random among
    those that match, the same ones for the same ``seed``. ``already_stored`` are the ids of traces
    that an interrupted pull has stored: a source may leave them out, but counts them towards
    ``limit`` and ``sample``.

    A source is only given filters that it lists in its ``filters``.
    """

    project: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    trace_ids: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    session_id: str | None = None
    user_id: str | None = None
    release: str | None = None
    version: str | None = None
    errors_only: bool = False
    metadata: dict[str, str] = {}
    limit: int | None = Field(None, gt=0)
    sample: int | None = Field(None, gt=0)
    seed: int = 0
    already_stored: frozenset[str] = frozenset()

    @property
    def has_only_ids(self) -> bool:
        """Whether the trace ids are the only filter."""
        bare = TraceQuery(
            project=self.project, trace_ids=self.trace_ids, already_stored=self.already_stored
        )
        return bool(self.trace_ids) and self == bare


class Project(FrozenModel):
    """A project on a platform."""

    id: str
    name: str


class TracePage(FrozenStruct):
    """Traces and failures read in one step.

    A trace may come in several parts on several pages; the store merges them. ``total`` is the
    number of traces of the whole pull, where it is known before the end. ``read`` and ``size`` are
    in bytes, for sources whose length in bytes is known.
    """

    traces: tuple[Trace, ...] = ()
    failures: tuple[Failure, ...] = ()
    total: int | None = None
    read: int | None = None
    size: int | None = None

    def __str__(self) -> str:
        return f"{len(self.traces)} traces were read"

    def decoded(self) -> TracePage:
        """Itself: a batch whose traces were made while it was read."""
        return self


class Batch(Protocol):
    """What was read in one step. It can be pickled, and any process can make traces of it."""

    def __str__(self) -> str:
        """What was read, as a sentence that quotes nothing of it."""

    def decoded(self) -> TracePage:
        """The page of traces."""


@runtime_checkable
class LazyBatch(Batch, Protocol):
    """A batch that is read where it is stored, once traces are made of it."""

    @property
    def is_on_disk(self) -> bool:
        """Whether that is a disk, which other machines may lack."""


class Scanned(FrozenStruct, Generic[T]):
    """What was made of a batch: of its traces the ``result``, and the rest of its ``page``."""

    page: TracePage
    result: T


# Makes something of the traces of each batch, in their order, in whichever processes.
Scan = Callable[[Iterable[Batch]], Iterator[Scanned[T]]]


def traces_here(batches: Iterable[Batch]) -> Iterator[Scanned[tuple[Trace, ...]]]:
    """The traces of ``batches`` themselves, made in this process."""
    for batch in batches:
        page = batch.decoded()
        yield Scanned(page=structs.replace(page, traces=()), result=page.traces)


class Annotation(FrozenModel):
    """One annotation of a span, or (``span_id`` None) of a trace as a whole.

    Name, target and ``identifier`` together are its key: writing one with the same key replaces it.
    """

    name: str
    trace_id: str
    span_id: str | None = None
    label: str | None = None
    score: float | None = None
    explanation: str | None = None
    metadata: dict[str, Any] = {}
    identifier: str = ""
    annotator_kind: str = "CODE"

    @property
    def key(self) -> AnnotationKey:
        """What identifies the annotation on its platform."""
        return (self.name, self.trace_id, self.span_id or "", self.identifier)


class PersonsAnnotation(FrozenModel):
    """What a person put on a span, or (``span_id`` None) on a trace as a whole.

    ``id`` is that on the platform, ``by`` who did it ("" where that is not known), ``at`` when.
    """

    id: str
    name: str
    trace_id: str
    span_id: str | None = None
    label: str | None = None
    score: float | None = None
    by: str = ""
    at: datetime | None = None


class WriteResult(FrozenModel):
    """The outcome of writing or deleting one annotation; ``error`` is None where it succeeded."""

    annotation: Annotation
    error: str | None = None


class AnnotationConfig(FrozenModel):
    """An annotation name with the labels that it allows, worst first."""

    name: str
    description: str
    labels: tuple[str, ...]


class FollowUpKind(StrEnum):
    """What can be created besides annotations, for people to follow up on a trace."""

    COMMENT = "comment"
    QUEUE_ITEM = "queue item"
    DATASET_ITEM = "dataset item"


class FollowUp(FrozenModel):
    """A comment on a trace, an item of a review queue, or an item of a dataset.

    ``key`` identifies it, so that it is not created twice. ``place`` is the name of the queue or
    dataset, ``content`` the text of the comment or the input of the dataset item, and ``names`` are
    the names of the annotations that it refers to.
    """

    kind: FollowUpKind
    trace_id: str
    span_id: str | None = None
    key: str
    place: str = ""
    content: str = ""
    names: tuple[str, ...] = ()


class FollowUpResult(FrozenModel):
    """A follow-up on the platform: its id there, and as ``holder`` the id of its queue.

    ``error`` is why it could not be deleted.
    """

    follow_up: FollowUp
    id: str | None = None
    holder: str | None = None
    error: str | None = None


class Links(FrozenModel):
    """URL templates of a platform's own UI, with ``{trace_id}`` and ``{span_id}`` to fill in.

    ``marks`` is that of a list of the spans with a mark, with ``{name}`` and ``{label}`` of the
    annotation and a text, ``{within}``, that stands in its explanation, of which it uses what the
    platform can filter by; None where it has no such page.
    """

    trace: str
    span: str
    marks: str | None = None

    def url(self, trace_id: str, span_id: str | None = None) -> str:
        """The URL of a span, or of a trace as a whole; ids are percent-encoded."""
        template = self.trace if span_id is None else self.span
        return filled_in(template, trace_id=trace_id, span_id=span_id or "")

    def marks_url(self, name: str, label: str, within: str) -> str | None:
        """The URL of the spans with a mark; None where the platform has no such page."""
        marks = self.marks
        return marks and filled_in(marks, name=name, label=label, within=within)


def filled_in(template: str, **values: str) -> str:
    """A URL template with these values, percent-encoded."""
    return template.format(**{name: quote(value, safe="") for name, value in values.items()})


class HealthStatus(StrEnum):
    """The outcome of one check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class HealthCheck(FrozenModel):
    """One check of ``doctor``; ``fix`` is what to do where ``status`` is not OK."""

    what: str
    status: HealthStatus
    found: str
    fix: str | None = None


@runtime_checkable
class Source(Protocol):
    """A platform, or a set of files, that traces can be read from.

    ``name`` is what users type and what sections of the configuration file are called, ``title``
    how the platform is written in prose. ``filters`` are the fields of ``TraceQuery`` that it
    supports, ``follow_ups`` the kinds of follow-ups that it can create (a ``FollowUpWriter`` has
    some, others have none). ``has_usable_defaults`` is whether it works with no setting at all.
    ``losses`` say, in a sentence each, what of a recorded span the platform does not keep, or the
    adapter does not read: the report names them, since nothing can be found in what is lost.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    Settings: ClassVar[type[BaseModel]]
    filters: ClassVar[frozenset[str]]
    follow_ups: ClassVar[frozenset[FollowUpKind]]
    has_usable_defaults: ClassVar[bool]
    losses: ClassVar[tuple[str, ...]]

    def __init__(self, settings: Any, *, on_wait: OnWait | None = None) -> None:
        """``settings`` is an instance of ``Settings``; ``on_wait`` is called before each wait.

        Makes no request. Raises ``ConfigError`` for settings that cannot work.
        """

    def pull(self, query: TraceQuery) -> Iterator[TracePage]:
        """Read every trace that matches ``query``, whole, until the source is exhausted.

        An item that cannot be read is a ``Failure`` on its page. Raises an ``AdapterError`` where
        reading cannot continue.
        """

    def location(self) -> str:
        """What is read and written, whatever the connection: host and project, or the path.

        For display, and to recognise it in a later run.
        """

    def health_checks(self) -> Iterator[HealthCheck]:
        """Check, one by one, what reading and writing need.

        Raises an ``AdapterError`` or ``ConfigError`` where a check cannot be made.
        """


@runtime_checkable
class BatchSource(Source, Protocol):
    """A source that can leave it to others to make traces of what it reads.

    A subclass says how that is scanned, which ``pull`` follows from.
    """

    def scanned(self, query: TraceQuery, scan: Scan[T]) -> Iterator[Scanned[T]]:
        """As ``pull``, the traces of each page as what ``scan`` makes of them."""

    def pull(self, query: TraceQuery) -> Iterator[TracePage]:
        """See ``Source``: all is made in this process."""
        for scanned in self.scanned(query, traces_here):
            yield structs.replace(scanned.page, traces=scanned.result)


@runtime_checkable
class Annotator(Source, Protocol):
    """A source whose traces can be annotated.

    ``shows_trace_annotations`` is whether its UI shows the explanation of an annotation on a trace
    as a whole; where it does not, the root span is the place for it. ``not_shown_note`` is why the
    platform may not show an annotation that it accepted, as a sentence; "" where it shows all of
    them. ``deletion_note`` is how long a deletion that it accepted can take, as a sentence; "" where
    it takes effect at once.
    """

    shows_trace_annotations: ClassVar[bool]
    not_shown_note: ClassVar[str]
    deletion_note: ClassVar[str]

    def ensure_configs(self, configs: Sequence[AnnotationConfig]) -> list[str]:
        """Make annotation names and labels known to the project; returns the names that are new."""

    def retire_configs(self, names: Sequence[str]) -> None:
        """Undo ``ensure_configs`` for ``names``."""

    def fetch_annotations(self, annotations: Sequence[Annotation]) -> list[Annotation | None]:
        """The stored annotation with the key of each; None where there is none."""

    def write_annotations(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Write each, replacing a stored one with the same key; results in the same order.

        Several threads may write and fetch annotations of different keys at once.
        """

    def delete_annotations(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Delete the stored annotation with the key of each; no error where there is none.

        Where the platform fails after it has deleted some, the others have an ``error``: an exception
        means that none was deleted.
        """

    def quota_note(self, verb: str, count: int) -> str | None:
        """What ``count`` writes (``verb`` "annotate") or deletions ("undo") cost.

        In the units that the platform bills or limits; None where it does neither. Shown to the
        user before the confirmation.
        """

    def links(self) -> Links:
        """URL templates of traces and spans in the platform's own UI."""


@runtime_checkable
class FollowUpWriter(Annotator, Protocol):
    """An annotator whose platform also has comments, review queues or datasets.

    ``permanent_follow_ups`` are the kinds that the platform has no way to delete.
    """

    permanent_follow_ups: ClassVar[frozenset[FollowUpKind]]

    def fetch_follow_ups(self, wanted: Sequence[FollowUp]) -> list[FollowUpResult | None]:
        """The existing follow-up with the key of each; None where there is none."""

    def create_follow_up(self, wanted: FollowUp) -> FollowUpResult:
        """Create one that does not exist.

        Raises an ``AdapterError`` where it was not created, with ``maybe_done`` where it may have
        been.
        """

    def delete_follow_ups(self, made: Sequence[FollowUpResult]) -> list[FollowUpResult]:
        """Delete each; one that cannot be deleted has an ``error``."""


@runtime_checkable
class VerdictReader(Annotator, Protocol):
    """An annotator whose platform tells what people wrote from what programs did."""

    def verdicts(self, annotations: Sequence[Annotation]) -> list[PersonsAnnotation]:
        """What people put beside ``annotations``, under their names or ``VERDICT``.

        That is on the same spans, and on their traces as a whole.
        """


@runtime_checkable
class SpanExporterProvider(Protocol):
    """An adapter whose platform takes OpenTelemetry spans."""

    def span_exporter(self) -> SpanExporter:
        """An exporter that sends spans to the platform; the caller shuts it down."""
