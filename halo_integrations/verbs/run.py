"""Run: pull, analyze and, on request, annotate and follow up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from halo_adapters.base import Annotator
from halo_engine.findings import Report
from halo_engine.schema import FrozenModel
from halo_integrations.context import Context
from halo_integrations.incremental import advance_watermark
from halo_integrations.model_choice import chosen_setup
from halo_integrations.options.declaration import subset
from halo_integrations.options.keywords import source_verb
from halo_integrations.options.run import (
    AnalyzeOptions,
    AnnotateOptions,
    CommonOptions,
    ReadOptions,
    RunOptions,
)
from halo_integrations.protection import FOR_DATASET, FOR_MODEL, require_texts
from halo_integrations.report_annotations import Preview
from halo_integrations.sources import adapter_for, require_annotations
from halo_integrations.verbs.analyze import analyze_pulled
from halo_integrations.verbs.annotate import Annotated, annotate, preview
from halo_integrations.verbs.follow_up import FollowedUp, follow_up, require_follow_ups
from halo_integrations.verbs.pull import read_source, selection_of


class Result(FrozenModel):
    """A whole run. What is written is None where nothing was to be written."""

    run_id: str
    folder: Path
    report: Report
    preview: Preview | None = None
    annotated: Annotated | None = None
    followed_up: FollowedUp | None = None


@source_verb(RunOptions)
def run(source: str, options: RunOptions) -> Result:
    """Pull, analyze and, with ``annotate=True``, write the findings back.

    Sources, arguments and errors as for ``pull``, ``analyze``, ``annotate`` and ``follow_up``. With
    ``annotate=False`` nothing is written to the platform, and ``preview`` counts what would be.
    """
    require_options(source, options)
    given = {name: getattr(options, name) for name in options.model_fields_set}
    common = subset(given, CommonOptions)
    context = Context(options)
    detectors = context.detectors(options.detectors)
    pulled, kept = read_source(
        source, ReadOptions(**subset(given, ReadOptions)), detectors=detectors
    )
    report = analyze_pulled(pulled.id, AnalyzeOptions(**subset(given, AnalyzeOptions)), kept)
    result = Result(run_id=pulled.id, folder=pulled.folder, report=report)
    if not takes_annotations(pulled.id, common):
        return result
    changes: dict[str, Any] = {"preview": preview(pulled.id, **common)}
    if not options.annotate:
        advance_watermark(context, context.run(pulled.id), report)
    if options.annotate:
        changes["annotated"] = annotate(pulled.id, **common)
        if options.has_follow_ups:
            changes["followed_up"] = follow_up(pulled.id, **subset(given, AnnotateOptions))
    return result.model_copy(update=changes)


def require_options(source: str, options: RunOptions, *, is_estimate: bool = False) -> None:
    """Raise ``ConfigError`` for what cannot work later, before anything is read.

    An estimate calls no model, so that it needs no key.
    """
    adapter, _ = adapter_for(selection_of(source, options))
    require_follow_ups(adapter, options)
    if options.annotate:
        require_annotations(adapter)
    context = Context(options)
    context.detectors(options.detectors)
    privacy = context.privacy_settings.settings
    if options.dataset:
        require_texts(privacy, FOR_DATASET)
    if setup := chosen_setup(context, options, adapter):
        require_texts(privacy, FOR_MODEL)
        if not is_estimate:
            setup.require_key()


def takes_annotations(run_id: str, options: dict[str, Any]) -> bool:
    """Whether the source of a run takes annotations."""
    context = Context(CommonOptions(**options))
    return isinstance(context.source_of(context.run(run_id)), Annotator)
