"""The adapter of Langfuse: reads traces, writes scores and follow-ups.

For Langfuse Cloud, self-hosted v4 and self-hosted v3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import ClassVar, TypeVar
from urllib.parse import quote

from halo_adapters.base import (
    VERDICT,
    VERDICTS_WITHIN,
    Annotation,
    AnnotationConfig,
    BatchSource,
    FollowUp,
    FollowUpKind,
    FollowUpResult,
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
from halo_adapters.langfuse.batches import LangfuseBatch
from halo_adapters.langfuse.client import TITLE, LangfuseClient
from halo_adapters.langfuse.follow_ups import FollowUps
from halo_adapters.langfuse.legacy_reader import LegacyReader
from halo_adapters.langfuse.losses import LOSSES
from halo_adapters.langfuse.mapping import persons_score
from halo_adapters.langfuse.rate_limits import deletions_note
from halo_adapters.langfuse.reader import ObservationsReader
from halo_adapters.langfuse.score_configs import ScoreConfigs
from halo_adapters.langfuse.scores import LegacyScoreReader, ScoreReader
from halo_adapters.langfuse.settings import LangfuseSettings, ReadApi
from halo_adapters.langfuse.writer import LangfuseWriter
from halo_adapters.trace_failures import told_once
from halo_adapters.transport.health import clock_check, transport_check
from halo_adapters.transport.versions import version_text
from halo_engine.errors import ConfigError, NotFound

T = TypeVar("T")

CLOUD_DOMAIN = "langfuse.com"

# Two settings of the worker, with their defaults in Langfuse 4.16; no API shows them.
DELETION_CHECK = HealthCheck(
    what="deleting",
    status=HealthStatus.OK,
    found="in the background: `undo` of many scores takes hours on a worker with default settings, "
    "which deletes LANGFUSE_SCORE_DELETE_CONCURRENCY=1 score per "
    "LANGFUSE_CLICKHOUSE_TRACE_DELETION_CONCURRENCY_DURATION_MS=120000; with 50 and 1000 it takes "
    "seconds",
)


# Column, type, key, operator and value, as the UI writes a filter into its address; percent-encoded.
SCORE_FILTER = quote("score_categories;categoryOptions;{name};any of;{label}", safe="{}")


class LangfuseAdapter(BatchSource):
    """One project on one Langfuse server."""

    name: ClassVar[str] = "langfuse"
    title: ClassVar[str] = TITLE
    Settings: ClassVar[type[LangfuseSettings]] = LangfuseSettings
    filters: ClassVar[frozenset[str]] = frozenset(TraceQuery.model_fields)
    follow_ups: ClassVar[frozenset[FollowUpKind]] = frozenset(FollowUpKind)
    permanent_follow_ups: ClassVar[frozenset[FollowUpKind]] = frozenset({FollowUpKind.COMMENT})
    has_usable_defaults: ClassVar[bool] = False
    losses: ClassVar[tuple[str, ...]] = LOSSES
    shows_trace_annotations: ClassVar[bool] = True
    not_shown_note: ClassVar[str] = (
        "A score config of the same name may have refused it after it was accepted."
    )
    deletion_note: ClassVar[str] = (
        "Langfuse deletes scores one after the other, a self-hosted server by default one every two "
        "minutes; `halo-integrations doctor langfuse` names the settings that make it faster."
    )

    def __init__(self, settings: LangfuseSettings, *, on_wait: OnWait | None = None) -> None:
        self.settings = settings
        self._client = LangfuseClient(settings, on_wait)

    @cached_property
    def _project(self) -> Project:
        """The project of the keys; raises ``ConfigError`` where the settings name another one."""
        project, wanted = self._client.project, self.settings.project
        if wanted is not None and wanted not in (project.id, project.name):
            raise ConfigError(
                f"The Langfuse keys belong to project {project.name!r} ({project.id}), not to "
                f"{wanted!r}. In Langfuse the keys choose the project: set those of {wanted!r}, "
                f"or choose a --profile."
            )
        return project

    @cached_property
    def _reads_v2(self) -> bool:
        """Whether to read through ``v2/observations`` or the legacy endpoints.

        Raises ``NotFound`` where the server has none that the settings allow.
        """
        wanted = self.settings.api
        if wanted is not ReadApi.LEGACY and self._client.has_observations_v2():
            return True
        if wanted is not ReadApi.V2 and self._client.has_legacy():
            return False
        tried = {ReadApi.AUTO: "neither v2/observations nor the legacy traces"}
        version = version_text(self._client.version)
        raise NotFound(
            f"{self._client.base_url} (Langfuse {version}) does not answer "
            f"{tried.get(wanted, f'the {wanted} endpoints')}. A self-hosted v3 has only the "
            f"legacy endpoints, a v4 in events_only mode, and Cloud, only the v2 ones: leave "
            f"LANGFUSE_API at auto, or enable the v2 endpoints on the server.",
            platform=TITLE,
        )

    @cached_property
    def _scores(self) -> ScoreReader:
        return ScoreReader(self._client) if self._reads_v2 else LegacyScoreReader(self._client)

    @property
    def _verdicts(self) -> ScoreReader:
        """A reader of what there is now; the legacy one reads all scores since a time."""
        since = datetime.now(UTC) - VERDICTS_WITHIN
        return (
            ScoreReader(self._client) if self._reads_v2 else LegacyScoreReader(self._client, since)
        )

    @cached_property
    def _reader(self) -> ObservationsReader | LegacyReader:
        if self._reads_v2:
            return ObservationsReader(self._client, self._scores)
        return LegacyReader(self._client)

    @cached_property
    def _configs(self) -> ScoreConfigs:
        return ScoreConfigs(self._client)

    @cached_property
    def _follow_ups(self) -> FollowUps:
        return FollowUps(self._client, self._configs)

    @cached_property
    def _writer(self) -> LangfuseWriter:
        return LangfuseWriter(self._client, self._reader, self._scores, self._configs)

    def scanned(self, query: TraceQuery, scan: Scan[T]) -> Iterator[Scanned[T]]:
        """Every matching trace, whole."""
        self._require_project()
        return told_once(scan(self._batches(query)))

    def _batches(self, query: TraceQuery) -> Iterator[LangfuseBatch]:
        """What matches, through the endpoints that the server has.

        Whether it has the current ones, the first answer from them tells: to ask for that alone
        takes as long.
        """
        if query.has_only_ids or not self._may_read_v2:
            yield from self._reader.batches(query)
            return
        batches = ObservationsReader(self._client, ScoreReader(self._client)).batches(query)
        try:
            first = next(batches)
        except NotFound:
            if self._reads_v2:
                raise
            yield from self._reader.batches(query)
            return
        self._reads_v2 = True
        yield first
        yield from batches

    @property
    def _may_read_v2(self) -> bool:
        """Whether ``_reads_v2`` is true, or not known yet."""
        known: bool = vars(self).get("_reads_v2", self.settings.api is not ReadApi.LEGACY)
        return known

    def _require_project(self) -> None:
        """Raise ``ConfigError`` where the keys are of another project than the settings name."""
        _ = self._project

    def location(self) -> str:
        """Host and project."""
        return f"{self._client.base_url}, project {self._project.name}"

    def ensure_configs(self, configs: Sequence[AnnotationConfig]) -> list[str]:
        """Create score configs, so that the UI offers the categories."""
        return self._configs.ensure(configs)

    def retire_configs(self, names: Sequence[str]) -> None:
        """Archive score configs: Langfuse cannot delete them."""
        self._configs.archive(names)

    def fetch_annotations(self, annotations: Sequence[Annotation]) -> list[Annotation | None]:
        """The stored annotation with the key of each, or None."""
        return self._writer.fetch(annotations)

    def verdicts(self, annotations: Sequence[Annotation]) -> list[PersonsAnnotation]:
        """What people scored beside ``annotations``."""
        names = {VERDICT, *(annotation.name for annotation in annotations)}
        trace_ids = list(dict.fromkeys(annotation.trace_id for annotation in annotations))
        return [persons_score(row) for row in self._verdicts.of_people(names, trace_ids)]

    def write_annotations(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Write scores, each replacing a stored one with the same key."""
        return self._writer.write(annotations)

    def delete_annotations(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        """Delete scores by their key."""
        return self._writer.delete(annotations)

    def fetch_follow_ups(self, wanted: Sequence[FollowUp]) -> list[FollowUpResult | None]:
        """The existing follow-up with the key of each; None where there is none."""
        return self._follow_ups.fetch(wanted)

    def create_follow_up(self, wanted: FollowUp) -> FollowUpResult:
        """Create a comment, a queue item or a dataset item."""
        return self._follow_ups.create(wanted)

    def delete_follow_ups(self, made: Sequence[FollowUpResult]) -> list[FollowUpResult]:
        """Delete queue items and dataset items; comments are returned with an ``error``."""
        return self._follow_ups.delete(made)

    def quota_note(self, verb: str, count: int) -> str | None:
        """The units that Langfuse Cloud bills, and how many deletions it allows."""
        if not self.is_cloud:
            return None
        if verb == "undo":
            return deletions_note(count, self.settings.plan)
        return f"Langfuse Cloud bills each score as a unit: this writes {count} units."

    @property
    def is_cloud(self) -> bool:
        """Whether this is Langfuse's own service."""
        host = self._client.http.base_url.host
        return host == CLOUD_DOMAIN or host.endswith(f".{CLOUD_DOMAIN}")

    def links(self) -> Links:
        """Traces and observations in Langfuse's UI, and its filter of observations by a score.

        That cannot ask for a text in a comment, so it has all scores of a name with one value.
        """
        project = f"{self._client.base_url}/project/{quote(self._project.id)}"
        trace = f"{project}/traces/{{trace_id}}"
        return Links(
            trace=trace,
            span=f"{trace}?observation={{span_id}}",
            marks=f"{project}/observations?filter={SCORE_FILTER}",
        )

    # -- doctor ----------------------------------------------------------------------------------

    def health_checks(self) -> Iterator[HealthCheck]:
        """Server, version, key, project, how it reads and writes, clock."""
        yield transport_check(self._client.base_url)
        version = version_text(self._client.version)
        yield HealthCheck(what="version", status=HealthStatus.OK, found=version)
        project = self._project
        yield HealthCheck(what="key", status=HealthStatus.OK, found="accepted")
        yield HealthCheck(
            what="project", status=HealthStatus.OK, found=f"{project.name} ({project.id})"
        )
        yield self._check_reading()
        yield self._check_writing()
        if not self.is_cloud:
            yield DELETION_CHECK
        yield clock_check(self._client.http.get("/api/public/health"))

    def _check_reading(self) -> HealthCheck:
        if self._reads_v2:
            found = "v2/observations, which this server answers"
        elif self.settings.api is ReadApi.LEGACY:
            found = "the legacy endpoints, chosen by LANGFUSE_API"
        else:
            found = "the legacy endpoints: this server has no v2/observations"
        return HealthCheck(what="reading", status=HealthStatus.OK, found=found)

    def _check_writing(self) -> HealthCheck:
        version = version_text(self._client.version)
        if self._client.takes_score_lists:
            found = (
                f"lists of scores, as documented for 4.59 and later (this is {version}); what is "
                f"written is read back"
            )
        else:
            found = f"the ingestion endpoint, which version {version} takes"
        return HealthCheck(what="writing", status=HealthStatus.OK, found=found)
