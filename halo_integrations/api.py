"""The Python API: the verbs, with everything as keyword arguments and typed results.

Nothing is printed; ``on_progress`` is called with a ``Progress`` where a script wants to see one.
All of it may be called from a thread, and from a notebook.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

from halo_engine.detectors import DETECTORS, Detector
from halo_engine.findings import Report
from halo_engine.llm import ChatModel
from halo_engine.rlm.events import OnEvent, ignore_event
from halo_engine.rlm.investigation import InvestigationBrief
from halo_engine.schema import Failure, FrozenModel
from halo_integrations.annotations import FollowUpOptions, Preview
from halo_integrations.options.model import Analyst, ModelSettings
from halo_integrations.options.selection import TraceSelection
from halo_integrations.pipeline import Annotated, FollowedUp, OnProgress, Undone, silent
from halo_integrations.runs import Run
from halo_integrations.workspace import Workspace, adapter_for


class Filters(TypedDict, total=False):
    """Which traces to read; see ``TraceSelection`` for what each means."""

    project: str | None
    since: str | None
    until: str | None
    trace_ids: Sequence[str]
    environments: Sequence[str]
    names: Sequence[str]
    tags: Sequence[str]
    session_id: str | None
    user_id: str | None
    release: str | None
    version: str | None
    errors_only: bool
    metadata: Mapping[str, str]
    limit: int | None
    sample: int | None
    seed: int


class ModelOptions(TypedDict, total=False):
    """What a model is asked, and within which limits; see ``ModelSettings`` for the limits.

    ``model`` and ``sub_model`` are names or models of your own (``ChatModel``). ``question`` is
    what you want to know above all, ``background`` what the agent is for; ``root_causes`` asks for
    the step at which each failed trace broke; ``code`` is the folder of the agent's source.
    ``on_event`` is told of every step.
    """

    model: str | ChatModel | None
    sub_model: str | ChatModel | None
    model_url: str | None
    price: str | None
    window: int | None
    budget: float | None
    token_budget: int | None
    max_calls: int | None
    max_turns: int | None
    max_seconds: float | None
    sandbox: str
    trace_to: str | None
    question: str | None
    background: str | None
    root_causes: bool
    code: Path | str | None
    on_event: OnEvent


class Pulled(FrozenModel):
    """What was read: ``folder`` holds it, ``failures`` are the items that could not be read."""

    run_id: str
    folder: Path
    traces: int
    spans: int
    failures: tuple[Failure, ...] = ()


class Result(FrozenModel):
    """A whole run. What is written is None where nothing was to be written."""

    run_id: str
    folder: Path
    report: Report
    preview: Preview | None = None
    annotated: Annotated | None = None
    followed_up: FollowedUp | None = None


def pull(
    source: str,
    *,
    settings: Mapping[str, Any] | None = None,
    profile: str | None = None,
    home: Path | str | None = None,
    fresh: bool = False,
    on_progress: OnProgress = silent,
    **filters: Unpack[Filters],
) -> Pulled:
    """Read traces into a run folder.

    ``source`` is a platform (``phoenix``, ``langfuse``) or a path; ``settings`` are the adapter's
    (such as ``base_url``) and go before the environment, ``profile`` names a table of them in
    ``halo.toml``; ``home`` is where runs are kept. A pull that was cut off within the last hour is
    gone on with, unless ``fresh``.

    Raises ``ConfigError`` for what the caller must mend and ``AdapterError`` where the platform
    refuses or fails; what was read until then stays for the next call.
    """
    workspace = workspace_at(home, settings, on_progress, profile)
    run = workspace.start(TraceSelection(source=source, **filters), fresh=fresh)
    workspace.pull(run)
    return pulled_of(run)


def analyze(
    run_id: str = "last",
    *,
    detectors: Sequence[Detector] = DETECTORS,
    home: Path | str | None = None,
    on_progress: OnProgress = silent,
    **asking: Unpack[ModelOptions],
) -> Report:
    """Find what recurs in the traces of a run, and write its report into the run folder.

    With a ``model`` it looks for what no rule can see; see ``ModelOptions`` for what it can be told. A
    model's analysis that was cut off goes on, and pays for nothing twice. Raises ``ConfigError``
    for a model whose price is not known under a limit in USD.
    """
    workspace = workspace_at(home, settings_of(asking), on_progress)
    return workspace.analyze(workspace.runs.get(run_id), detectors, analyst_of(workspace, asking))


def annotate(
    run_id: str = "last",
    *,
    home: Path | str | None = None,
    settings: Mapping[str, Any] | None = None,
    on_progress: OnProgress = silent,
) -> Annotated:
    """Write the findings of a run onto the traces and spans they were found on."""
    workspace = workspace_at(home, settings, on_progress)
    run = workspace.runs.get(run_id)
    annotations, _ = workspace.plan(run)
    return workspace.annotate(run, annotations)


def undo(
    run_id: str = "last",
    *,
    home: Path | str | None = None,
    settings: Mapping[str, Any] | None = None,
    on_progress: OnProgress = silent,
) -> Undone:
    """Take back exactly what a run wrote, and give back what stood there before."""
    workspace = workspace_at(home, settings, on_progress)
    return workspace.undo(workspace.runs.get(run_id))


def run(
    source: str,
    *,
    annotate: bool = False,
    comment: bool = False,
    queue: str | None = None,
    dataset: str | None = None,
    detectors: Sequence[Detector] = DETECTORS,
    settings: Mapping[str, Any] | None = None,
    profile: str | None = None,
    home: Path | str | None = None,
    fresh: bool = False,
    on_progress: OnProgress = silent,
    asking: ModelOptions | None = None,
    **filters: Unpack[Filters],
) -> Result:
    """Pull, analyse and, if asked to, annotate. Arguments and errors as for ``pull``.

    ``asking`` is what a model is asked, ``{"model": "provider/name", "budget": 5}``: as for
    ``analyze``.

    With ``annotate=False`` nothing is written to the platform, and ``preview`` says what would be.
    With it, affected traces are also commented on, put into the review queue and the dataset of
    these names, where the platform has such things (Langfuse).
    """
    asking = asking or {}
    flags = {**(settings or {}), **settings_of(asking)}
    workspace = workspace_at(home, flags, on_progress, profile)
    analyst = analyst_of(workspace, asking)
    wish = FollowUpOptions(comment=comment, queue=queue, dataset=dataset)
    workspace.require_follow_ups(adapter_for(TraceSelection(source=source, **filters))[0], wish)
    made = workspace.start(TraceSelection(source=source, **filters), fresh=fresh)
    workspace.pull(made)
    report = workspace.analyze(made, detectors, analyst)
    result = Result(run_id=made.id, folder=made.folder, report=report)
    if not workspace.can_annotate(made):
        return result
    annotations, preview = workspace.plan(made)
    written = workspace.annotate(made, annotations) if annotate else None
    followed_up = workspace.follow_up(made, wish) if annotate and wish else None
    outcome = {"preview": preview, "annotated": written, "followed_up": followed_up}
    return result.model_copy(update=outcome)


def settings_of(asking: ModelOptions) -> dict[str, Any]:
    """The settings of the model that are given in ``asking``."""
    return {
        name: value
        for name, value in asking.items()
        if name in ModelSettings.model_fields and isinstance(value, (str, int, float))
    }


def analyst_of(workspace: Workspace, asking: ModelOptions) -> Analyst | None:
    """The analyst that ``asking`` comes to."""
    brief = InvestigationBrief(
        question=asking.get("question"),
        background=asking.get("background"),
        root_causes=asking.get("root_causes", False),
        code=str(code) if (code := asking.get("code")) else None,
    )
    return workspace.analyst(
        brief,
        model=own(asking.get("model")),
        sub_model=own(asking.get("sub_model")),
        on_event=asking.get("on_event", ignore_event),
    )


def own(model: str | ChatModel | None) -> ChatModel | None:
    """A model, where it is more than the name of one."""
    return None if isinstance(model, str) else model


def workspace_at(
    home: Path | str | None,
    settings: Mapping[str, Any] | None,
    on_progress: OnProgress,
    profile: str | None = None,
) -> Workspace:
    """A workspace for one call."""
    return Workspace(
        home=Path(home) if home is not None else None,
        flags=settings,
        profile=profile,
        on_progress=on_progress,
    )


def pulled_of(run: Run) -> Pulled:
    """What a run has read."""
    record = run.record
    return Pulled(
        run_id=run.id,
        folder=run.folder,
        traces=record.traces,
        spans=record.spans,
        failures=tuple(run.failures()),
    )
