"""The adapter of MLflow: reads traces, writes assessments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import ClassVar

from halo_adapters.base import (
    Annotation,
    AnnotationConfig,
    FollowUp,
    FollowUpKind,
    FollowUpResult,
    HealthCheck,
    HealthStatus,
    Links,
    OnWait,
    PersonsAnnotation,
    Project,
    TracePage,
    TraceQuery,
    WriteResult,
)
from halo_adapters.mlflow.client import TITLE, MLflowClient
from halo_adapters.mlflow.follow_ups import MLflowFollowUps
from halo_adapters.mlflow.label_schemas import LabelSchemas
from halo_adapters.mlflow.losses import LOSSES
from halo_adapters.mlflow.reader import MLflowReader
from halo_adapters.mlflow.records import TraceRecords
from halo_adapters.mlflow.settings import MLflowSettings
from halo_adapters.mlflow.writer import MLflowWriter
from halo_adapters.transport.health import clock_check, transport_check
from halo_adapters.transport.versions import version_text


class MLflowAdapter:
    """One experiment on one MLflow server."""

    name: ClassVar[str] = "mlflow"
    title: ClassVar[str] = TITLE
    Settings: ClassVar[type[MLflowSettings]] = MLflowSettings
    filters: ClassVar[frozenset[str]] = frozenset(
        {
            *("project", "since", "until", "trace_ids", "names", "tags", "session_id", "user_id"),
            *("errors_only", "metadata", "limit", "sample"),
        }
    )
    follow_ups: ClassVar[frozenset[FollowUpKind]] = frozenset(
        {FollowUpKind.QUEUE_ITEM, FollowUpKind.DATASET_ITEM}
    )
    permanent_follow_ups: ClassVar[frozenset[FollowUpKind]] = frozenset()
    has_usable_defaults: ClassVar[bool] = False
    losses: ClassVar[tuple[str, ...]] = LOSSES
    shows_trace_annotations: ClassVar[bool] = True
    not_shown_note: ClassVar[str] = ""
    deletion_note: ClassVar[str] = ""

    def __init__(self, settings: MLflowSettings, *, on_wait: OnWait | None = None) -> None:
        self.settings = settings
        self._client = MLflowClient(settings, on_wait)

    @cached_property
    def _project(self) -> Project:
        return self._client.project(self.settings.project)

    @cached_property
    def _records(self) -> TraceRecords:
        return TraceRecords(self._client, self._project)

    @cached_property
    def _writer(self) -> MLflowWriter:
        return MLflowWriter(self._client, self._records)

    @cached_property
    def _follow_ups(self) -> MLflowFollowUps:
        return MLflowFollowUps(self._client, self._project, self._records)

    @cached_property
    def _label_schemas(self) -> LabelSchemas:
        return LabelSchemas(self._client, self._project)

    def location(self) -> str:
        """Host and experiment."""
        return f"{self._client.base_url}, experiment {self._project.name}"

    def pull(self, query: TraceQuery) -> Iterator[TracePage]:
        """Every matching trace, whole, newest first; ``query.project`` overrides the settings."""
        project = self._client.project(query.project) if query.project else self._project
        return MLflowReader(self._client, project).pages(query)

    def ensure_configs(self, configs: Sequence[AnnotationConfig]) -> list[str]:
        """Create label schemas, so that the experiment's UI offers the labels."""
        return self._label_schemas.ensure(configs)

    def retire_configs(self, names: Sequence[str]) -> None:
        """Delete label schemas."""
        self._label_schemas.delete(names)

    def fetch_annotations(self, annotations: Sequence[Annotation]) -> list[Annotation | None]:
        """The annotation with the key of each as MLflow shows it, or None."""
        return self._writer.fetch(annotations)

    def verdicts(self, annotations: Sequence[Annotation]) -> list[PersonsAnnotation]:
        """What people put beside ``annotations`` on their traces and spans."""
        return self._writer.verdicts(annotations)

    def write_annotations(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Write assessments, each replacing a stored one with the same key."""
        return self._writer.write(annotations)

    def delete_annotations(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Delete assessments by their key."""
        return self._writer.delete(annotations)

    def fetch_follow_ups(self, wanted: Sequence[FollowUp]) -> list[FollowUpResult | None]:
        """The existing follow-up with the key of each; None where there is none."""
        return self._follow_ups.fetch(wanted)

    def create_follow_up(self, wanted: FollowUp) -> FollowUpResult:
        """Create an item of a review queue, or a record of an evaluation dataset."""
        return self._follow_ups.create(wanted)

    def delete_follow_ups(self, made: Sequence[FollowUpResult]) -> list[FollowUpResult]:
        """Delete each, but for those that people worked on: they have an ``error``."""
        return self._follow_ups.delete(made)

    def quota_note(self, verb: str, count: int) -> str | None:
        """None: MLflow neither bills nor limits writes."""
        return None

    def links(self) -> Links:
        """Traces in MLflow's UI; it has no addresses for spans."""
        traces = f"{self._client.base_url}/#/experiments/{self._project.id}/traces"
        trace = f"{traces}?selectedEvaluationId=tr-{{trace_id}}"
        return Links(trace=trace, span=f"{trace}&selectedSpanId={{span_id}}")

    # -- doctor ----------------------------------------------------------------------------------

    def health_checks(self) -> Iterator[HealthCheck]:
        """Server, version, credentials, experiment, permission to write, clock."""
        yield transport_check(self._client.base_url)
        version = version_text(self._client.version())
        yield HealthCheck(what="version", status=HealthStatus.OK, found=version)
        count = len(self._client.projects())
        yield HealthCheck(what="key", status=HealthStatus.OK, found="accepted")
        found = f"{self._project.name} (one of {count})"
        yield HealthCheck(what="experiment", status=HealthStatus.OK, found=found)
        yield self._check_permission()
        yield clock_check(self._client.http.get("/version"))

    def _check_permission(self) -> HealthCheck:
        if self._client.may_write(self._project):
            return HealthCheck(what="permission", status=HealthStatus.OK, found="may annotate")
        return HealthCheck(
            what="permission",
            status=HealthStatus.WARNING,
            found="this user may read, but not annotate",
            fix="Use a user who may edit the experiment, or run with --dry-run.",
        )
