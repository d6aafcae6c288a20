"""Options of the verbs besides filters and models, and what each verb takes altogether."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ByteSize, ConfigDict, Field, SkipValidation

from halo_engine.findings import Severity
from halo_engine.schema import FrozenModel
from halo_integrations.options.callbacks import (
    OnNotice,
    OnProgress,
    OnWait,
    no_notice,
    no_progress,
    no_wait,
)
from halo_integrations.options.declaration import option
from halo_integrations.options.model import (
    CodeOptions,
    InvestigationOptions,
    ModelAccess,
    ModelSettings,
    WatchSettings,
)
from halo_integrations.options.privacy import PrivacySettings
from halo_integrations.options.selection import TraceCriteria, TraceFilters, When

if TYPE_CHECKING:
    from halo_engine.detectors import Detector
    from halo_engine.rlm.events import OnEvent
else:
    # Importing the engine for a type would slow down ``--help``.
    Detector = OnEvent = Any


# What of a comparison is a reason to fail: any change for the worse, or what is new, from a severity.
FailOnChange = Literal[
    "regression",
    "regression-medium",
    "regression-high",
    "regression-critical",
    "new",
    "new-medium",
    "new-high",
    "new-critical",
]


# The tools for which a check can be written.
CheckForm = Literal["langfuse", "phoenix", "pytest"]


# What works on many traces.
ExecutorName = Literal["processes", "ray"]


class RunSettings(FrozenModel):
    """Settings of every run, whatever the platform: the table ``run`` of the configuration file."""

    profile: str | None = Field(
        default=None,
        description="Profile in halo.toml: the settings of one of several projects.",
        json_schema_extra=option(env=["HALO_PROFILE"]),
    )
    home: Path = Field(
        default=Path(".halo"),
        description="Folder of the run folders.",
        json_schema_extra=option(env=["HALO_HOME"]),
    )
    issue_project: str | None = Field(
        default=None,
        description="Name of the project whose issues the runs belong to [platform and project].",
        json_schema_extra=option(env=["HALO_ISSUE_PROJECT"]),
    )
    fail_on: Severity | None = Field(
        default=None,
        description="Exit with 1 for a failure of the agent (no gap in the recording) this severe.",
        json_schema_extra=option("--fail-on", env=["HALO_FAIL_ON"]),
    )
    mark_recording_gaps: bool = Field(
        default=False,
        description="Also mark the traces in which the recording has gaps.",
        json_schema_extra=option("--mark-recording-gaps", env=["HALO_MARK_RECORDING_GAPS"]),
    )
    workers: int | None = Field(
        default=None,
        ge=1,
        description="Processes that work on traces [as many as cores; in a Python script 1].",
        json_schema_extra=option("--workers", env=["HALO_WORKERS"], metavar="N"),
    )
    executor: ExecutorName = Field(
        default="processes",
        description="Whose processes work on traces: those of this machine, or of a Ray cluster.",
        json_schema_extra=option("--executor", env=["HALO_EXECUTOR"]),
    )
    ray_address: str | None = Field(
        default=None,
        description="The Ray cluster: HOST:6379, ray://HOST:10001 or auto [one on this machine].",
        json_schema_extra=option("--ray-address", env=["HALO_RAY_ADDRESS"], metavar="ADDRESS"),
    )
    memory: ByteSize | None = Field(
        default=None,
        description="Memory for all processes on this machine, such as 2GB [a quarter of all].",
        json_schema_extra=option("--memory", env=["HALO_MEMORY"], metavar="SIZE"),
    )
    timings: bool = Field(
        default=False,
        description="Also tell the time of processors that each stage and each detector takes.",
        json_schema_extra=option("--timings", env=["HALO_TIMINGS"]),
    )
    read_back: float = Field(
        default=60.0,
        ge=0,
        description="Seconds that a platform may take to show an accepted write.",
        json_schema_extra=option(env=["HALO_READ_BACK"]),
    )
    max_annotations: int = Field(
        default=5000,
        gt=0,
        description="Refuse to write more annotations than this in one run.",
        json_schema_extra=option(env=["HALO_MAX_ANNOTATIONS"]),
    )


class CommonOptions(FrozenModel):
    """What every verb takes.

    ``settings`` are further settings by name, of the platform (such as ``api_key``) or of the
    model; they take precedence over the environment. ``on_progress`` is called with a ``Progress``,
    ``on_wait`` with the reason and the seconds before each wait, ``on_notice`` with notes and
    warnings.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    home: Path | str | None = Field(
        default=None,
        description="Folder of the runs [.halo].",
        json_schema_extra=option("--home", metavar="DIRECTORY"),
    )
    config_file: Path | str | None = Field(
        default=None,
        description="Configuration file [halo.toml, where it exists].",
        json_schema_extra=option("--config", metavar="FILE"),
    )
    settings: Mapping[str, Any] = Field(default={}, description="Further settings by name.")
    on_progress: OnProgress = no_progress
    on_wait: OnWait = no_wait
    on_notice: OnNotice = no_notice


class ProjectOptions(CommonOptions):
    """Which issues are meant."""

    issue_project: str | None = Field(
        default=None,
        description="Project under whose name issues are kept [platform and project].",
        json_schema_extra=option("--issue-project", metavar="NAME"),
    )


class PlatformOptions(CommonOptions):
    """How to reach a platform."""

    profile: str | None = Field(
        default=None,
        description="Settings of this profile in halo.toml.",
        json_schema_extra=option("--profile", metavar="NAME"),
    )
    project: str | None = Field(
        default=None,
        description="Project to read, by name or id.",
        json_schema_extra=option("--project", metavar="NAME"),
    )
    base_url: str | None = Field(
        default=None,
        description="Base URL of the platform.",
        json_schema_extra=option("--base-url", metavar="URL"),
    )
    timeout: float | None = Field(
        default=None,
        description="Seconds that one response may take.",
        json_schema_extra=option("--timeout", metavar="SECONDS"),
    )


class ReadOptions(TraceFilters, PrivacySettings, PlatformOptions):
    """What is read, and how."""

    fresh: bool = Field(
        default=False,
        description="Start a new run instead of resuming an interrupted pull.",
        json_schema_extra=option("--fresh"),
    )


class PullOptions(ReadOptions):
    """What ``pull`` takes."""

    to: Path | str | None = Field(
        default=None,
        description="Write into this lake, a folder or s3://BUCKET/PREFIX, in place of the run.",
        json_schema_extra=option("--to", metavar="LAKE"),
    )


class AnalyzeOptions(InvestigationOptions, ModelSettings, ProjectOptions):
    """What ``analyze`` takes.

    ``detectors`` replace the installed ones with their configuration in ``halo.toml``; ``no_llm``
    ignores a model in the settings; ``on_event`` is called with every step of the model.
    """

    no_llm: bool = Field(
        default=False,
        description="Use no model, even where one is configured.",
        json_schema_extra=option("--no-llm"),
    )
    detectors: Annotated[Sequence[Detector] | None, SkipValidation] = None
    on_event: Annotated[OnEvent | None, SkipValidation] = None


class IssuesOptions(ProjectOptions):
    """What ``issues`` takes."""

    all: bool = Field(
        default=False,
        description="Also those that are resolved, muted or accepted.",
        json_schema_extra=option("--all"),
    )


class CompareOptions(CodeOptions, ModelSettings, ProjectOptions):
    """What ``compare`` takes. A model is asked with ``judge`` only."""

    judge: bool = Field(
        default=False,
        description="Also ask a model the questions of known issues, about samples of both sides.",
        json_schema_extra=option("--judge"),
    )

    fail_on_change: FailOnChange | None = Field(
        default=None,
        description="Exit with 1 for what is new or worse (regression), or new, this severe.",
        json_schema_extra=option("--fail-on"),
    )


class ExportOptions(CommonOptions):
    """What ``export_check`` takes."""

    form: CheckForm = Field(
        description="Form: a request for a Langfuse evaluator, a module for Phoenix, or a pytest.",
        json_schema_extra=option("--as"),
    )


class DecisionOptions(CommonOptions):
    """What the verbs take by which a person decides about an issue."""

    reason: str = Field(
        default="",
        description="Why, for whoever reads it later.",
        json_schema_extra=option("--reason", metavar="TEXT"),
    )
    by: str | None = Field(
        default=None,
        description="Who decides [the name of the user].",
        json_schema_extra=option("--by", metavar="NAME"),
    )


class MuteOptions(DecisionOptions):
    """What ``mute_issue`` takes."""

    until: When | None = Field(
        default=None,
        description="Until then: an age from now (14d) or an ISO time [for good].",
        json_schema_extra=option("--until", metavar="WHEN"),
    )


class FollowUpOptions(FrozenModel):
    """What to create besides annotations, for people to work with."""

    comment: bool = Field(
        default=False,
        description="Also comment on each affected trace.",
        json_schema_extra=option("--comment"),
    )
    queue: str | None = Field(
        default=None,
        description="Also add affected traces to this annotation queue.",
        json_schema_extra=option("--queue", metavar="NAME"),
    )
    dataset: str | None = Field(
        default=None,
        description="Also add the inputs of affected traces to this dataset.",
        json_schema_extra=option("--dataset", metavar="NAME"),
    )

    @property
    def has_follow_ups(self) -> bool:
        """Whether anything is to be created."""
        return bool(self.comment or self.queue or self.dataset)


class AnnotateOptions(FollowUpOptions, CommonOptions):
    """What ``annotate`` takes."""


class WatchOptions(
    TraceCriteria, PrivacySettings, WatchSettings, ModelAccess, PlatformOptions, ProjectOptions
):
    """What ``watch`` takes. Nothing is written to the platform without ``annotate``.

    ``detectors`` replace the installed ones with their configuration in ``halo.toml``; ``no_llm``
    ignores a model in the settings.
    """

    annotate: bool = Field(default=False, description="Write the findings to the platform.")
    no_llm: bool = Field(
        default=False,
        description="Put no question to a model, even where one is configured.",
        json_schema_extra=option("--no-llm"),
    )
    detectors: Annotated[Sequence[Detector] | None, SkipValidation] = None


class RunOptions(ReadOptions, AnalyzeOptions, AnnotateOptions):
    """What ``run`` takes. Nothing is written to the platform without ``annotate``."""

    annotate: bool = Field(default=False, description="Write the findings to the platform.")
