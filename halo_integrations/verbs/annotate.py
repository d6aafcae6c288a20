"""Annotate: the report of a run onto the platform, each annotation with a receipt and read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_delay, wait_exponential

from halo_adapters.base import Annotation, Annotator, WriteResult
from halo_engine.chunks import chunks
from halo_engine.errors import ConfigError
from halo_engine.schema import Failure, FrozenModel
from halo_engine.store import TraceStore
from halo_integrations.context import Context
from halo_integrations.options.callbacks import OnProgress, Progress, no_progress
from halo_integrations.options.keywords import run_verb
from halo_integrations.options.run import CommonOptions
from halo_integrations.report_annotations import Preview, annotations_of, configs_of, preview_of
from halo_integrations.state.ownership import Ownership
from halo_integrations.state.run import Run
from halo_integrations.state.values import Receipt, ReceiptState, Step

WRITE_BATCH = 100
# A platform can show an accepted write only after a while (seen: up to 30 s).
READ_BACK_SECONDS = 60
READ_BACK_PAUSE = wait_exponential(0.25, max=5)

NOT_SHOWN = (
    "Accepted, but not shown as it was sent within {seconds:g} s. {note} undo removes what still "
    "appears."
)

# An annotation's identity, and what should be stored there (None: nothing).
Expected = tuple[Annotation, Annotation | None]
Key = tuple[str, str, str, str]
Receipts = Mapping[Key, Receipt]


class Annotated(FrozenModel):
    """Outcome of writing: ``confirmed`` of ``total`` were read back as they were sent."""

    total: int
    confirmed: int
    failures: tuple[Failure, ...] = ()


@run_verb(CommonOptions)
def preview(run_id: str, options: CommonOptions) -> Preview:
    """What ``annotate`` would write, counted by name and severity. Nothing is written."""
    context = Context(options)
    run = context.run(run_id)
    adapter = context.annotator_of(run)
    annotations = planned_annotations(context, run)
    cost = adapter.quota_note("annotate", len(annotations))
    return preview_of(annotations, adapter.destination(), cost)


@run_verb(CommonOptions)
def annotate(run_id: str, options: CommonOptions) -> Annotated:
    """Write the findings of a run onto the traces and spans that they were found on.

    Raises ``ConfigError`` where the source takes no annotations, and for more of them than the
    setting ``max_annotations`` allows.
    """
    context = Context(options)
    run = context.run(run_id)
    with Ownership(run, "annotate"):
        return write_annotations(
            run,
            context.annotator_of(run),
            planned_annotations(context, run),
            context.on_progress,
            read_back=context.run_settings.settings.read_back,
        )


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
            run.report,
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
    *,
    batch: int = WRITE_BATCH,
    read_back: float = READ_BACK_SECONDS,
) -> Annotated:
    """Write ``annotations``, ``batch`` at a time, read them back, and keep a receipt of each.

    ``read_back`` is how many seconds the platform may take to show an accepted write.
    """
    for config in configs_of(annotations):
        run.add_configs(adapter.ensure_configs([config]))
    receipts = run.receipts()
    results: list[WriteResult] = []
    for part in chunks(annotations, batch):
        results += write_batch(run, adapter, part, receipts)
        on_progress(annotations_progress("Annotating", len(results), len(annotations)))
    run.complete(Step.ANNOTATE)
    accepted = [r.annotation for r in results if not r.error]
    missing = unconfirmed(adapter, [(a, a) for a in accepted], read_back)
    refused = [r for r in results if r.error]
    not_shown = NOT_SHOWN.format(seconds=read_back, note=adapter.not_shown_note)
    lost = [WriteResult(annotation=a, error=not_shown) for a in missing]
    return Annotated(
        total=len(annotations),
        confirmed=len(accepted) - len(missing),
        failures=tuple(write_failure(r, "annotate") for r in (*refused, *lost)),
    )


def annotations_progress(step: str, done: int, total: int) -> Progress:
    """Progress counted in annotations."""
    return Progress(step=step, done=done, total=total, unit="annotations")


def write_batch(
    run: Run, adapter: Annotator, batch: Sequence[Annotation], receipts: Receipts
) -> list[WriteResult]:
    """Write one batch: record the previous values, write, record the results.

    ``receipts`` are those of an earlier call. Where its value is still stored, the previous value is
    the one of then; anywhere else, it is what is stored now.
    """
    previous = {
        annotation.key: receipts[annotation.key].previous
        if writer_of(stored) == run.id and annotation.key in receipts
        else stored
        for annotation, stored in zip(batch, adapter.fetch_annotations(batch), strict=True)
    }
    run.add_receipts(receipt(a, ReceiptState.PLANNED, previous[a.key]) for a in batch)
    results = adapter.write_annotations(batch)
    run.add_receipts(
        receipt(
            r.annotation,
            ReceiptState.FAILED if r.error else ReceiptState.WRITTEN,
            previous[r.annotation.key],
            r.error,
        )
        for r in results
    )
    return results


def unconfirmed(
    adapter: Annotator, expected: Sequence[Expected], seconds: float
) -> list[Annotation]:
    """Those whose stored value is not the expected one after at most ``seconds``.

    A platform can take a moment to show a change, so what is missing is read again.
    """
    left = list(expected)

    def look() -> list[Annotation]:
        stored = adapter.fetch_annotations([annotation for annotation, _ in left])
        left[:] = [e for e, value in zip(left, stored, strict=True) if value != e[1]]
        return [annotation for annotation, _ in left]

    return Retrying(
        retry=retry_if_result(bool),
        wait=READ_BACK_PAUSE,
        stop=stop_after_delay(seconds),
        retry_error_callback=last_result,
    )(look)


def last_result(state: RetryCallState) -> list[Annotation]:
    """The result of the last attempt; an error of the platform is raised."""
    if state.outcome is None:
        return []
    result: list[Annotation] = state.outcome.result()
    return result


def receipt(
    annotation: Annotation,
    state: ReceiptState,
    previous: Annotation | None,
    error: str | None = None,
) -> Receipt:
    """A receipt with the current time."""
    return Receipt(
        at=datetime.now(UTC), state=state, annotation=annotation, previous=previous, error=error
    )


def write_failure(result: WriteResult, stage: str) -> Failure:
    """A refused annotation as a failure for the user."""
    annotation = result.annotation
    where = f"{annotation.name} on {annotation.span_id or annotation.trace_id}"
    return Failure(stage=stage, where=where, what=result.error or "")


def writer_of(annotation: Annotation | None) -> str | None:
    """The id of the run that wrote an annotation."""
    return annotation.metadata.get("run_id") if annotation else None
