"""Undo: remove what a run wrote, and restore what it had replaced."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from halo_adapters.base import Annotation, Annotator, WriteResult
from halo_engine.chunks import chunks
from halo_engine.schema import Failure, FrozenModel
from halo_integrations.context import Context
from halo_integrations.options.callbacks import OnProgress, no_progress
from halo_integrations.options.keywords import run_verb
from halo_integrations.options.run import CommonOptions
from halo_integrations.state.home import Runs
from halo_integrations.state.ownership import Ownership
from halo_integrations.state.run import Run
from halo_integrations.state.values import Receipt, ReceiptState, Step
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


class UndoPreview(FrozenModel):
    """What ``undo`` would remove, at ``destination``; ``cost`` as in ``Preview``.

    ``configs`` are annotation configs, which are only removed where no other run uses them. Where
    there is nothing to remove the platform is not asked, and ``destination`` is None.
    """

    annotations: int
    follow_ups: int = 0
    configs: int = 0
    destination: str | None = None
    cost: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether the run has left nothing, or all of it is undone."""
        return not (self.annotations or self.follow_ups or self.configs)


class Undone(FrozenModel):
    """Outcome of an undo.

    ``superseded`` annotations were replaced by a later run, and ``gone`` ones deleted by others:
    both were left alone. ``left`` is what stays, with the reason: comments where the platform
    cannot delete them.
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
    run = context.run(run_id)
    adapter = context.annotator_of(run)
    found = UndoPreview(
        annotations=len(pending_receipts(run)),
        follow_ups=sum(not receipt.state.is_settled for receipt in run.follow_ups()),
        configs=len(run.configs()),
    )
    if found.is_empty:
        return found
    cost = adapter.quota_note("undo", found.annotations) if found.annotations else None
    return found.model_copy(update={"destination": adapter.destination(), "cost": cost})


@run_verb(CommonOptions)
def undo(run_id: str, options: CommonOptions) -> Undone:
    """Remove exactly what a run wrote, and restore the previous values."""
    context = Context(options)
    run = context.run(run_id)
    with Ownership(run, "undo"):
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
    others = OtherRuns(runs, run)
    pending = pending_receipts(run)
    result, expected, done = Undone(), list[Expected](), 0
    for batch in chunks(pending, WRITE_BATCH):
        part, changes = undo_batch(run, adapter, batch, others)
        result, expected = added(result, part), expected + changes
        done += len(batch)
        on_progress(annotations_progress("Undoing", done, len(pending)))
    result = added(result, reopened(run, unconfirmed(adapter, expected, read_back), read_back))
    left = delete_follow_ups(run, adapter)
    if not result.failures:
        left += retire_configs(run, adapter, others)
        run.complete(Step.UNDO)
    return result.model_copy(update={"left": left})


def pending_receipts(run: Run) -> list[Receipt]:
    """The annotations of ``run`` that are not undone."""
    return [receipt for receipt in run.receipts().values() if not receipt.state.is_settled]


def undo_batch(
    run: Run, adapter: Annotator, batch: Sequence[Receipt], others: OtherRuns
) -> tuple[Undone, list[Expected]]:
    """Undo one batch; also what should be stored where the platform accepted a change."""
    stored = adapter.fetch_annotations([r.annotation for r in batch])
    writers = {r.annotation.key: writer_of(s) for r, s in zip(batch, stored, strict=True) if s}
    gone = [r for r in batch if r.annotation.key not in writers]
    ours = [r for r in batch if writers.get(r.annotation.key) == run.id]
    later = [r for r in batch if r not in gone and r not in ours]
    before = [(r, others.previous_value(r)) for r in ours]
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


class OtherRuns:
    """The other runs of the home, read where the undo of ``run`` depends on them."""

    def __init__(self, runs: Runs, run: Run) -> None:
        self._run_id = run.id
        readable = [other for other, _ in runs.readable()]
        self._all = {other.id: other for other in readable if other.id != run.id}
        self._receipts: dict[str, Receipts] = {}
        self.unreadable = sorted({o.id for o in runs.all()} - {o.id for o in readable})

    def previous_value(self, receipt: Receipt) -> Annotation | None:
        """The value to restore: the previous one, unless a run wrote it that has undone it too.

        That is asked for each annotation, whatever else those runs did since.
        """
        previous, seen = receipt.previous, {self._run_id}
        while (writer := writer_of(previous)) in self._all and writer not in seen:
            earlier = self._receipts_of(writer).get(receipt.annotation.key)
            if earlier is None or not earlier.state.is_settled:
                return previous
            previous = earlier.previous
            seen.add(writer)
        return None if writer in seen else previous

    def _receipts_of(self, run_id: str) -> Receipts:
        if run_id not in self._receipts:
            self._receipts[run_id] = self._all[run_id].receipts()
        return self._receipts[run_id]

    def pending_names(self) -> set[str]:
        """The annotation names under which these runs have something that is not undone."""
        return {name for run in self._all.values() for name in run.pending_names()}

    def undone(self) -> list[Run]:
        """Those of which everything is undone."""
        return [r for r in self._all.values() if r.completed(Step.UNDO) and not r.pending_names()]


def retire_configs(run: Run, adapter: Annotator, others: OtherRuns) -> tuple[Failure, ...]:
    """Retire the annotation configs of ``run``, and of undone runs, that no other run uses.

    Returns why they stay where that cannot be known.
    """
    if others.unreadable:
        what = f"They stay: run {others.unreadable[0]} cannot be read, and may use them."
        return (Failure(stage="undo", where="annotation configs", what=what),)
    owners = [run, *others.undone()]
    unused = {name for owner in owners for name in owner.configs()} - others.pending_names()
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
        gone=a.gone + b.gone,
        failures=(*a.failures, *b.failures),
    )
