"""Arize Phoenix: traces out, annotations in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
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
from halo_adapters.phoenix.client import PhoenixClient, Project, dotted
from halo_adapters.phoenix.reader import TRACE_FILTER_VERSION, PhoenixReader
from halo_adapters.phoenix.settings import PhoenixSettings
from halo_adapters.phoenix.writer import PhoenixWriter
from halo_adapters.transport.health import clock_check, transport_check


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
        self._api = PhoenixClient(settings, on_wait)

    @cached_property
    def _project(self) -> Project:
        return self._api.project(self.settings.project)

    @cached_property
    def _writer(self) -> PhoenixWriter:
        return PhoenixWriter(self._api, self._project)

    def destination(self) -> str:
        """Host and project that annotations go to."""
        return f"{self._api.base_url}, project {self._project.name}"

    def pull(self, query: TraceQuery) -> Iterator[TracePage]:
        """Every matching trace, whole, newest first. ``query.project`` is the settings' if None."""
        project = self._api.project(query.project) if query.project else self._project
        return PhoenixReader(self._api, project).pages(query)

    def ensure_configs(self, configs: Sequence[AnnotationConfig]) -> list[str]:
        """Make annotation configs known to the project, so that the UI shows labels and colours."""
        return self._writer.ensure_configs(configs)

    def retire_configs(self, names: Sequence[str]) -> None:
        """Take annotation configs out of the project again."""
        self._writer.retire_configs(names)

    def fetch_annotations(self, annotations: Sequence[Annotation]) -> list[Annotation | None]:
        """What now stands under the identity of each annotation."""
        return self._writer.fetch(annotations)

    def write_annotations(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Write annotations, each replacing what stands under its identity."""
        return self._writer.write(annotations)

    def delete_annotations(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Delete annotations by their identity."""
        return self._writer.delete(annotations)

    def quota_note(self, verb: str, count: int) -> str | None:
        """Phoenix bills and rations nothing."""
        return None

    def links(self) -> Links:
        """Phoenix's own redirects by OpenTelemetry ids."""
        redirects = f"{self._api.base_url}/redirects"
        return Links(
            trace=f"{redirects}/traces/{{trace_id}}", span=f"{redirects}/spans/{{span_id}}"
        )

    # -- doctor ----------------------------------------------------------------------------------

    def health_checks(self) -> Iterator[HealthCheck]:
        """Server, version, key, project, permission to write, clock."""
        yield transport_check(self._api.base_url)
        version = self._api.version()
        yield self._check_version(version)
        projects = self._api.projects()
        yield HealthCheck(what="key", status=HealthStatus.OK, found="accepted")
        yield self._check_project(len(projects))
        yield self._check_permission()
        yield clock_check(self._api.http.get("/arize_phoenix_version"))

    def _check_version(self, version: tuple[int, ...]) -> HealthCheck:
        if version < TRACE_FILTER_VERSION:
            return HealthCheck(
                what="version",
                status=HealthStatus.WARNING,
                found=dotted(version),
                fix=f"Upgrade Phoenix to {dotted(TRACE_FILTER_VERSION)} or newer for all filters.",
            )
        return HealthCheck(what="version", status=HealthStatus.OK, found=dotted(version))

    def _check_project(self, projects: int) -> HealthCheck:
        found = f"{self._project.name} (one of {projects})"
        return HealthCheck(what="project", status=HealthStatus.OK, found=found)

    def _check_permission(self) -> HealthCheck:
        if self._api.may_write():
            return HealthCheck(what="permission", status=HealthStatus.OK, found="may annotate")
        return HealthCheck(
            what="permission",
            status=HealthStatus.WARNING,
            found="this key may read, but not annotate",
            fix="Use a key that may write, or run with --dry-run.",
        )
