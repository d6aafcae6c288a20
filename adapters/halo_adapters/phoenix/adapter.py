"""The adapter of Arize Phoenix: reads traces, writes annotations, takes OpenTelemetry spans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, TypeVar
from urllib.parse import quote

from halo_adapters.base import (
    Annotation,
    AnnotationConfig,
    BatchSource,
    FollowUpKind,
    HealthCheck,
    HealthStatus,
    Links,
    OnWait,
    PersonsAnnotation,
    Project,
    Scan,
    Scanned,
    TraceQuery,
    WriteResult,
)
from halo_adapters.phoenix.client import TITLE, PhoenixClient
from halo_adapters.phoenix.exporter import phoenix_exporter
from halo_adapters.phoenix.losses import LOSSES
from halo_adapters.phoenix.reader import TRACE_FILTER_VERSION, PhoenixReader
from halo_adapters.phoenix.settings import PhoenixSettings
from halo_adapters.phoenix.writer import PhoenixWriter
from halo_adapters.trace_failures import told_once
from halo_adapters.transport.health import clock_check, transport_check
from halo_adapters.transport.versions import Version, version_text

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter


T = TypeVar("T")

# Spans with an annotation of this name whose explanation holds a text, percent-encoded.
MARK_CONDITION = quote("'{within}' in annotations['{name}'].explanation", safe="{}")


class PhoenixAdapter(BatchSource):
    """One project on one Phoenix server."""

    name: ClassVar[str] = "phoenix"
    title: ClassVar[str] = TITLE
    Settings: ClassVar[type[PhoenixSettings]] = PhoenixSettings
    filters: ClassVar[frozenset[str]] = frozenset(
        {
            *("project", "since", "until", "trace_ids", "session_id", "errors_only", "metadata"),
            *("names", "user_id", "limit", "sample"),
        }
    )
    follow_ups: ClassVar[frozenset[FollowUpKind]] = frozenset()
    has_usable_defaults: ClassVar[bool] = True
    losses: ClassVar[tuple[str, ...]] = LOSSES
    shows_trace_annotations: ClassVar[bool] = False
    not_shown_note: ClassVar[str] = ""
    deletion_note: ClassVar[str] = ""

    def __init__(self, settings: PhoenixSettings, *, on_wait: OnWait | None = None) -> None:
        self.settings = settings
        self._client = PhoenixClient(settings, on_wait)

    @cached_property
    def _project(self) -> Project:
        return self._client.project(self.settings.project)

    @cached_property
    def _writer(self) -> PhoenixWriter:
        return PhoenixWriter(self._client, self._project)

    def location(self) -> str:
        """Host and project."""
        return f"{self._client.base_url}, project {self._project.name}"

    def scanned(self, query: TraceQuery, scan: Scan[T]) -> Iterator[Scanned[T]]:
        """Every matching trace, whole, newest first; ``query.project`` overrides the settings."""
        project = self._client.project(query.project) if query.project else self._project
        return told_once(scan(PhoenixReader(self._client, project).batches(query)))

    def ensure_configs(self, configs: Sequence[AnnotationConfig]) -> list[str]:
        """Create annotation configs, so that the project's UI has labels and colours."""
        return self._writer.ensure_configs(configs)

    def retire_configs(self, names: Sequence[str]) -> None:
        """Remove annotation configs from the project."""
        self._writer.retire_configs(names)

    def fetch_annotations(self, annotations: Sequence[Annotation]) -> list[Annotation | None]:
        """The stored annotation with the key of each, or None."""
        return self._writer.fetch(annotations)

    def verdicts(self, annotations: Sequence[Annotation]) -> list[PersonsAnnotation]:
        """What people put beside ``annotations``."""
        return self._writer.verdicts(annotations)

    def write_annotations(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Write annotations, each replacing a stored one with the same key."""
        return self._writer.write(annotations)

    def delete_annotations(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Delete annotations by name and identifier."""
        return self._writer.delete(annotations)

    def quota_note(self, verb: str, count: int) -> str | None:
        """None: Phoenix neither bills nor limits writes."""
        return None

    def links(self) -> Links:
        """Phoenix's redirects from OpenTelemetry ids to its pages, and its filter of spans."""
        base_url = self._client.base_url
        redirects = f"{base_url}/redirects"
        spans = f"{base_url}/projects/{quote(self._project.id, safe='')}/spans"
        return Links(
            trace=f"{redirects}/traces/{{trace_id}}",
            span=f"{redirects}/spans/{{span_id}}",
            marks=f"{spans}?timeRangeKey=30d&spanFilterCondition={MARK_CONDITION}",
        )

    def span_exporter(self) -> SpanExporter:
        """An OTLP exporter to this server."""
        return phoenix_exporter(self.settings)

    # -- doctor ----------------------------------------------------------------------------------

    def health_checks(self) -> Iterator[HealthCheck]:
        """Server, version, key, project, permission to write, clock."""
        yield transport_check(self._client.base_url)
        version = self._client.version()
        yield self._check_version(version)
        projects = self._client.projects()
        yield HealthCheck(what="key", status=HealthStatus.OK, found="accepted")
        yield self._check_project(len(projects))
        yield self._check_permission()
        yield clock_check(self._client.http.get("/arize_phoenix_version"))

    def _check_version(self, version: Version) -> HealthCheck:
        if version < TRACE_FILTER_VERSION:
            needed = version_text(TRACE_FILTER_VERSION)
            return HealthCheck(
                what="version",
                status=HealthStatus.WARNING,
                found=version_text(version),
                fix=f"Upgrade Phoenix to {needed} or newer for all filters.",
            )
        return HealthCheck(what="version", status=HealthStatus.OK, found=version_text(version))

    def _check_project(self, projects: int) -> HealthCheck:
        found = f"{self._project.name} (one of {projects})"
        return HealthCheck(what="project", status=HealthStatus.OK, found=found)

    def _check_permission(self) -> HealthCheck:
        if self._client.may_write():
            return HealthCheck(what="permission", status=HealthStatus.OK, found="may annotate")
        return HealthCheck(
            what="permission",
            status=HealthStatus.WARNING,
            found="this key may read, but not annotate",
            fix="Use a key that may write, or run with --dry-run.",
        )
