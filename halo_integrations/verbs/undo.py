"""Undo: remove what a run wrote, and restore what it had replaced."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from tenacity import stop_after_attempt, stop_after_delay
from tenacity.stop import StopBaseT

from halo_adapters.base import Annotation, Annotator, WriteResult
from halo_engine.chunks import chunks
from halo_engine.errors import noting_partial_work
from halo_engine.schema import Failure, FrozenModel
from halo_integrations.context import Context
from halo_integrations.options.callbacks import OnProgress, no_progress
from halo_integrations.options.keywords import run_verb
from halo_integrations.options.run import CommonOptions
from halo_integrations.provenance import writer_of
from halo_integrations.state.ownership import run_ownership
from halo_integrations.state.run import Run
from halo_integrations.state.values import Receipt, ReceiptState, Step
from halo_integrations.state.write_history import WriteHistory
from halo_integrations.verbs.follow_up import delete_follow_ups
from halo_integrations.verbs.receipts import (
    READ_BACK_SECONDS,
    WRITE_BATCH,
    Expected,
    annotations_progress,
    stop_without_progress,
    succeeded,
    unconfirmed,
    with_state,
    write_failure,
)

NOT_GONE = "Still there {:g} s after its deletion: undo the run again."


class UndoPreview(FrozenModel):
    """What ``undo`` would remove, at ``destination``; ``cost`` as in ``Preview``.

    ``configs`` are annotation configs, which are only removed where no other run uses them.
    ``deleting`` annotations are with the platform, which has accepted their deletion. Where there is
    nothing to remove the platform is not asked, and ``destination`` is None.
    """

    annotations: int
    deleting: int = 0
    follow_ups: int = 0
    configs: int = 0
    destination: str | None = None
    cost: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether the run has left nothing, or all of it is undone."""
        return not (self.annotations or self.follow_ups or self.configs)


class DeletionStatus(FrozenModel):
    """How many of the ``accepted`` deletions the platform has done: ``gone``.

    The others take about ``seconds_left`` at the pace so far; None where none is gone yet.
    """

    accepted: int = 0
    gone: int = 0
    seconds_left: float | None = None
    note: str = ""

    @property
    def waiting(self) -> int:
        """How many are not done yet."""
        return self.accepted - self.gone


class Undone(FrozenModel):
    """Outcome of an undo.

    ``removed`` includes what the platform has accepted to delete; ``deletions`` tells how far it is
    with that, where it takes its time. ``superseded`` annotations were replaced by a later run,
    ``kept`` ones edited by people, and ``gone`` ones deleted by others: all were left alone.
    ``left`` is what stays, with the reason: comments where the platform cannot delete them.
    """

    removed: int = 0
    restored: int = 0
    superseded: int = 0
    kept: int = 0
    gone: int = 0
    deletions: DeletionStatus = DeletionStatus()
    left: tuple[Failure, ...] = ()
    failures: tuple[Failure, ...] = ()


@run_verb(CommonOptions)
def undo_preview(run_id: str, options: CommonOptions) -> UndoPreview:
    """What ``undo`` would remove, and where. Nothing is changed."""
    context = Context(options)
    run = context.run(run_id)
    adapter = context.annotator_of(run)
    found = UndoPreview(
        annotations=len(pending_receipts(run)),
        deleting=len(awaited_deletions(run)),
        follow_ups=sum(not receipt.state.is_settled for receipt in run.follow_ups()),
        configs=len(run.configs()),
    )
    if found.is_empty:
        return found
    cost = adapter.quota_note("undo", found.annotations) if found.annotations else None
    return found.model_copy(update={"destination": adapter.location(), "cost": cost})


@run_verb(CommonOptions)
def undo(run_id: str, options: CommonOptions) -> Undone:
    """Remove exactly what a run wrote, and restore the previous values."""
    context = Context(options)
    run = context.run(run_id)
    with run_ownership(run, "undo"), noting_partial_work(lambda: has_undone(run)):
        return undo_run(
            run,
            context.annotator_of(run),
            context.on_progress,
            read_back=context.run_settings.settings.read_back,
        )


@run_verb(CommonOptions)
def undo_status(run_id: str, options: CommonOptions) -> DeletionStatus:
    """How far the platform is with the deletions that an undo of this run has asked for.

    Nothing is sent but the question.
    """
    context = Context(options)
    run = context.run(run_id)
    with run_ownership(run, "undo"):
        return settle_deletions(run, context.annotator_of(run), stop_after_attempt(1))


# -- the step ------------------------------------------------------------------------------------


def undo_run(
    run: Run,
    adapter: Annotator,
    on_progress: OnProgress = no_progress,
    *,
    read_back: float = READ_BACK_SECONDS,
) -> Undone:
    """Remove what ``run`` wrote, and restore what an earlier run had written there.

    An annotation that a later run replaced belongs to that run and stays, and so does one that a
    person edited. ``read_back`` is how many seconds the platform may take to show a deletion.
    """
    history = WriteHistory(run)
    pending = pending_receipts(run)
    result, expected, done = Undone(), list[Expected](), 0
    for batch in chunks(pending, WRITE_BATCH):
        part = undo_batch(run, adapter, batch, history)
        result, expected = added(result, part.outcome), expected + part.expected
        done += len(batch)
        on_progress(annotations_progress("Undoing", done, len(pending)))
    missing = unconfirmed(adapter, expected, stop_without_progress(read_back))
    result = added(result, reopened(run, missing, read_back))
    deletions = settle_deletions(run, adapter, stop_after_delay(read_back))
    left = delete_follow_ups(run, adapter, history.follow_ups_of_others())
    if not result.failures:
        left += retire_configs(run, adapter, history)
        run.complete(Step.UNDO)
    return result.model_copy(update={"left": left, "deletions": deletions})


def pending_receipts(run: Run) -> list[Receipt]:
    """The annotations of ``run`` that are not undone."""
    return [receipt for receipt in run.receipts().values() if not receipt.state.is_settled]


def has_undone(run: Run) -> bool:
    """Whether an annotation of ``run`` is undone."""
    return any(receipt.state.is_settled for receipt in run.receipts().values())


def awaited_deletions(run: Run) -> list[Receipt]:
    """The annotations of ``run`` whose deletion the platform has accepted and not done yet."""
    return [r for r in run.receipts().values() if r.state is ReceiptState.DELETING]


def settle_deletions(run: Run, adapter: Annotator, stop: StopBaseT) -> DeletionStatus:
    """Record which of the awaited deletions are done when ``stop`` says that it is enough."""
    awaited = awaited_deletions(run)
    left = unconfirmed(adapter, [(r.annotation, None) for r in awaited], stop) if awaited else []
    keys = {annotation.key for annotation in left}
    done = [r for r in awaited if r.annotation.key not in keys]
    run.add_receipts(with_state(r, ReceiptState.REMOVED) for r in done)
    accepted = run.deletions()
    if accepted is None:
        return DeletionStatus()
    number, since = accepted
    gone, elapsed = number - len(left), datetime.now(UTC) - since
    seconds_left = len(left) * elapsed.total_seconds() / gone if gone else None
    note = adapter.deletion_note
    return DeletionStatus(accepted=number, gone=gone, seconds_left=seconds_left, note=note)


class BatchUndone(NamedTuple):
    """Outcome of undoing one batch: ``expected`` is what the platform should show at once."""

    outcome: Undone
    results: list[WriteResult]
    expected: list[Expected]


def undo_batch(
    run: Run, adapter: Annotator, batch: Sequence[Receipt], history: WriteHistory
) -> BatchUndone:
    """Undo one batch."""
    stored = adapter.fetch_annotations([r.annotation for r in batch])
    pairs = list(zip(batch, stored, strict=True))
    states = {r.annotation.key: settled_state(r, s, run, history) for r, s in pairs}
    open_ = [r for r in batch if states[r.annotation.key] is None]
    before = [(r, history.previous_value(r)) for r in open_]
    restore = [(r, previous) for r, previous in before if previous is not None]
    remove = [r for r, previous in before if previous is None]
    settled = [with_state(r, state) for r in batch if (state := states[r.annotation.key])]
    run.add_receipts(settled)
    with noting_partial_work(lambda: bool(restore)):  # an error may come after a part of it
        restored = adapter.write_annotations([previous for _, previous in restore])
    run.add_receipts(succeeded([r for r, _ in restore], restored, ReceiptState.RESTORED))
    removed = adapter.delete_annotations([r.annotation for r in remove])
    deleted = ReceiptState.DELETING if adapter.deletion_note else ReceiptState.REMOVED
    run.add_receipts(succeeded(remove, removed, deleted))
    outcome = Undone(
        removed=sum(not w.error for w in removed),
        restored=sum(not w.error for w in restored),
        superseded=sum(r.state is ReceiptState.SUPERSEDED for r in settled),
        kept=sum(r.state is ReceiptState.KEPT for r in settled),
        gone=sum(s is None and r.state is ReceiptState.WRITTEN for r, s in pairs),
        failures=tuple(write_failure(w, "undo") for w in (*restored, *removed) if w.error),
    )
    rewritten = [(w.annotation, w.annotation) for w in restored if not w.error]
    at_once = [] if adapter.deletion_note else [w.annotation for w in removed if not w.error]
    expected = [*rewritten, *((annotation, None) for annotation in at_once)]
    return BatchUndone(outcome, [*restored, *removed], expected)


def settled_state(
    receipt: Receipt, stored: Annotation | None, run: Run, history: WriteHistory
) -> ReceiptState | None:
    """The state of a receipt that there is nothing to undo for, given what is stored; else None."""
    if stored is None:
        is_restored = receipt.state is ReceiptState.WITHDRAWN and history.previous_value(receipt)
        return None if is_restored else ReceiptState.REMOVED
    if receipt.state is ReceiptState.WITHDRAWN:
        return ReceiptState.SUPERSEDED
    if writer_of(stored) not in (run.id, None):
        return ReceiptState.SUPERSEDED
    is_ours = history.is_as_written(receipt.annotation.key, stored)
    return None if is_ours else ReceiptState.KEPT


def reopened(run: Run, annotations: Sequence[Annotation], seconds: float) -> Undone:
    """Record that undoing these took no effect within ``seconds``, so that it is tried again."""
    keys = {annotation.key for annotation in annotations}
    receipts = [r for key, r in run.receipts().items() if key in keys]
    run.add_receipts(with_state(r, state_before_undo(r, run)) for r in receipts)
    restored = sum(r.state is ReceiptState.RESTORED for r in receipts)
    lost = [WriteResult(annotation=a, error=NOT_GONE.format(seconds)) for a in annotations]
    return Undone(
        removed=restored - len(receipts),
        restored=-restored,
        failures=tuple(write_failure(w, "undo") for w in lost),
    )


def state_before_undo(receipt: Receipt, run: Run) -> ReceiptState:
    """What ``run`` had done there: written its own, or taken back the mark of another run."""
    is_own = writer_of(receipt.annotation) == run.id
    return ReceiptState.WRITTEN if is_own else ReceiptState.WITHDRAWN


def retire_configs(run: Run, adapter: Annotator, history: WriteHistory) -> tuple[Failure, ...]:
    """Retire the annotation configs of ``run``, and of undone runs, that no other run uses.

    Returns why they stay where that cannot be known.
    """
    if history.unreadable:
        what = f"They stay: run {history.unreadable[0]} cannot be read, and may use them."
        return (Failure(stage="undo", where="annotation configs", what=what),)
    owners = [run, *history.undone()]
    unused = {name for owner in owners for name in owner.configs()} - history.names_in_use()
    adapter.retire_configs(sorted(unused))
    for owner in owners:
        owner.remove_configs(unused)
    return ()


def added(a: Undone, b: Undone) -> Undone:
    """The sum of two outcomes."""
    return Undone(
        removed=a.removed + b.removed,
        restored=a.restored + b.restored,
        superseded=a.superseded + b.superseded,
        kept=a.kept + b.kept,
        gone=a.gone + b.gone,
        failures=(*a.failures, *b.failures),
    )
