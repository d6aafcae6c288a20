"""The report of a run onto the platform, each annotation with a receipt and read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_delay, wait_exponential

from halo_adapters.base import Annotation, Annotator, WriteResult
from halo_engine.chunks import chunks
from halo_engine.schema import Failure, FrozenModel
from halo_engine.store import TraceStore
from halo_integrations.annotations import annotations_of, configs_of
from halo_integrations.pipeline.progress import OnProgress, Progress, silent
from halo_integrations.runs import Receipt, ReceiptState, Run, Stage

WRITE_BATCH = 100
# A platform may show what it accepted only after a while (Langfuse Cloud: up to 30 s).
READ_BACK_SECONDS = 60
READ_BACK_PAUSE = wait_exponential(0.25, max=5)

NOT_SHOWN = (
    "Accepted, but not shown as it was sent within {:g} s. A rule of the platform may have refused "
    "it later (in Langfuse: a score config of that name); undo takes back what still appears."
)

# An annotation's identity, and what should stand there (None: nothing).
Wanted = tuple[Annotation, Annotation | None]
Key = tuple[str, str, str, str]
Receipts = Mapping[Key, Receipt]


class Annotated(FrozenModel):
    """What writing came to: ``confirmed`` of ``total`` were read back as they were sent."""

    total: int
    confirmed: int
    failures: tuple[Failure, ...] = ()


def planned(run: Run) -> list[Annotation]:
    """What ``annotate`` would write; only ever on traces that this run has read."""
    with TraceStore(run.store_path, read_only=True) as store:
        return annotations_of(run.report, run.id, store.roots())


def annotate(
    run: Run,
    adapter: Annotator,
    annotations: Sequence[Annotation],
    on_progress: OnProgress = silent,
    *,
    batch: int = WRITE_BATCH,
    retry_timeout: float = READ_BACK_SECONDS,
) -> Annotated:
    """Write ``annotations``, ``batch`` at a time, read them back, and keep a receipt of each.

    ``retry_timeout`` is how many seconds the platform may take to show what it accepted.
    """
    for config in configs_of(annotations):
        run.add_configs(adapter.ensure_configs([config]))
    known = run.receipts()
    outcome: list[WriteResult] = []
    for part in chunks(annotations, batch):
        outcome += write(run, adapter, part, known)
        on_progress(annotations_progress("Annotating", len(outcome), len(annotations)))
    run.update(stage=Stage.ANNOTATED)
    accepted = [w.annotation for w in outcome if not w.error]
    missing = unsettled(adapter, [(a, a) for a in accepted], retry_timeout)
    refused = [w for w in outcome if w.error]
    lost = [WriteResult(annotation=a, error=NOT_SHOWN.format(retry_timeout)) for a in missing]
    return Annotated(
        total=len(annotations),
        confirmed=len(accepted) - len(missing),
        failures=tuple(failure_of(w, "annotate") for w in (*refused, *lost)),
    )


def annotations_progress(step: str, done: int, total: int) -> Progress:
    """Progress counted in annotations."""
    return Progress(step=step, done=done, total=total, unit="annotations")


def write(
    run: Run, adapter: Annotator, batch: Sequence[Annotation], known: Receipts
) -> list[WriteResult]:
    """Write one batch: note what stands there, write, note what came of it.

    ``known`` are the receipts of an earlier call. Where its writing still stands, undo gives back
    what stood there before that; anywhere else, what stands there now.
    """
    previous = {
        annotation.key: known[annotation.key].previous
        if run_of(stored) == run.id and annotation.key in known
        else stored
        for annotation, stored in zip(batch, adapter.fetch_annotations(batch), strict=True)
    }
    run.add_receipts(receipt(a, ReceiptState.PLANNED, previous[a.key]) for a in batch)
    written = adapter.write_annotations(batch)
    run.add_receipts(
        receipt(
            w.annotation,
            ReceiptState.FAILED if w.error else ReceiptState.WRITTEN,
            previous[w.annotation.key],
            w.error,
        )
        for w in written
    )
    return written


def unsettled(
    adapter: Annotator, wanted: Sequence[Wanted], retry_timeout: float
) -> list[Annotation]:
    """Those whose identity does not hold what is wanted there.

    A platform may take a moment to show a change: ask again for what is missing until nothing is,
    or ``retry_timeout`` is at an end.
    """
    left = list(wanted)

    def look() -> list[Annotation]:
        found = adapter.fetch_annotations([annotation for annotation, _ in left])
        left[:] = [w for w, stands in zip(left, found, strict=True) if stands != w[1]]
        return [annotation for annotation, _ in left]

    return Retrying(
        retry=retry_if_result(bool),
        wait=READ_BACK_PAUSE,
        stop=stop_after_delay(retry_timeout),
        retry_error_callback=last_result,
    )(look)


def last_result(state: RetryCallState) -> list[Annotation]:
    """What the last try gave; an error of the platform is raised."""
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
    """A receipt of now."""
    return Receipt(
        at=datetime.now(UTC), state=state, annotation=annotation, previous=previous, error=error
    )


def failure_of(written: WriteResult, stage: str) -> Failure:
    """A refused annotation as an entry of the list that the user sees."""
    annotation = written.annotation
    where = f"{annotation.name} on {annotation.span_id or annotation.trace_id}"
    return Failure(stage=stage, where=where, what=written.error or "")


def run_of(annotation: Annotation | None) -> str | None:
    """The run that wrote an annotation."""
    return annotation.metadata.get("run_id") if annotation else None
