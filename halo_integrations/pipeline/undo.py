"""What a run wrote taken back, and what it had replaced given back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from halo_adapters.base import Annotation, Annotator, WriteResult
from halo_engine.chunks import chunks
from halo_engine.schema import Failure, FrozenModel
from halo_integrations.pipeline.annotate import (
    READ_BACK_SECONDS,
    WRITE_BATCH,
    Receipts,
    Wanted,
    annotations_progress,
    failure_of,
    receipt,
    run_of,
    unsettled,
)
from halo_integrations.pipeline.follow_up import delete_follow_ups
from halo_integrations.pipeline.progress import OnProgress, silent
from halo_integrations.runs import Receipt, ReceiptState, Run, Runs, Stage

NOT_GONE = "Still there {:g} s after it was taken back: undo the run again."
SETTLED = frozenset({ReceiptState.REMOVED, ReceiptState.RESTORED, ReceiptState.SUPERSEDED})


class Undone(FrozenModel):
    """What taking back came to.

    ``superseded`` annotations were replaced by a later run, and ``gone`` ones deleted by somebody:
    both were left alone. ``left`` are follow-ups that the platform cannot delete.
    """

    removed: int = 0
    restored: int = 0
    superseded: int = 0
    gone: int = 0
    left: tuple[Failure, ...] = ()
    failures: tuple[Failure, ...] = ()


def undo(
    run: Run,
    adapter: Annotator,
    runs: Runs,
    on_progress: OnProgress = silent,
    *,
    retry_timeout: float = READ_BACK_SECONDS,
) -> Undone:
    """Take back what ``run`` wrote, and give back what an earlier run had written there.

    An annotation that a later run replaced belongs to that run and stays. ``retry_timeout`` is how many
    seconds the platform may take to show that a thing is gone.
    """
    others = [other for other in runs.all() if other.id != run.id]
    undone = {o.id: o.receipts() for o in others if o.record.stage is Stage.UNDONE}
    pending = [r for r in run.receipts().values() if r.state not in SETTLED]
    result, wanted, done = Undone(), list[Wanted](), 0
    for batch in chunks(pending, WRITE_BATCH):
        part, changes = undo_batch(run, adapter, batch, undone)
        result, wanted = added(result, part), wanted + changes
        done += len(batch)
        on_progress(annotations_progress("Undoing", done, len(pending)))
    result = added(result, reopened(run, unsettled(adapter, wanted, retry_timeout), retry_timeout))
    left = delete_follow_ups(run, adapter)
    if not result.failures:
        adapter.retire_configs(sorted(declared_by(run, others) - names_in_use(others)))
        run.update(stage=Stage.UNDONE)
    return result.model_copy(update={"left": left})


def undo_batch(
    run: Run, adapter: Annotator, batch: Sequence[Receipt], undone: Mapping[str, Receipts]
) -> tuple[Undone, list[Wanted]]:
    """Take back one batch; also what should stand where the platform accepted a change."""
    stored = adapter.fetch_annotations([r.annotation for r in batch])
    writers = {r.annotation.key: run_of(s) for r, s in zip(batch, stored, strict=True) if s}
    gone = [r for r in batch if r.annotation.key not in writers]
    ours = [r for r in batch if writers.get(r.annotation.key) == run.id]
    later = [r for r in batch if r not in gone and r not in ours]
    before = [(r, standing_before(r, undone)) for r in ours]
    restore = [(r, previous) for r, previous in before if previous is not None]
    remove = [r for r, previous in before if previous is None]
    restored = adapter.write_annotations([previous for _, previous in restore])
    removed = adapter.delete_annotations([r.annotation for r in remove])
    run.add_receipts(state_of(r, ReceiptState.REMOVED) for r in gone)
    run.add_receipts(state_of(r, ReceiptState.SUPERSEDED) for r in later)
    run.add_receipts(outcomes([r for r, _ in restore], restored, ReceiptState.RESTORED))
    run.add_receipts(outcomes(remove, removed, ReceiptState.REMOVED))
    result = Undone(
        removed=sum(not w.error for w in removed),
        restored=sum(not w.error for w in restored),
        superseded=len(later),
        gone=sum(r.state is ReceiptState.WRITTEN for r in gone),
        failures=tuple(failure_of(w, "undo") for w in (*restored, *removed) if w.error),
    )
    given_back = [(w.annotation, w.annotation) for w in restored if not w.error]
    return result, [*given_back, *((w.annotation, None) for w in removed if not w.error)]


def reopened(run: Run, annotations: Sequence[Annotation], retry_timeout: float) -> Undone:
    """Note that taking these back did not take effect, so that it is tried again."""
    keys = {annotation.key for annotation in annotations}
    receipts = [r for key, r in run.receipts().items() if key in keys]
    run.add_receipts(state_of(r, ReceiptState.WRITTEN) for r in receipts)
    restored = sum(r.state is ReceiptState.RESTORED for r in receipts)
    lost = [WriteResult(annotation=a, error=NOT_GONE.format(retry_timeout)) for a in annotations]
    return Undone(
        removed=restored - len(receipts),
        restored=-restored,
        failures=tuple(failure_of(w, "undo") for w in lost),
    )


def outcomes(
    receipts: Sequence[Receipt], written: Sequence[WriteResult], state: ReceiptState
) -> Iterable[Receipt]:
    """New receipts for those that went well; the others stay open, to be tried again."""
    pairs = zip(receipts, written, strict=True)
    return [state_of(r, state) for r, w in pairs if not w.error]


def state_of(old: Receipt, state: ReceiptState) -> Receipt:
    """``old`` one step further."""
    return receipt(old.annotation, state, old.previous)


def standing_before(old: Receipt, undone: Mapping[str, Receipts]) -> Annotation | None:
    """What to put back: what stood there before, unless that was of a run which is undone too."""
    previous = old.previous
    while previous is not None and (receipts := undone.get(run_of(previous) or "")) is not None:
        earlier = receipts.get(previous.key)
        previous = earlier.previous if earlier else None
    return previous


def declared_by(run: Run, others: Sequence[Run]) -> set[str]:
    """The names that ``run`` made known, or an undone run whose names it went on using."""
    undone = [other for other in others if other.record.stage is Stage.UNDONE]
    return {name for each in (run, *undone) for name in each.configs()}


def names_in_use(runs: Sequence[Run]) -> set[str]:
    """The annotation names that ``runs`` wrote under and did not take back."""
    standing = [run for run in runs if run.record.stage is not Stage.UNDONE]
    return {receipt.annotation.name for run in standing for receipt in run.receipts().values()}


def added(a: Undone, b: Undone) -> Undone:
    """Two results as one."""
    return Undone(
        removed=a.removed + b.removed,
        restored=a.restored + b.restored,
        superseded=a.superseded + b.superseded,
        gone=a.gone + b.gone,
        failures=(*a.failures, *b.failures),
    )
