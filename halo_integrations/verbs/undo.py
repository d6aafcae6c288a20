"""Undo: remove what a run wrote, and restore what it had replaced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from halo_adapters.base import Annotation, Annotator, WriteResult
from halo_engine.chunks import chunks
from halo_engine.schema import Failure, FrozenModel
from halo_integrations.context import Context
from halo_integrations.options.callbacks import OnProgress, no_progress
from halo_integrations.options.keywords import run_verb
from halo_integrations.options.run import CommonOptions
from halo_integrations.run_folder import Receipt, ReceiptState, Run, Runs, Stage
from halo_integrations.verbs.annotate import (
    READ_BACK_SECONDS,
    WRITE_BATCH,
    Expected,
    Receipts,
    annotations_progress,
    receipt,
    unconfirmed,
    write_failure,
    writer_of,
)
from halo_integrations.verbs.follow_up import delete_follow_ups

NOT_GONE = "Still there {:g} s after its deletion: undo the run again."
SETTLED = frozenset({ReceiptState.REMOVED, ReceiptState.RESTORED, ReceiptState.SUPERSEDED})


class UndoPreview(FrozenModel):
    """What ``undo`` would remove: ``annotations`` at ``destination``; ``cost`` as in ``Preview``.

    Where there is nothing to remove the platform is not asked, and ``destination`` is None.
    """

    annotations: int
    destination: str | None = None
    cost: str | None = None


class Undone(FrozenModel):
    """Outcome of an undo.

    ``superseded`` annotations were replaced by a later run, and ``gone`` ones deleted by others:
    both were left alone. ``left`` are follow-ups that the platform cannot delete.
    """

    removed: int = 0
    restored: int = 0
    superseded: int = 0
    gone: int = 0
    left: tuple[Failure, ...] = ()
    failures: tuple[Failure, ...] = ()


@run_verb(CommonOptions)
def undo_preview(run_id: str, options: CommonOptions) -> UndoPreview:
    """What ``undo`` would remove, and where. Nothing is changed."""
    context = Context(options)
    run = context.runs.get(run_id)
    adapter = context.annotator_of(run)
    written = len(run.receipts())
    if not written:
        return UndoPreview(annotations=0)
    cost = adapter.quota_note("undo", written)
    return UndoPreview(annotations=written, destination=adapter.destination(), cost=cost)


@run_verb(CommonOptions)
def undo(run_id: str, options: CommonOptions) -> Undone:
    """Remove exactly what a run wrote, and restore the previous values."""
    context = Context(options)
    run = context.runs.get(run_id)
    return undo_run(
        run,
        context.annotator_of(run),
        context.runs,
        context.on_progress,
        read_back=context.run_settings.settings.read_back,
    )


# -- the step ------------------------------------------------------------------------------------


def undo_run(
    run: Run,
    adapter: Annotator,
    runs: Runs,
    on_progress: OnProgress = no_progress,
    *,
    read_back: float = READ_BACK_SECONDS,
) -> Undone:
    """Remove what ``run`` wrote, and restore what an earlier run had written there.

    An annotation that a later run replaced belongs to that run and stays. ``read_back`` is how many
    seconds the platform may take to show a deletion.
    """
    others = [other for other in runs.all() if other.id != run.id]
    undone = {o.id: o.receipts() for o in others if o.record.stage is Stage.UNDONE}
    pending = [r for r in run.receipts().values() if r.state not in SETTLED]
    result, expected, done = Undone(), list[Expected](), 0
    for batch in chunks(pending, WRITE_BATCH):
        part, changes = undo_batch(run, adapter, batch, undone)
        result, expected = added(result, part), expected + changes
        done += len(batch)
        on_progress(annotations_progress("Undoing", done, len(pending)))
    result = added(result, reopened(run, unconfirmed(adapter, expected, read_back), read_back))
    left = delete_follow_ups(run, adapter)
    if not result.failures:
        adapter.retire_configs(sorted(configs_created_by(run, others) - names_in_use(others)))
        run.update(stage=Stage.UNDONE)
    return result.model_copy(update={"left": left})


def undo_batch(
    run: Run, adapter: Annotator, batch: Sequence[Receipt], undone: Mapping[str, Receipts]
) -> tuple[Undone, list[Expected]]:
    """Undo one batch; also what should be stored where the platform accepted a change."""
    stored = adapter.fetch_annotations([r.annotation for r in batch])
    writers = {r.annotation.key: writer_of(s) for r, s in zip(batch, stored, strict=True) if s}
    gone = [r for r in batch if r.annotation.key not in writers]
    ours = [r for r in batch if writers.get(r.annotation.key) == run.id]
    later = [r for r in batch if r not in gone and r not in ours]
    before = [(r, previous_value(r, undone)) for r in ours]
    restore = [(r, previous) for r, previous in before if previous is not None]
    remove = [r for r, previous in before if previous is None]
    restored = adapter.write_annotations([previous for _, previous in restore])
    removed = adapter.delete_annotations([r.annotation for r in remove])
    run.add_receipts(with_state(r, ReceiptState.REMOVED) for r in gone)
    run.add_receipts(with_state(r, ReceiptState.SUPERSEDED) for r in later)
    run.add_receipts(succeeded([r for r, _ in restore], restored, ReceiptState.RESTORED))
    run.add_receipts(succeeded(remove, removed, ReceiptState.REMOVED))
    result = Undone(
        removed=sum(not w.error for w in removed),
        restored=sum(not w.error for w in restored),
        superseded=len(later),
        gone=sum(r.state is ReceiptState.WRITTEN for r in gone),
        failures=tuple(write_failure(w, "undo") for w in (*restored, *removed) if w.error),
    )
    rewritten = [(w.annotation, w.annotation) for w in restored if not w.error]
    return result, [*rewritten, *((w.annotation, None) for w in removed if not w.error)]


def reopened(run: Run, annotations: Sequence[Annotation], seconds: float) -> Undone:
    """Record that undoing these took no effect within ``seconds``, so that it is tried again."""
    keys = {annotation.key for annotation in annotations}
    receipts = [r for key, r in run.receipts().items() if key in keys]
    run.add_receipts(with_state(r, ReceiptState.WRITTEN) for r in receipts)
    restored = sum(r.state is ReceiptState.RESTORED for r in receipts)
    lost = [WriteResult(annotation=a, error=NOT_GONE.format(seconds)) for a in annotations]
    return Undone(
        removed=restored - len(receipts),
        restored=-restored,
        failures=tuple(write_failure(w, "undo") for w in lost),
    )


def succeeded(
    receipts: Sequence[Receipt], results: Sequence[WriteResult], state: ReceiptState
) -> Iterable[Receipt]:
    """New receipts for those that succeeded; the others stay open, to be tried again."""
    pairs = zip(receipts, results, strict=True)
    return [with_state(r, state) for r, w in pairs if not w.error]


def with_state(old: Receipt, state: ReceiptState) -> Receipt:
    """``old`` with a new state and the current time."""
    return receipt(old.annotation, state, old.previous)


def previous_value(old: Receipt, undone: Mapping[str, Receipts]) -> Annotation | None:
    """The value to restore: the previous one, unless a run wrote it that is undone too."""
    previous = old.previous
    while previous is not None and (receipts := undone.get(writer_of(previous) or "")) is not None:
        earlier = receipts.get(previous.key)
        previous = earlier.previous if earlier else None
    return previous


def configs_created_by(run: Run, others: Sequence[Run]) -> set[str]:
    """The configs that ``run`` created, or an undone run whose configs it reused."""
    undone = [other for other in others if other.record.stage is Stage.UNDONE]
    return {name for each in (run, *undone) for name in each.configs()}


def names_in_use(runs: Sequence[Run]) -> set[str]:
    """The annotation names that ``runs`` wrote under and that are not undone."""
    active = [run for run in runs if run.record.stage is not Stage.UNDONE]
    return {receipt.annotation.name for run in active for receipt in run.receipts().values()}


def added(a: Undone, b: Undone) -> Undone:
    """The sum of two outcomes."""
    return Undone(
        removed=a.removed + b.removed,
        restored=a.restored + b.restored,
        superseded=a.superseded + b.superseded,
        gone=a.gone + b.gone,
        failures=(*a.failures, *b.failures),
    )
