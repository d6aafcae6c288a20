"""Settings, adapter and run folders brought together: what the verbs and the commands stand on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from halo_adapters.base import Annotation, Annotator, FollowUpWriter, OnWait, Source
from halo_adapters.registry import adapter_class, adapter_names
from halo_adapters.transport.http import is_plain_remote
from halo_engine.detectors import DETECTORS, Detector
from halo_engine.errors import ConfigError
from halo_engine.findings import Finding, Report
from halo_engine.llm import ChatModel
from halo_engine.rlm.events import OnEvent, ignore_event
from halo_engine.rlm.investigation import InvestigationBrief
from halo_integrations import pipeline
from halo_integrations.annotations import FollowUpOptions, Preview, preview_of
from halo_integrations.options.model import Analyst, Estimate, ModelSettings, analyst_of
from halo_integrations.options.resolve import Resolved, RunSettings, resolve, without_secrets
from halo_integrations.options.selection import TraceSelection
from halo_integrations.pipeline import (
    Annotated,
    FollowedUp,
    Link,
    OnProgress,
    Undone,
    silent,
)
from halo_integrations.runs import Run, Runs, write_text

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

FILES = "files"
EARLIER_RUNS = 10


class Workspace:
    """One place of work: ``home`` holds the runs; ``flags`` are settings given by the caller.

    ``profile`` names the settings of one of several projects in the configuration file.
    ``on_progress`` and ``on_wait`` are told how far a step is, and that a platform made us wait.
    """

    def __init__(
        self,
        *,
        home: Path | None = None,
        fail_on: str | None = None,
        flags: Mapping[str, Any] | None = None,
        config_file: Path | None = None,
        profile: str | None = None,
        on_progress: OnProgress = silent,
        on_wait: OnWait | None = None,
    ) -> None:
        self._flags = dict(flags or {})
        self._config_file = config_file
        self._on_progress = on_progress
        self._on_wait = on_wait
        flags_of_run = {"home": home, "fail_on": fail_on, "profile": profile}
        self.run_settings = resolve(RunSettings, "run", flags_of_run, file=config_file)
        self.runs = Runs(self.run_settings.settings.home)

    # -- adapters --------------------------------------------------------------------------------

    @property
    def profile(self) -> str | None:
        """The profile that was chosen."""
        return self.run_settings.settings.profile

    def settings(
        self,
        adapter: str,
        flags: Mapping[str, Any] | None = None,
        profile: str | None = None,
    ) -> Resolved[Any]:
        """The settings of an adapter; ``flags`` go before everything."""
        model = adapter_class(adapter).Settings
        known = {
            k: v for k, v in {**self._flags, **(flags or {})}.items() if k in model.model_fields
        }
        chosen = profile or self.profile
        return resolve(model, adapter, known, file=self._config_file, profile=chosen)

    def source_of(self, run: Run) -> Source:
        """The adapter that ``run`` read from, with the settings of then and the secrets of now."""
        asked = run.record.asked
        adapter = run.record.source
        found = self.settings(adapter, asked["settings"], asked.get("profile"))
        return adapter_class(adapter)(found.settings, on_wait=self._on_wait)

    def source(self, question: TraceSelection) -> Source:
        """The adapter that reads what ``question`` asks for."""
        adapter, flags = adapter_for(question)
        return adapter_class(adapter)(self.settings(adapter, flags).settings, on_wait=self._on_wait)

    def warnings(self, run: Run) -> list[str]:
        """What the user should know before the first request."""
        base_url = run.record.asked["settings"].get("base_url")
        if base_url and is_plain_remote(base_url):
            return [f"{base_url} is not encrypted: the key and the traces can be read on the way."]
        return []

    def can_annotate(self, run: Run) -> bool:
        """Whether what ``run`` was read from takes annotations."""
        return isinstance(self.source_of(run), Annotator)

    def annotator_of(self, run: Run) -> Annotator:
        """The adapter to write through; ``ConfigError`` where the source takes no annotations."""
        source = self.source_of(run)
        if not isinstance(source, Annotator):
            raise ConfigError(
                f"Run {run.id} was read from {run.record.source}, which takes no annotations. "
                f"Its findings are in {run.markdown_path}."
            )
        return source

    def link_of(self, run: Run) -> Link:
        """What gives the address of a trace or span in the UI, or None where there is none."""
        links = run.record.links
        return links.url if links else no_link

    # -- steps -----------------------------------------------------------------------------------

    def start(self, question: TraceSelection, *, fresh: bool = False) -> Run:
        """The run for ``question``: the one that was cut off while pulling it, or a new one."""
        adapter, flags = adapter_for(question)
        check_filters(adapter, question)
        settings = self.settings(adapter, flags)
        shown = without_secrets(settings.settings)
        if "project" in shown:
            question = question.model_copy(update={"project": None})
        asked = {**question.model_dump(mode="json"), "settings": shown, "profile": self.profile}
        unfinished = None if fresh else self.runs.unfinished(asked)
        if unfinished:
            return unfinished
        watermark = self._watermarks().get(question.subject(shown))
        query = question.query(datetime.now(UTC), watermark)
        return self.runs.create(adapter, asked, query)

    def pull(self, run: Run) -> None:
        """Read the traces of ``run``."""
        source = self.source_of(run)
        if isinstance(source, Annotator):
            run.update(links=source.links())
        pipeline.pull(source, run, self._on_progress)
        self._set_watermark(run)

    def analyst(
        self,
        brief: InvestigationBrief,
        *,
        model: ChatModel | None = None,
        sub_model: ChatModel | None = None,
        on_event: OnEvent = ignore_event,
    ) -> Analyst | None:
        """The analyst that the settings name, or ``model`` leads; None where there is no model."""
        settings = self.model_settings().settings
        analyst = analyst_of(
            settings,
            brief,
            on_event,
            model=model,
            sub_model=sub_model,
            exporter=self._exporter(settings.trace_to),
        )
        if analyst:
            analyst.require_price()
        return analyst

    def _exporter(self, platform: str | None) -> SpanExporter | None:
        """What sends the spans of an analysis to ``platform``."""
        if platform is None:
            return None
        from halo_integrations.analysis_trace import phoenix_exporter

        return phoenix_exporter(self.settings(platform).settings)

    def model_settings(self) -> Resolved[ModelSettings]:
        """The settings of the model."""
        known = {k: v for k, v in self._flags.items() if k in ModelSettings.model_fields}
        return resolve(ModelSettings, "model", known, file=self._config_file)

    def analyze(
        self,
        run: Run,
        detectors: Sequence[Detector] = DETECTORS,
        analyst: Analyst | None = None,
    ) -> Report:
        """Analyse the traces of ``run``."""
        if analyst:
            limits = analyst.settings.limits.model_dump(exclude_none=True)
            run.update(model={**analyst.asked(), "limits": limits})
        return pipeline.analyze(
            run,
            detectors,
            self.link_of(run),
            self._on_progress,
            analyst=analyst,
            earlier=self._earlier(run) if analyst else (),
            on_busy=self._on_wait,
        )

    def _earlier(self, run: Run) -> list[Finding]:
        """What the newest runs over the same source found, newest first."""
        settings = run.record.asked["settings"]
        others = [other for other in self.runs.all() if other.id != run.id]
        same = [o for o in others if o.record.asked["settings"] == settings and o.has_report]
        return [finding for o in same[:EARLIER_RUNS] for finding in o.report.findings]

    def estimate(self, run: Run, analyst: Analyst) -> Estimate:
        """About what an analysis of ``run`` takes, before it does."""
        return pipeline.estimate(run, analyst)

    def plan(self, run: Run) -> tuple[list[Annotation], Preview]:
        """What ``annotate`` would write, and its counts."""
        annotations = pipeline.planned(run)
        limit = self.run_settings.settings.max_annotations
        if len(annotations) > limit:
            raise ConfigError(
                f"Run {run.id} would write {len(annotations)} annotations, more than "
                f"{limit} (max_annotations, from "
                f"{self.run_settings.origins.get('max_annotations', 'default')}). Raise "
                f"HALO_MAX_ANNOTATIONS, or look at fewer traces."
            )
        adapter = self.annotator_of(run)
        cost = adapter.quota_note("annotate", len(annotations))
        return annotations, preview_of(annotations, adapter.destination(), cost)

    def annotate(self, run: Run, annotations: Sequence[Annotation]) -> Annotated:
        """Write what ``plan`` gave."""
        adapter = self.annotator_of(run)
        return pipeline.annotate(
            run, adapter, annotations, self._on_progress, retry_timeout=self._read_back
        )

    def require_follow_ups(self, adapter: str, wish: FollowUpOptions) -> None:
        """Refuse follow-ups where the platform has none, before anything is read."""
        made = adapter_class(adapter)
        if wish and not all(
            hasattr(made, name) for name in ("create_follow_ups", "delete_follow_ups")
        ):
            raise ConfigError(
                f"--comment, --queue and --dataset are there for langfuse, not for {adapter}: "
                f"leave them out. The findings are written as annotations all the same."
            )

    def follow_up(self, run: Run, wish: FollowUpOptions) -> FollowedUp:
        """Make comments, queue items and dataset items out of the findings of ``run``."""
        self.require_follow_ups(run.record.source, wish)
        adapter = self.annotator_of(run)
        assert isinstance(adapter, FollowUpWriter)
        wanted = pipeline.planned_follow_ups(run, wish)
        return pipeline.follow_up(run, adapter, wanted, self._on_progress)

    def undo(self, run: Run) -> Undone:
        """Take back what ``run`` wrote."""
        adapter = self.annotator_of(run)
        return pipeline.undo(
            run, adapter, self.runs, self._on_progress, retry_timeout=self._read_back
        )

    @property
    def _read_back(self) -> float:
        return self.run_settings.settings.read_back

    # -- watermarks ------------------------------------------------------------------------------

    @property
    def _watermark_path(self) -> Path:
        return self.runs.home / "watermarks.json"

    def _watermarks(self) -> dict[str, datetime]:
        """When each question was last asked and answered to the end."""
        if not self._watermark_path.exists():
            return {}
        stored = orjson.loads(self._watermark_path.read_bytes())
        return {subject: datetime.fromisoformat(at) for subject, at in stored.items()}

    def _set_watermark(self, run: Run) -> None:
        """Note that everything up to the start of ``run`` was read, unless a limit cut it."""
        record = run.record
        question = TraceSelection.model_validate(
            {k: v for k, v in record.asked.items() if k not in ("settings", "profile")}
        )
        if question.is_partial:
            return
        marks = self._watermarks() | {question.subject(record.asked["settings"]): record.created_at}
        write_text(self._watermark_path, orjson.dumps(marks).decode())


def adapter_for(question: TraceSelection) -> tuple[str, dict[str, Any]]:
    """Which adapter reads ``question.source``, and the settings that follow from it.

    A source is the name of an adapter, or else a path (``-`` for standard input).
    """
    source = question.source
    if source in adapter_names() and source != FILES:
        return source, {"project": question.project}
    if source == "-" or Path(source).exists():
        return FILES, {"path": source}
    platforms = ", ".join(name for name in adapter_names() if name != FILES)
    raise ConfigError(
        f"{source!r} is neither a platform ({platforms}) nor a file or folder that exists."
    )


# What a user writes for a filter, where it is not its name.
OPTIONS = {
    "environments": "--environment",
    "names": "--trace-name",
    "tags": "--tag",
    "session_id": "--session",
    "user_id": "--user",
    "trace_ids": "--trace",
    "version": "--app-version",
}


def check_filters(adapter: str, question: TraceSelection) -> None:
    """Refuse a filter that the adapter cannot honour, before anything is read."""
    unknown = [name for name in question.given() if name not in adapter_class(adapter).filters]
    if unknown:
        options = [OPTIONS.get(name, f"--{name.replace('_', '-')}") for name in unknown]
        raise ConfigError(
            f"Traces from {adapter} cannot be chosen by {', '.join(options)}: leave that out, or "
            f"choose by a span attribute with --metadata KEY=VALUE."
        )


def no_link(_trace_id: str, _span_id: str | None) -> None:
    """Files have no UI."""
