"""Traces from a source into the folder of a run."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from halo_adapters.base import Source
from halo_engine.store import TraceStore
from halo_integrations.pipeline.progress import OnProgress, Progress, silent
from halo_integrations.runs import Run, Stage


def pull(source: Source, run: Run, on_progress: OnProgress = silent) -> None:
    """Read what ``run`` asks for into its store; goes on where an earlier call was cut off.

    While one page is written to disk the next is read, and no further: what was read is on disk
    when the page after the next is asked for, and when an error comes.
    """
    with TraceStore(run.store_path) as store, ThreadPoolExecutor(1) as writer:
        held = store.trace_ids()
        query = run.record.query.model_copy(update={"already_stored": held})
        done = len(held)
        writing: Future[int] | None = None
        for page in source.pull(query):
            if writing:
                writing.result()
            writing = writer.submit(store.ingest, page.traces)
            run.add_failures(page.failures)
            done += len(page.traces)
            on_progress(pull_progress(page.read, page.size, done, page.total))
        if writing:
            writing.result()
        overview = store.overview()
    run.update(
        stage=Stage.PULLED,
        traces=overview.traces,
        spans=overview.spans,
        pull_failures=len(run.failures()),
    )


def pull_progress(read: int | None, size: int | None, done: int, total: int | None) -> Progress:
    """Bytes where the source counts in bytes, else traces."""
    if size is not None:
        return Progress(step="Reading traces", done=read or 0, total=size, unit="bytes")
    return Progress(step="Reading traces", done=done, total=total, unit="traces")
