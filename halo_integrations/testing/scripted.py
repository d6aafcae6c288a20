"""An adapter of a platform in memory, for tests, with faults on demand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from halo_adapters.base import (
    Annotation,
    AnnotationConfig,
    AnnotationKey,
    FollowUpKind,
    HealthCheck,
    HealthStatus,
    Links,
    OnWait,
    TracePage,
    TraceQuery,
    WriteResult,
)
from halo_engine.chunks import chunks
from halo_engine.errors import Unavailable
from halo_engine.schema import FrozenModel, Trace


class ScriptedSettings(FrozenModel):
    """No settings."""


class ScriptedPlatform:
    """Returns ``traces``, ``page`` at a time, and stores annotations in ``annotations``.

    Faults are attributes: with ``fail_after_pages`` or ``fail_after_writes`` it raises
    ``Unavailable`` once so many pages were read or batches written, until they are set to None.
    Annotations on a span in ``refused`` are refused; those on a span in ``lost`` are accepted but
    not stored. A deletion removes all annotations with the name and identifier, whatever span or
    trace they are on, as Phoenix does.
    """

    name: ClassVar[str] = "scripted"
    title: ClassVar[str] = "Scripted"
    Settings: ClassVar[type[ScriptedSettings]] = ScriptedSettings
    filters: ClassVar[frozenset[str]] = frozenset({"limit"})
    follow_ups: ClassVar[frozenset[FollowUpKind]] = frozenset()
    has_usable_defaults: ClassVar[bool] = True
    losses: ClassVar[tuple[str, ...]] = ()
    shows_trace_annotations: ClassVar[bool] = True
    not_shown_note: ClassVar[str] = ""
    deletion_note: ClassVar[str] = ""

    def __init__(
        self,
        settings: ScriptedSettings | None = None,
        *,
        traces: Sequence[Trace] = (),
        page: int = 2,
        on_wait: OnWait | None = None,
    ) -> None:
        self.traces = list(traces)
        self.page = page
        self.annotations: dict[AnnotationKey, Annotation] = {}
        self.configs: list[str] = []
        self.reads: list[str] = []
        self.fail_after_pages: int | None = None
        self.fail_after_writes: int | None = None
        self.refused: set[str] = set()
        self.lost: set[str] = set()
        self._writes = 0

    def pull(self, query: TraceQuery) -> Iterator[TracePage]:
        """The first ``limit`` traces that are not stored yet; other filters are not supported."""
        wanted = self.traces[: query.limit]
        missing = [trace for trace in wanted if trace.trace_id not in query.already_stored]
        for number, traces in enumerate(chunks(missing, self.page)):
            if number == self.fail_after_pages:
                raise Unavailable("The scripted platform is unavailable.", platform=self.name)
            self.reads += [trace.trace_id for trace in traces]
            yield TracePage(traces=tuple(traces), total=len(wanted))

    def health_checks(self) -> Iterator[HealthCheck]:
        """One check, which passes."""
        yield HealthCheck(what="server", status=HealthStatus.OK, found="in memory")

    def ensure_configs(self, configs: Sequence[AnnotationConfig]) -> list[str]:
        """Add the names that are new, and return them."""
        new = [config.name for config in configs if config.name not in self.configs]
        self.configs += new
        return new

    def retire_configs(self, names: Sequence[str]) -> None:
        """Remove names."""
        self.configs = [name for name in self.configs if name not in names]

    def fetch_annotations(self, annotations: Sequence[Annotation]) -> list[Annotation | None]:
        """The stored annotation with the key of each, or None."""
        return [self.annotations.get(annotation.key) for annotation in annotations]

    def write_annotations(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Store annotations, except refused and lost ones."""
        if self._writes == self.fail_after_writes:
            raise Unavailable("The scripted platform is unavailable.", platform=self.name)
        self._writes += 1
        return [self._store(annotation) for annotation in annotations]

    def _store(self, annotation: Annotation) -> WriteResult:
        if annotation.span_id in self.refused:
            return WriteResult(annotation=annotation, error="refused by script")
        if annotation.span_id not in self.lost:
            self.annotations[annotation.key] = annotation
        return WriteResult(annotation=annotation)

    def delete_annotations(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Delete annotations by name and identifier."""
        deleted = {deletion_key(annotation) for annotation in annotations}
        stored = self.annotations.items()
        self.annotations = {k: a for k, a in stored if deletion_key(a) not in deleted}
        return [WriteResult(annotation=annotation) for annotation in annotations]

    def quota_note(self, verb: str, count: int) -> str | None:
        """None: nothing is billed or limited."""
        return None

    def links(self) -> Links:
        """URLs that resolve to nothing."""
        return Links(
            trace="memory://{trace_id}",
            span="memory://{trace_id}/{span_id}",
            marks="memory://marks/{name}/{label}/{within}",
        )

    def location(self) -> str:
        """The name of the place that annotations are written to."""
        return "memory"


def deletion_key(annotation: Annotation) -> tuple[str, bool, str]:
    """What a deletion goes by: the name, whether it is on a span, and the identifier."""
    return annotation.name, annotation.span_id is not None, annotation.identifier
