"""Annotate: the report of a run onto the platform, each annotation with a receipt and read back."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import NamedTuple

from halo_adapters.base import Annotation, AnnotationKey, Annotator, WriteResult
from halo_adapters.transport.prefetch import prefetch
from halo_engine.chunks import chunks
from halo_engine.errors import ConfigError, noting_partial_work
from halo_engine.schema import Failure, FrozenModel
from halo_engine.store import TraceStore
from halo_integrations.context import Context
from halo_integrations.incremental import advance_watermark
from halo_integrations.options.callbacks import (
    Notice,
    OnNotice,
    OnProgress,
    no_notice,
    no_progress,
)
from halo_integrations.options.keywords import run_verb
from halo_integrations.options.run import CommonOptions
from halo_integrations.provenance import writer_of
from halo_integrations.report_annotations import Preview, annotations_of, configs_of, preview_of
from halo_integrations.state.ownership import run_ownership
from halo_integrations.state.run import Run
from halo_integrations.state.values import ReceiptState, Step
from halo_integrations.state.write_history import Judged, Receipts, WriteHistory
from halo_integrations.tracking import decided_report
from halo_integrations.verbs.receipts import (
    READ_BACK_SECONDS,
    WRITE_BATCH,
    annotations_progress,
    receipt,
    stop_without_progress,
    unconfirmed,
    write_failure,
)
from halo_integrations.verbs.undo import undo_batch

BEING_DELETED = (
    "The platform has not yet deleted what an undo took back there, and would delete this in its "
    "place: give the command again once `undo --status` says that all are gone."
)

WAITING = (
    "Waiting for the answer about {} annotations that were sent, so that it is known what became of "
    "them. Ctrl-C now ends at once: then `halo-integrations annotate {}` looks that up."
)

# Batches that are being written at a time, and of which is read meanwhile what they would replace:
# few, so that what a person changes in between is seen.
IN_FLIGHT = 4
READ_AHEAD = 2

NOTHING_JUDGED = Judged()


class Annotated(FrozenModel):
    """Outcome of writing: ``confirmed`` of ``total`` were read back as they were sent.

    ``pending`` were accepted and are not shown yet, perhaps for what ``pending_note`` says. ``kept``
    were left as they are, because people had edited them. ``withdrawn`` are earlier marks that no
    longer hold and were taken back.
    """

    total: int
    confirmed: int
    pending: int = 0
    pending_note: str = ""
    kept: int = 0
    withdrawn: int = 0
    failures: tuple[Failure, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether everything is on the platform that is to be there."""
        return not self.failures and self.confirmed + self.kept == self.total


@run_verb(CommonOptions)
def preview(run_id: str, options: CommonOptions) -> Preview:
    """What ``annotate`` would write, counted by name and severity. Nothing is written."""
    context = Context(options)
    run = context.run(run_id)
    adapter = context.annotator_of(run)
    annotations = planned_annotations(context, run)
    cost = adapter.quota_note("annotate", len(annotations))
    return preview_of(annotations, adapter.location(), cost)


@run_verb(CommonOptions)
def annotate(run_id: str, options: CommonOptions) -> Annotated:
    """Write the findings of a run onto the traces and spans that they were found on.

    Raises ``ConfigError`` where the source takes no annotations, and for more of them than the
    setting ``max_annotations`` allows.
    """
    context = Context(options)
    run = context.run(run_id)
    with run_ownership(run, "annotate"), noting_partial_work(lambda: has_begun(run)):
        annotated = write_annotations(
            run,
            context.annotator_of(run),
            planned_annotations(context, run),
            context.on_progress,
            context.on_notice,
            judged=judged_by(run),
            read_back=context.run_settings.settings.read_back,
        )
        if annotated.is_complete:
            advance_watermark(context, run, run.report)
    return annotated


def has_begun(run: Run) -> bool:
    """Whether anything that ``run`` writes may be on the platform."""
    return bool(run.receipts() or run.configs())


def planned_annotations(context: Context, run: Run) -> list[Annotation]:
    """What ``annotate`` writes; ``ConfigError`` for more than the settings allow."""
    settings = context.run_settings
    annotations = annotations_for(
        run,
        context.annotator_of(run),
        mark_recording_gaps=settings.settings.mark_recording_gaps,
    )
    limit = settings.settings.max_annotations
    if len(annotations) > limit:
        raise ConfigError(
            f"Run {run.id} would write {len(annotations)} annotations, more than "
            f"{limit} (max_annotations, from {settings.origins.get('max_annotations', 'default')}). "
            f"Raise HALO_MAX_ANNOTATIONS, or analyse fewer traces."
        )
    return annotations


# -- the step ------------------------------------------------------------------------------------


def annotations_for(
    run: Run, adapter: Annotator, *, mark_recording_gaps: bool = False
) -> list[Annotation]:
    """The annotations of a run's report; only ever on traces that this run has read."""
    with TraceStore(run.store_path, read_only=True) as store:
        return annotations_of(
            decided_report(run),
            run.id,
            store.roots(),
            summary_on_trace=adapter.shows_trace_annotations,
            mark_recording_gaps=mark_recording_gaps,
        )


def write_annotations(
    run: Run,
    adapter: Annotator,
    annotations: Sequence[Annotation],
    on_progress: OnProgress = no_progress,
    on_notice: OnNotice = no_notice,
    *,
    judged: Judged = NOTHING_JUDGED,
    batch: int = WRITE_BATCH,
    read_back: float = READ_BACK_SECONDS,
) -> Annotated:
    """Write ``annotations``, ``batch`` at a time, read them back, and keep a receipt of each.

    Earlier marks that do not hold, as ``annotations`` is all that ``judged`` found, are taken back.
    ``read_back`` is how many seconds may pass in which the platform shows no more of what it
    accepted.
    """
    for config in configs_of(annotations):
        run.add_configs(adapter.ensure_configs([config]))
    history, receipts = WriteHistory(run), run.receipts()
    results: list[WriteResult] = []
    kept, done = 0, 0
    batches = list(chunks(annotations, batch))
    writing = write_batches(run, adapter, batches, receipts, history, on_notice)
    with closing(writing) as outcomes:
        for part, written in zip(batches, outcomes, strict=True):
            results += written
            kept += len(part) - len(written)
            done += len(part)
            on_progress(annotations_progress("Annotating", done, len(annotations)))
    withdrawn = withdraw_stale(run, adapter, annotations, history, judged)
    run.complete(Step.ANNOTATE)
    accepted = [r.annotation for r in results if not r.error]
    expected = [(a, a) for a in accepted]
    missing = unconfirmed(adapter, expected, stop_without_progress(read_back))
    refused = [r for r in (*results, *withdrawn) if r.error]
    return Annotated(
        total=len(annotations),
        confirmed=len(accepted) - len(missing),
        pending=len(missing),
        pending_note=adapter.not_shown_note if missing else "",
        kept=kept,
        withdrawn=sum(not r.error for r in withdrawn),
        failures=tuple(write_failure(r, "annotate") for r in refused),
    )


class PlannedBatch(NamedTuple):
    """A batch whose receipts say what is to be written, over which ``previous`` values.

    ``refused`` are those that cannot be written now.
    """

    annotations: list[Annotation]
    previous: dict[AnnotationKey, Annotation | None]
    refused: list[WriteResult]


# A batch that was sent, and its results.
Sent = tuple[PlannedBatch, Future[list[WriteResult]]]


def write_batches(
    run: Run,
    adapter: Annotator,
    batches: Sequence[Sequence[Annotation]],
    receipts: Receipts,
    history: WriteHistory,
    on_notice: OnNotice,
) -> Generator[list[WriteResult]]:
    """Write ``batches``, some at a time, but for what people edited; the results of each, in order.

    What is stored is read ahead. The previous values of a batch are on disk before it is sent, and
    what became of it before its results are given. Where the caller stops, what is on its way is
    told, waited for, and recorded too; a second interrupt ends that.
    """
    stored = prefetch(deque(batches), lambda: 1, lambda one: fetched(adapter, one), READ_AHEAD)
    sent: deque[Sent] = deque()

    def oldest() -> list[WriteResult]:
        planned, written = sent[0]
        results = record_results(run, planned, written.result())
        sent.popleft()
        return results

    pool = ThreadPoolExecutor(IN_FLIGHT)
    try:
        for batch, values in zip(batches, stored, strict=True):
            planned = plan_batch(run, batch, values, receipts, history)
            sent.append((planned, pool.submit(adapter.write_annotations, planned.annotations)))
            if len(sent) == IN_FLIGHT:
                yield oldest()
        while sent:
            yield oldest()
    finally:
        pool.shutdown(wait=False)
        record_what_was_sent(run, sent, on_notice)


def fetched(adapter: Annotator, batches: Sequence[Sequence[Annotation]]) -> list[Annotation | None]:
    """What is stored under the keys of the one batch."""
    (batch,) = batches
    return adapter.fetch_annotations(batch)


def record_what_was_sent(run: Run, sent: Iterable[Sent], on_notice: OnNotice) -> None:
    """Record the results of batches that nobody waits for any more.

    Of one that fails too the receipts stay planned: it may be stored.
    """
    begun = [(planned, written) for planned, written in sent if not written.cancel()]
    if waiting := sum(len(planned.annotations) for planned, done in begun if not done.done()):
        on_notice(Notice(text=WAITING.format(waiting, run.id)))
    for planned, written in begun:
        if written.exception() is None:
            record_results(run, planned, written.result())


def plan_batch(
    run: Run,
    batch: Sequence[Annotation],
    values: Sequence[Annotation | None],
    receipts: Receipts,
    history: WriteHistory,
) -> PlannedBatch:
    """Record what of a batch is to be written over the stored ``values``: not what people edited.

    ``receipts`` are those of an earlier call. Where its value is still stored, the previous value is
    the one of then; anywhere else, it is what is stored now.
    """
    stored = dict(zip((a.key for a in batch), values, strict=True))
    edited = {key for key, s in stored.items() if s and not history.is_as_written(key, s)}
    kept = [receipt(a, ReceiptState.KEPT, stored[a.key]) for a in batch if a.key in edited]
    doomed = {key for key, s in stored.items() if s and history.is_being_deleted(s)} - edited
    planned = [a for a in batch if a.key not in edited | doomed]
    previous = {a.key: previous_of(a, stored[a.key], run, receipts) for a in planned}
    run.add_receipts((*kept, *(receipt(a, ReceiptState.PLANNED, previous[a.key]) for a in planned)))
    not_yet = [WriteResult(annotation=a, error=BEING_DELETED) for a in batch if a.key in doomed]
    return PlannedBatch(planned, previous, not_yet)


def record_results(
    run: Run, planned: PlannedBatch, results: Sequence[WriteResult]
) -> list[WriteResult]:
    """Record what became of a batch; its results, with those that could not be written."""
    run.add_receipts(
        receipt(
            r.annotation,
            ReceiptState.FAILED if r.error else ReceiptState.WRITTEN,
            planned.previous[r.annotation.key],
            r.error,
        )
        for r in results
    )
    return [*results, *planned.refused]


def previous_of(
    annotation: Annotation, stored: Annotation | None, run: Run, receipts: Receipts
) -> Annotation | None:
    """What undo has to restore where ``run`` writes ``annotation`` over ``stored``."""
    earlier = receipts.get(annotation.key)
    if earlier is None:
        return stored
    is_own = writer_of(stored) == run.id
    is_withdrawn = stored is None and earlier.state is ReceiptState.WITHDRAWN
    return earlier.previous if is_own or is_withdrawn else stored


# -- marks that no longer hold -------------------------------------------------------------------


def withdraw_stale(
    run: Run,
    adapter: Annotator,
    annotations: Sequence[Annotation],
    history: WriteHistory,
    judged: Judged,
) -> list[WriteResult]:
    """Take back earlier marks, unless a person edited them, that ``annotations`` contradict.

    Those of this run that its report no longer holds; and those of other runs of this home that
    should have been found again, or are on the same subject at another place.
    """
    keys = {annotation.key for annotation in annotations}
    own = [
        receipt
        for key, receipt in run.receipts().items()
        if key not in keys and receipt.state.may_be_stored
    ]
    results: list[WriteResult] = []
    for batch in chunks(own, WRITE_BATCH):
        results += undo_batch(run, adapter, batch, history).results
    for marks in chunks(history.earlier_marks(judged, annotations), WRITE_BATCH):
        results += withdraw_batch(run, adapter, marks, history)
    return results


def judged_by(run: Run) -> Judged:
    """What the detectors of ``run`` have judged; not traces of which more may come."""
    with TraceStore(run.store_path, read_only=True) as store:
        settled = store.trace_ids() - store.unsettled(run.record.created_at)
    return Judged(by={f"detector {name}" for name in run.report.detectors}, trace_ids=settled)


def withdraw_batch(
    run: Run, adapter: Annotator, marks: Sequence[Annotation], history: WriteHistory
) -> list[WriteResult]:
    """Take back marks of other runs, with a receipt each, so that undo can restore them."""
    stored = adapter.fetch_annotations(marks)
    pairs = zip((mark.key for mark in marks), stored, strict=True)
    unedited = [
        s
        for key, s in pairs
        if s and history.is_as_written(key, s) and not history.is_being_deleted(s)
    ]
    run.add_receipts(receipt(s, ReceiptState.WITHDRAWN, s) for s in unedited)
    results = adapter.delete_annotations(unedited)
    run.add_receipts(
        receipt(r.annotation, ReceiptState.FAILED, r.annotation, r.error)
        for r in results
        if r.error
    )
    return results
