"""A platform in memory, for tests: real behaviour, and faults on demand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from halo_adapters.base import (
    Annotation,
    AnnotationConfig,
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

Key = tuple[str, str, str, str]


class ScriptedSettings(FrozenModel):
    """Nothing to set."""


class ScriptedPlatform:
    """Gives ``traces`` a page at a time and keeps annotations.

    ``fail_after_pages`` and ``fail_after_writes`` make it unavailable once so many pages were read
    or batches written, until they are set to None; annotations on a span in ``refused`` are
    refused; those on a span in ``lost`` are accepted and never stored.
    """

    name: ClassVar[str] = "scripted"
    Settings: ClassVar[type[ScriptedSettings]] = ScriptedSettings
    filters: ClassVar[frozenset[str]] = frozenset({"limit"})

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
        self.annotations: dict[Key, Annotation] = {}
        self.configs: list[str] = []
        self.reads: list[str] = []
        self.fail_after_pages: int | None = None
        self.fail_after_writes: int | None = None
        self.refused: set[str] = set()
        self.lost: set[str] = set()
        self._writes = 0

    def pull(self, query: TraceQuery) -> Iterator[TracePage]:
        """The traces that are not held yet; filters other than ``limit`` are not scripted."""
        wanted = self.traces[: query.limit]
        missing = [trace for trace in wanted if trace.trace_id not in query.already_stored]
        for number, traces in enumerate(chunks(missing, self.page)):
            if number == self.fail_after_pages:
                raise Unavailable("The scripted platform went away.", platform=self.name)
            self.reads += [trace.trace_id for trace in traces]
            yield TracePage(traces=tuple(traces), total=len(wanted))

    def health_checks(self) -> Iterator[HealthCheck]:
        """All is well."""
        yield HealthCheck(what="server", status=HealthStatus.OK, found="in memory")

    def ensure_configs(self, configs: Sequence[AnnotationConfig]) -> list[str]:
        """Note the names that are new."""
        new = [config.name for config in configs if config.name not in self.configs]
        self.configs += new
        return new

    def retire_configs(self, names: Sequence[str]) -> None:
        """Forget names."""
        self.configs = [name for name in self.configs if name not in names]

    def fetch_annotations(self, annotations: Sequence[Annotation]) -> list[Annotation | None]:
        """What is kept under each identity."""
        return [self.annotations.get(annotation.key) for annotation in annotations]

    def write_annotations(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Keep annotations."""
        if self._writes == self.fail_after_writes:
            raise Unavailable("The scripted platform went away.", platform=self.name)
        self._writes += 1
        return [self._keep(annotation) for annotation in annotations]

    def _keep(self, annotation: Annotation) -> WriteResult:
        if annotation.span_id in self.refused:
            return WriteResult(annotation=annotation, error="refused by script")
        if annotation.span_id not in self.lost:
            self.annotations[annotation.key] = annotation
        return WriteResult(annotation=annotation)

    def delete_annotations(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Drop annotations."""
        for annotation in annotations:
            self.annotations.pop(annotation.key, None)
        return [WriteResult(annotation=annotation) for annotation in annotations]

    def quota_note(self, verb: str, count: int) -> str | None:
        """Nothing."""
        return None

    def links(self) -> Links:
        """Addresses that lead nowhere."""
        return Links(trace="memory://{trace_id}", span="memory://{trace_id}/{span_id}")

    def destination(self) -> str:
        """Where annotations are kept."""
        return "memory"
