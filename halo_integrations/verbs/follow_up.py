"""Follow up: comments, annotation queue items and dataset items for the affected traces."""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import UTC, datetime

from halo_adapters.base import Annotator, FollowUp, FollowUpKind, FollowUpResult, FollowUpWriter
from halo_adapters.registry import adapter_class, names_with_follow_ups, unusable_platforms
from halo_engine.errors import AdapterError, ConfigError, NotFound, Rejected, Unavailable
from halo_engine.schema import Failure, FrozenModel
from halo_engine.store import TraceStore
from halo_integrations.context import Context
from halo_integrations.options.callbacks import OnProgress, Progress, no_progress
from halo_integrations.options.keywords import run_verb
from halo_integrations.options.run import AnnotateOptions, FollowUpOptions
from halo_integrations.protection import (
    FOR_DATASET,
    privacy_of,
    redactor_of,
    require_texts,
)
from halo_integrations.report_annotations import follow_ups_of
from halo_integrations.state.ownership import run_ownership
from halo_integrations.state.run import Run
from halo_integrations.state.values import FollowUpReceipt, FollowUpState
from halo_integrations.tracking import decided_report

FLAGS = {
    FollowUpKind.COMMENT: "--comment",
    FollowUpKind.QUEUE_ITEM: "--queue",
    FollowUpKind.DATASET_ITEM: "--dataset",
}


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
    run = context.run(run_id)
    require_follow_ups(run.record.source, options)
    if options.dataset:
        require_texts(privacy_of(run), FOR_DATASET)
    adapter = context.annotator_of(run)
    assert isinstance(adapter, FollowUpWriter)
    gaps_too = context.run_settings.settings.mark_recording_gaps
    wanted = follow_ups_for(run, options, mark_recording_gaps=gaps_too)
    with run_ownership(run, "follow up"):
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
    missing = requested_kinds(options) - adapter_class(adapter).follow_ups
    if not missing:
        return
    flags = " with ".join(flag for kind, flag in FLAGS.items() if kind in missing)
    supported = ", ".join(names_with_follow_ups(missing)) or "no platform"
    why = " ".join(["", *unusable_platforms()])
    raise ConfigError(f"There is {flags} for {supported}, not for {adapter}: leave it out.{why}")


# -- the step ------------------------------------------------------------------------------------


def follow_ups_for(
    run: Run, options: FollowUpOptions, *, mark_recording_gaps: bool
) -> list[FollowUp]:
    """The follow-ups of a run's report; only ever for traces that this run has read."""
    report = decided_report(run)
    with TraceStore(run.store_path, read_only=True) as store:
        spans = store.root_spans(report.affected_traces)
    inputs = {t: (span.span_id, span.input or "") for t, span in spans.items()}
    found = follow_ups_of(report, inputs, options, mark_recording_gaps=mark_recording_gaps)
    return [redactor_of(run).model(follow_up) for follow_up in found]


def create_follow_ups(
    run: Run,
    adapter: FollowUpWriter,
    follow_ups: Sequence[FollowUp],
    on_progress: OnProgress = no_progress,
) -> FollowedUp:
    """Create the follow-ups that do not exist, each planned on disk just before it is sent.

    So one that was created just before the process ended is found again, as one of this run, and
    one that was never sent is not taken for ours when somebody else creates it.
    """
    existing = adapter.fetch_follow_ups(follow_ups)
    planned = {r.follow_up.key for r in run.follow_ups() if r.state is FollowUpState.PLANNED}
    there = [found for found in existing if found]
    run.add_follow_ups(follow_up_made(f) for f in there if f.follow_up.key in planned)
    wanted = [f for f, found in zip(follow_ups, existing, strict=True) if found is None]
    failures: list[Failure] = []
    for done, one in enumerate(wanted, start=len(there) + 1):
        failures += create_one(run, adapter, one)
        total = len(follow_ups)
        on_progress(Progress(step="Following up", done=done, total=total, unit="items"))
    made = len(wanted) - len(failures)
    return FollowedUp(made=made, there=len(there), failures=tuple(failures))


def create_one(run: Run, adapter: FollowUpWriter, wanted: FollowUp) -> list[Failure]:
    """Create ``wanted``, or say why not.

    Where the platform has not said that it refuses, it stays planned: it may exist. Raises what
    would keep the others from being created too.
    """
    run.add_follow_ups([follow_up_receipt(wanted, FollowUpState.PLANNED)])
    try:
        result = adapter.create_follow_up(wanted)
    except AdapterError as error:
        if not error.maybe_done:
            run.add_follow_ups([follow_up_receipt(wanted, FollowUpState.REFUSED)])
        if not isinstance(error, (Rejected, NotFound, Unavailable)):
            raise
        return [follow_up_failure(wanted, "follow up", str(error))]
    run.add_follow_ups([follow_up_made(result)])
    return []


def delete_follow_ups(
    run: Run, adapter: Annotator, made_by_others: Set[str]
) -> tuple[Failure, ...]:
    """Delete the follow-ups of ``run``; returns those that the platform cannot delete.

    One that was planned may exist; it is of another run where its key is in ``made_by_others``.
    """
    pending = [r for r in run.follow_ups() if not r.state.is_settled]
    if not pending or not isinstance(adapter, FollowUpWriter):
        return ()
    created = [known(r) for r in pending if r.state is FollowUpState.MADE]
    planned = [r.follow_up for r in pending if r.state is FollowUpState.PLANNED]
    found = adapter.fetch_follow_ups(planned)
    ours = [result for result in found if result and result.follow_up.key not in made_by_others]
    results = adapter.delete_follow_ups([*created, *ours])
    deleted = {result.follow_up.key for result in results}
    never_made = [follow_up for follow_up in planned if follow_up.key not in deleted]
    run.add_follow_ups(follow_up_receipt(f, FollowUpState.DELETED) for f in never_made)
    run.add_follow_ups(
        follow_up_receipt(r.follow_up, FollowUpState.LEFT if r.error else FollowUpState.DELETED)
        for r in results
    )
    return tuple(follow_up_failure(r.follow_up, "undo", r.error) for r in results if r.error)


def follow_up_made(result: FollowUpResult) -> FollowUpReceipt:
    """The receipt of a follow-up that exists on the platform."""
    made = follow_up_receipt(result.follow_up, FollowUpState.MADE)
    return made.model_copy(update={"id": result.id, "holder": result.holder})


def follow_up_receipt(follow_up: FollowUp, state: FollowUpState) -> FollowUpReceipt:
    """A receipt with the current time."""
    return FollowUpReceipt(at=datetime.now(UTC), state=state, follow_up=follow_up)


def known(made: FollowUpReceipt) -> FollowUpResult:
    """A follow-up of which the platform's id is known."""
    return FollowUpResult(follow_up=made.follow_up, id=made.id, holder=made.holder)


def follow_up_failure(follow_up: FollowUp, stage: str, what: str) -> Failure:
    """A failed follow-up as a failure for the user."""
    return Failure(stage=stage, where=f"{follow_up.kind} for {follow_up.trace_id}", what=what)
