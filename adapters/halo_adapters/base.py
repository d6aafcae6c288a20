"""What an adapter is: the narrow seam between a platform and everything else.

A ``Source`` can be read. An ``Annotator`` is a source that also takes annotations, shows what it
has stored, and takes them back. The pipeline knows nothing of a platform beyond these two.

An adapter is a class with a ``Settings`` model, made from an instance of it. A setting names the
environment variables it is read from in ``json_schema_extra={"env": [...]}``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Protocol, runtime_checkable
from urllib.parse import quote

from pydantic import BaseModel, Field

from halo_engine.schema import Failure, FrozenModel, Trace

ANNOTATION_PREFIX = "halo."

# Called with the reason and the seconds before an adapter waits for its platform.
OnWait = Callable[[str, float], None]


class TraceQuery(FrozenModel):
    """Which traces to read. Every given filter must hold; ``limit`` counts whole traces.

    ``since`` is included and ``until`` excluded; both are compared with a trace's first start.
    ``environments`` and ``names`` (of traces) each match when one of them does, ``tags`` when all
    are there. ``metadata`` compares span attributes (dotted key -> value): a trace matches when one
    of its spans does. ``limit`` takes the newest traces, ``sample`` so many at random among those
    that match, the same ones for the same ``seed``. ``held`` are traces that are on disk already
    from an interrupted pull: a source may leave them out, but counts them towards ``limit`` and
    ``sample``.

    A source honours the filters that it names in ``filters``, and is never given another.
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
        """Whether traces are given by their ids and nothing else is asked of them."""
        bare = TraceQuery(
            project=self.project, trace_ids=self.trace_ids, already_stored=self.already_stored
        )
        return bool(self.trace_ids) and self == bare


class TracePage(FrozenModel):
    """What one step of reading gave.

    A trace may come in several pieces over several pages; the store unites them. ``total`` is
    how many traces there will be, where the platform says so before the end. ``read`` and ``size``
    are bytes, for sources whose length is known in bytes.
    """

    traces: tuple[Trace, ...] = ()
    failures: tuple[Failure, ...] = ()
    total: int | None = None
    read: int | None = None
    size: int | None = None


class Annotation(FrozenModel):
    """One judgement to write: on a span, or (``span_id`` None) on a trace as a whole.

    ``name``, target and ``identifier`` together are its identity: writing it again replaces it.
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
    def key(self) -> tuple[str, str, str, str]:
        """What makes it this annotation and no other."""
        return (self.name, self.trace_id, self.span_id or "", self.identifier)


class WriteResult(FrozenModel):
    """The platform's answer to one annotation: done, or the reason why not."""

    annotation: Annotation
    error: str | None = None


class AnnotationConfig(FrozenModel):
    """A name under which annotations are written, and the labels it may have, worst first."""

    name: str
    description: str
    labels: tuple[str, ...]


class FollowUpKind(StrEnum):
    """What people can go on with."""

    COMMENT = "comment"
    QUEUE_ITEM = "queue item"
    DATASET_ITEM = "dataset item"


class FollowUp(FrozenModel):
    """Something beside annotations that a finding gives people to go on with.

    A comment on a trace, a trace in a review queue, or its input in a dataset. ``key`` says which
    one it is, so that it is not made twice; ``place`` is the name of the queue or dataset;
    ``content`` the text of the comment or the input; ``names`` what it is about.
    """

    kind: FollowUpKind
    trace_id: str
    span_id: str | None = None
    key: str
    place: str = ""
    content: str = ""
    names: tuple[str, ...] = ()


class FollowUpResult(FrozenModel):
    """What came of one follow-up: its id on the platform, or the reason why there is none.

    ``is_new`` is False for one that was there before; ``holder`` is the id of what it is in.
    """

    follow_up: FollowUp
    id: str | None = None
    holder: str | None = None
    is_new: bool = True
    error: str | None = None


class Links(FrozenModel):
    """Addresses in a platform's own UI, ``{trace_id}`` and ``{span_id}`` standing for the ids."""

    trace: str
    span: str

    def url(self, trace_id: str, span_id: str | None = None) -> str:
        """The address of a span, or of a trace as a whole."""
        template = self.trace if span_id is None else self.span
        ids = {"trace_id": trace_id, "span_id": span_id or ""}
        return template.format(**{name: quote(value, safe="") for name, value in ids.items()})


class HealthStatus(StrEnum):
    """How one check went."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class HealthCheck(FrozenModel):
    """One thing ``doctor`` looked at; ``fix`` says what to do where it is not in order."""

    what: str
    status: HealthStatus
    found: str
    fix: str | None = None


@runtime_checkable
class Source(Protocol):
    """A place that traces can be read from."""

    name: ClassVar[str]
    Settings: ClassVar[type[BaseModel]]
    filters: ClassVar[frozenset[str]]

    def __init__(self, settings: Any, *, on_wait: OnWait | None = None) -> None:
        """``settings`` is an instance of ``Settings``; ``on_wait`` is told of each wait."""

    def pull(self, query: TraceQuery) -> Iterator[TracePage]:
        """Read every trace that matches, whole, until the source is exhausted.

        Raises an ``AdapterError`` where reading cannot go on; an item that cannot be read is a
        ``Failure`` in its page.
        """

    def health_checks(self) -> Iterator[HealthCheck]:
        """Look at what reading and writing need, one thing after another."""


@runtime_checkable
class Annotator(Source, Protocol):
    """A source that takes annotations on the traces that it gave."""

    def destination(self) -> str:
        """Where annotations go, as shown before writing: host and project."""

    def ensure_configs(self, configs: Sequence[AnnotationConfig]) -> list[str]:
        """Make the names known to the project; returns those that were not there before."""

    def retire_configs(self, names: Sequence[str]) -> None:
        """Take back what ``declare`` made for ``names``."""

    def fetch_annotations(self, annotations: Sequence[Annotation]) -> list[Annotation | None]:
        """What now stands under the identity of each annotation, or None."""

    def write_annotations(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Write them, each replacing what stands under its identity."""

    def delete_annotations(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Delete what stands under the identity of each; one that is not there is done."""

    def quota_note(self, verb: str, count: int) -> str | None:
        """What it takes to ``annotate`` or ``undo`` so many, for the one who has to agree.

        In the platform's own units, where it bills or rations them; None where it does not.
        """

    def links(self) -> Links:
        """Where traces and spans are in the platform's own UI."""


@runtime_checkable
class FollowUpWriter(Annotator, Protocol):
    """An annotator whose platform also has comments, review queues and datasets."""

    def create_follow_ups(self, wanted: Sequence[FollowUp]) -> Iterator[FollowUpResult]:
        """Make each, unless it is there."""

    def delete_follow_ups(self, made: Sequence[FollowUpResult]) -> list[FollowUpResult]:
        """Take each back; one that cannot be comes with the reason."""
