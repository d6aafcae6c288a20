"""Arize Phoenix: traces out, annotations in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
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
from halo_adapters.checks import clock_check, transport_check
from halo_adapters.phoenix.api import PhoenixApi, Project, dotted
from halo_adapters.phoenix.reader import TRACE_FILTER_VERSION, PhoenixReader
from halo_adapters.phoenix.settings import PhoenixSettings
from halo_adapters.phoenix.writer import PhoenixWriter


class PhoenixAdapter:
    """One project on one Phoenix server."""

    name: ClassVar[str] = "phoenix"
    Settings: ClassVar[type[PhoenixSettings]] = PhoenixSettings
    filters: ClassVar[frozenset[str]] = frozenset(
        {
            *("project", "since", "until", "trace_ids", "session_id", "errors_only", "metadata"),
            *("names", "user_id", "limit", "sample"),
        }
    )

    def __init__(self, settings: PhoenixSettings, *, on_wait: OnWait | None = None) -> None:
        self.settings = settings
        self._api = PhoenixApi(settings, on_wait)

    @cached_property
    def _project(self) -> Project:
        return self._api.project(self.settings.project)

    @cached_property
    def _writer(self) -> PhoenixWriter:
        return PhoenixWriter(self._api, self._project)

    def destination(self) -> str:
        """Host and project that annotations go to."""
        return f"{self._api.base_url}, project {self._project.name}"

    def pull(self, query: TraceQuery) -> Iterator[Page]:
        """Every matching trace, whole, newest first. ``query.project`` is the settings' if None."""
        project = self._api.project(query.project) if query.project else self._project
        return PhoenixReader(self._api, project).pages(query)

    def declare(self, configs: Sequence[AnnotationConfig]) -> list[str]:
        """Make annotation configs known to the project, so that the UI shows labels and colours."""
        return self._writer.declare(configs)

    def retire(self, names: Sequence[str]) -> None:
        """Take annotation configs out of the project again."""
        self._writer.retire(names)

    def stored(self, annotations: Sequence[Annotation]) -> list[Annotation | None]:
        """What now stands under the identity of each annotation."""
        return self._writer.stored(annotations)

    def annotate(self, annotations: Sequence[Annotation]) -> list[Written]:
        """Write annotations, each replacing what stands under its identity."""
        return self._writer.annotate(annotations)

    def undo(self, annotations: Sequence[Annotation]) -> list[Written]:
        """Delete annotations by their identity."""
        return self._writer.undo(annotations)

    def cost(self, verb: str, count: int) -> str | None:
        """Phoenix bills and rations nothing."""
        return None

    def links(self) -> Links:
        """Phoenix's own redirects by OpenTelemetry ids."""
        redirects = f"{self._api.base_url}/redirects"
        return Links(
            trace=f"{redirects}/traces/{{trace_id}}", span=f"{redirects}/spans/{{span_id}}"
        )

    # -- doctor ----------------------------------------------------------------------------------

    def check(self) -> Iterator[Check]:
        """Server, version, key, project, permission to write, clock."""
        yield transport_check(self._api.base_url)
        version = self._api.version()
        yield self._check_version(version)
        projects = self._api.projects()
        yield Check(what="key", status=CheckStatus.OK, found="accepted")
        yield self._check_project(len(projects))
        yield self._check_permission()
        yield clock_check(self._api.http.get("/arize_phoenix_version"))

    def _check_version(self, version: tuple[int, ...]) -> Check:
        if version < TRACE_FILTER_VERSION:
            return Check(
                what="version",
                status=CheckStatus.WARNING,
                found=dotted(version),
                fix=f"Upgrade Phoenix to {dotted(TRACE_FILTER_VERSION)} or newer for all filters.",
            )
        return Check(what="version", status=CheckStatus.OK, found=dotted(version))

    def _check_project(self, projects: int) -> Check:
        found = f"{self._project.name} (one of {projects})"
        return Check(what="project", status=CheckStatus.OK, found=found)

    def _check_permission(self) -> Check:
        if self._api.may_write():
            return Check(what="permission", status=CheckStatus.OK, found="may annotate")
        return Check(
            what="permission",
            status=CheckStatus.WARNING,
            found="this key may read, but not annotate",
            fix="Use a key that may write, or run with --dry-run.",
        )
