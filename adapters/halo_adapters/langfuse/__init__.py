"""Langfuse: traces out, scores in. Cloud, self-hosted v4 and self-hosted v3."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import ClassVar
from urllib.parse import quote

from halo_adapters.base import (
    Annotation,
    AnnotationConfig,
    Check,
    CheckStatus,
    FollowUp,
    Links,
    Made,
    OnWait,
    Page,
    TraceQuery,
    Written,
)
from halo_adapters.checks import clock_check, transport_check
from halo_adapters.langfuse.api import LangfuseApi, Project
from halo_adapters.langfuse.configs import ScoreConfigs
from halo_adapters.langfuse.follow_ups import FollowUps
from halo_adapters.langfuse.judgements import Judgements, LegacyJudgements
from halo_adapters.langfuse.legacy import LegacyReader
from halo_adapters.langfuse.limits import deletions_note
from halo_adapters.langfuse.reader import ObservationsReader
from halo_adapters.langfuse.settings import LangfuseSettings, ReadApi
from halo_adapters.langfuse.writer import LangfuseWriter
from halo_engine.errors import ConfigError, NotFound

CLOUD = "langfuse.com"


class LangfuseAdapter:
    """One project on one Langfuse server."""

    name: ClassVar[str] = "langfuse"
    Settings: ClassVar[type[LangfuseSettings]] = LangfuseSettings
    filters: ClassVar[frozenset[str]] = frozenset(TraceQuery.model_fields)

    def __init__(self, settings: LangfuseSettings, *, on_wait: OnWait | None = None) -> None:
        self.settings = settings
        self._api = LangfuseApi(settings, on_wait)

    @cached_property
    def _project(self) -> Project:
        """The project of the keys; ``ConfigError`` where it is not the one that was asked for."""
        project, wanted = self._api.project, self.settings.project
        if wanted is not None and wanted not in (project.id, project.name):
            raise ConfigError(
                f"The Langfuse keys belong to project {project.name!r} ({project.id}), not to "
                f"{wanted!r}. In Langfuse the keys choose the project: set those of {wanted!r}, "
                f"or choose a --profile."
            )
        return project

    @cached_property
    def _reads_v2(self) -> bool:
        """Whether to read through ``v2/observations``; ``NotFound`` where that is impossible."""
        wanted = self.settings.api
        if wanted is not ReadApi.LEGACY and self._api.has_observations_v2():
            return True
        if wanted is not ReadApi.V2 and self._api.has_legacy():
            return False
        tried = {ReadApi.AUTO: "neither v2/observations nor the legacy traces"}
        raise NotFound(
            f"{self._api.base_url} (Langfuse {dotted(self._api.version)}) does not answer "
            f"{tried.get(wanted, f'the {wanted} endpoints')}. A self-hosted v3 has only the "
            f"legacy endpoints, a v4 in events_only mode, and Cloud, only the v2 ones: leave "
            f"LANGFUSE_API at auto, or enable the v2 endpoints on the server.",
            platform="Langfuse",
        )

    @cached_property
    def _judgements(self) -> Judgements:
        return Judgements(self._api) if self._reads_v2 else LegacyJudgements(self._api)

    @cached_property
    def _reader(self) -> ObservationsReader | LegacyReader:
        if self._reads_v2:
            return ObservationsReader(self._api, self._judgements)
        return LegacyReader(self._api)

    @cached_property
    def _configs(self) -> ScoreConfigs:
        return ScoreConfigs(self._api)

    @cached_property
    def _follow_ups(self) -> FollowUps:
        return FollowUps(self._api, self._configs)

    @cached_property
    def _writer(self) -> LangfuseWriter:
        return LangfuseWriter(self._api, self._reader, self._judgements, self._configs)

    def pull(self, query: TraceQuery) -> Iterator[Page]:
        """Every matching trace, whole."""
        _ = self._project
        return self._reader.pages(query)

    def destination(self) -> str:
        """Host and project that scores go to."""
        return f"{self._api.base_url}, project {self._project.name}"

    def declare(self, configs: Sequence[AnnotationConfig]) -> list[str]:
        """Make score configs, so that the UI knows the categories."""
        return self._configs.declare(configs)

    def retire(self, names: Sequence[str]) -> None:
        """Archive score configs: Langfuse deletes none."""
        self._configs.retire(names)

    def stored(self, annotations: Sequence[Annotation]) -> list[Annotation | None]:
        """What now stands under the identity of each annotation."""
        return self._writer.stored(annotations)

    def annotate(self, annotations: Sequence[Annotation]) -> list[Written]:
        """Write scores, each replacing what stands under its identity."""
        return self._writer.annotate(annotations)

    def undo(self, annotations: Sequence[Annotation]) -> list[Written]:
        """Delete scores by their identity."""
        return self._writer.undo(annotations)

    def follow_up(self, wanted: Sequence[FollowUp]) -> Iterator[Made]:
        """Comment, queue, and collect in datasets."""
        return self._follow_ups.make(wanted)

    def withdraw(self, made: Sequence[Made]) -> list[Made]:
        """Take follow-ups back, as far as Langfuse can."""
        return self._follow_ups.withdraw(made)

    def cost(self, verb: str, count: int) -> str | None:
        """The units that Langfuse Cloud bills, and how many deletions it allows."""
        if not self.is_cloud:
            return None
        if verb == "undo":
            return deletions_note(count, self.settings.plan)
        return f"Langfuse Cloud bills each score as a unit: this writes {count} units."

    @property
    def is_cloud(self) -> bool:
        """Whether this is Langfuse's own service."""
        host = self._api.http.base_url.host
        return host == CLOUD or host.endswith(f".{CLOUD}")

    def links(self) -> Links:
        """Traces and observations in Langfuse's UI."""
        trace = f"{self._api.base_url}/project/{quote(self._project.id)}/traces/{{trace_id}}"
        return Links(trace=trace, span=f"{trace}?observation={{span_id}}")

    # -- doctor ----------------------------------------------------------------------------------

    def check(self) -> Iterator[Check]:
        """Server, version, key, project, how it reads and writes, clock."""
        yield transport_check(self._api.base_url)
        version = dotted(self._api.version)
        yield Check(what="version", status=CheckStatus.OK, found=version)
        project = self._project
        yield Check(what="key", status=CheckStatus.OK, found="accepted")
        yield Check(what="project", status=CheckStatus.OK, found=f"{project.name} ({project.id})")
        yield self._check_reading()
        yield self._check_writing()
        yield clock_check(self._api.http.get("/api/public/health"))

    def _check_reading(self) -> Check:
        if self._reads_v2:
            found = "v2/observations, which this server answers"
        elif self.settings.api is ReadApi.LEGACY:
            found = "the legacy endpoints, as LANGFUSE_API says"
        else:
            found = "the legacy endpoints: this server has no v2/observations"
        return Check(what="reading", status=CheckStatus.OK, found=found)

    def _check_writing(self) -> Check:
        way = "lists of scores" if self._api.takes_score_lists else "the ingestion endpoint"
        return Check(
            what="writing",
            status=CheckStatus.OK,
            found=f"{way}, as version {dotted(self._api.version)} wants it",
        )


def dotted(version: tuple[int, ...]) -> str:
    """A version as people write it."""
    return ".".join(map(str, version))
