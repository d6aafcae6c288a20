"""Follow up: comments, annotation queue items and dataset items for the affected traces."""

from __future__ import annotations

from collections.abc import Sequence

from halo_adapters.base import Annotator, FollowUp, FollowUpKind, FollowUpResult, FollowUpWriter
from halo_adapters.registry import adapter_class, names_with_follow_ups
from halo_engine.errors import ConfigError
from halo_engine.schema import Failure, FrozenModel
from halo_engine.store import TraceStore
from halo_integrations.context import Context
from halo_integrations.options.callbacks import OnProgress, Progress, no_progress
from halo_integrations.options.keywords import run_verb
from halo_integrations.options.run import AnnotateOptions, FollowUpOptions
from halo_integrations.report_annotations import follow_ups_of
from halo_integrations.run_folder import Run


class FollowedUp(FrozenModel):
    """Outcome of following up: ``made`` were created, ``there`` existed before."""

    made: int
    there: int
    failures: tuple[Failure, ...] = ()


@run_verb(AnnotateOptions)
def follow_up(run_id: str, options: AnnotateOptions) -> FollowedUp:
    """Create comments, annotation queue items and dataset items for the affected traces of a run.

    Raises ``ConfigError`` where the platform does not have what is asked for.
    """
    context = Context(options)
    run = context.runs.get(run_id)
    require_follow_ups(run.record.source, options)
    adapter = context.annotator_of(run)
    assert isinstance(adapter, FollowUpWriter)
    gaps_too = context.run_settings.settings.mark_recording_gaps
    wanted = follow_ups_for(run, options, mark_recording_gaps=gaps_too)
    return create_follow_ups(run, adapter, wanted, context.on_progress)


def requested_kinds(options: FollowUpOptions) -> set[FollowUpKind]:
    """The kinds of follow-ups that ``options`` ask for."""
    requested = {
        FollowUpKind.COMMENT: options.comment,
        FollowUpKind.QUEUE_ITEM: options.queue,
        FollowUpKind.DATASET_ITEM: options.dataset,
    }
    return {kind for kind, value in requested.items() if value}


def require_follow_ups(adapter: str, options: FollowUpOptions) -> None:
    """Raise ``ConfigError`` for follow-ups that the platform does not have."""
    if requested_kinds(options) <= adapter_class(adapter).follow_ups:
        return
    supported = ", ".join(names_with_follow_ups())
    raise ConfigError(
        f"--comment, --queue and --dataset are there for {supported}, not for {adapter}: leave "
        f"them out."
    )


# -- the step ------------------------------------------------------------------------------------


def follow_ups_for(
    run: Run, options: FollowUpOptions, *, mark_recording_gaps: bool
) -> list[FollowUp]:
    """The follow-ups of a run's report; only ever for traces that this run has read."""
    report = run.report
    affected = report.affected_traces
    with TraceStore(run.store_path, read_only=True) as store:
        roots = {t: s for t, s in store.roots().items() if t in affected}
        spans = {trace_id: store.span(trace_id, span_id) for trace_id, span_id in roots.items()}
    inputs = {t: (s.span_id, s.input or "") for t, s in spans.items() if s}
    return follow_ups_of(report, inputs, options, mark_recording_gaps=mark_recording_gaps)


def create_follow_ups(
    run: Run,
    adapter: FollowUpWriter,
    follow_ups: Sequence[FollowUp],
    on_progress: OnProgress = no_progress,
) -> FollowedUp:
    """Create follow-ups, each recorded on disk before the next."""
    results: list[FollowUpResult] = []
    for result in adapter.create_follow_ups(follow_ups):
        if not result.error:
            run.add_follow_up(result)
        results.append(result)
        progress = Progress(
            step="Following up", done=len(results), total=len(follow_ups), unit="items"
        )
        on_progress(progress)
    refused = [r for r in results if r.error]
    return FollowedUp(
        made=sum(r.is_new for r in results) - len(refused),
        there=sum(not r.is_new for r in results),
        failures=tuple(follow_up_failure(r, "follow up") for r in refused),
    )


def delete_follow_ups(run: Run, adapter: Annotator) -> tuple[Failure, ...]:
    """Delete the follow-ups of ``run``; returns those that the platform cannot delete."""
    created = run.follow_ups()
    if not created or not isinstance(adapter, FollowUpWriter):
        return ()
    kept: list[FollowUpResult] = []
    for result in adapter.delete_follow_ups(created):
        if result.error:
            kept.append(result)
        else:
            run.add_follow_up(result.model_copy(update={"id": None}))
    return tuple(follow_up_failure(r, "undo") for r in kept)


def follow_up_failure(result: FollowUpResult, stage: str) -> Failure:
    """A failed follow-up as a failure for the user."""
    where = f"{result.follow_up.kind} for {result.follow_up.trace_id}"
    return Failure(stage=stage, where=where, what=result.error or "")
