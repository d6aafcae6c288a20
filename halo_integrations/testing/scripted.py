"""A platform in memory, for tests: real behaviour, and faults on demand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from halo_adapters.base import (
    Annotation,
    AnnotationConfig,
    Check,
    CheckStatus,
    Links,
    OnWait,
    Page,
    TraceQuery,
    Written,
)
from halo_engine.chunks import chunks
from halo_engine.errors import Unavailable
from halo_engine.schema import Model, Trace

Key = tuple[str, str, str, str]


class ScriptedSettings(Model):
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

    def pull(self, query: TraceQuery) -> Iterator[Page]:
        """The traces that are not held yet; filters other than ``limit`` are not scripted."""
        wanted = self.traces[: query.limit]
        missing = [trace for trace in wanted if trace.trace_id not in query.held]
        for number, traces in enumerate(chunks(missing, self.page)):
            if number == self.fail_after_pages:
                raise Unavailable("The scripted platform went away.", platform=self.name)
            self.reads += [trace.trace_id for trace in traces]
            yield Page(traces=tuple(traces), total=len(wanted))

    def check(self) -> Iterator[Check]:
        """All is well."""
        yield Check(what="server", status=CheckStatus.OK, found="in memory")

    def declare(self, configs: Sequence[AnnotationConfig]) -> list[str]:
        """Note the names that are new."""
        new = [config.name for config in configs if config.name not in self.configs]
        self.configs += new
        return new

    def retire(self, names: Sequence[str]) -> None:
        """Forget names."""
        self.configs = [name for name in self.configs if name not in names]

    def stored(self, annotations: Sequence[Annotation]) -> list[Annotation | None]:
        """What is kept under each identity."""
        return [self.annotations.get(annotation.key) for annotation in annotations]

    def annotate(self, annotations: Sequence[Annotation]) -> list[Written]:
        """Keep annotations."""
        if self._writes == self.fail_after_writes:
            raise Unavailable("The scripted platform went away.", platform=self.name)
        self._writes += 1
        return [self._keep(annotation) for annotation in annotations]

    def _keep(self, annotation: Annotation) -> Written:
        if annotation.span_id in self.refused:
            return Written(annotation=annotation, error="refused by script")
        if annotation.span_id not in self.lost:
            self.annotations[annotation.key] = annotation
        return Written(annotation=annotation)

    def undo(self, annotations: Sequence[Annotation]) -> list[Written]:
        """Drop annotations."""
        for annotation in annotations:
            self.annotations.pop(annotation.key, None)
        return [Written(annotation=annotation) for annotation in annotations]

    def cost(self, verb: str, count: int) -> str | None:
        """Nothing."""
        return None

    def links(self) -> Links:
        """Addresses that lead nowhere."""
        return Links(trace="memory://{trace_id}", span="memory://{trace_id}/{span_id}")

    def destination(self) -> str:
        """Where annotations are kept."""
        return "memory"
