"""The traces of a store, judged batch by batch, by whatever executor there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from functools import cache
from pathlib import Path
from typing import NamedTuple

from halo_engine.detectors.verdicts import DetectionPlan, Verdicts, verdicts_on
from halo_engine.executors import Executor
from halo_engine.schema import Trace
from halo_engine.store import TraceStore
from halo_engine.store.reading import batches
from halo_engine.store.views import TraceFilter

OnTraceDone = Callable[[int, int], None]


class StoredBatch(NamedTuple):
    """Traces of a ``store``, read-only, that any process on this machine can judge."""

    store: TraceStore
    trace_ids: tuple[str, ...]
    plan: DetectionPlan

    def __str__(self) -> str:
        return f"judging {len(self.trace_ids)} traces from {self.trace_ids[0]} on"

    def __reduce__(self) -> tuple[Callable[..., StoredBatch], tuple[object, ...]]:
        """Another process opens the store for itself."""
        return batch_of, (self.store.path, self.trace_ids, self.plan)

    def traces(self) -> Iterator[Trace]:
        """The traces, in the order of the store."""
        return self.store.traces(TraceFilter(ids=self.trace_ids))


class BatchInHand(NamedTuple):
    """Traces, ``read``, that a process on any machine can judge; ``name`` says which they are."""

    name: str
    read: tuple[Trace, ...]
    plan: DetectionPlan

    def __str__(self) -> str:
        return self.name

    def traces(self) -> Iterator[Trace]:
        """The traces, in the order of the store."""
        return iter(self.read)


def batch_of(path: Path, trace_ids: tuple[str, ...], plan: DetectionPlan) -> StoredBatch:
    """The batch of traces of the store at ``path``."""
    return StoredBatch(opened_store(path), trace_ids, plan)


@cache
def opened_store(path: Path) -> TraceStore:
    """The store at ``path``, which a worker has open until its end."""
    return TraceStore(path, read_only=True)


def stored_verdicts(
    store: TraceStore,
    plan: DetectionPlan,
    judged: Set[str],
    progress: OnTraceDone | None,
    executor: Executor,
) -> Iterator[Verdicts]:
    """The verdicts on all traces of ``store``, in its order, but for those that are ``judged``."""
    sizes = [(trace_id, size) for trace_id, size in store.trace_sizes() if trace_id not in judged]
    work = [StoredBatch(store, tuple(ids), plan) for ids in batches(sizes)]
    total, done = store.count(), len(judged)
    for batch, verdicts in zip(work, verdicts_by(executor, work), strict=True):
        yield verdicts
        done += len(batch.trace_ids)
        if progress:
            progress(done, total)


def verdicts_by(executor: Executor, work: Sequence[StoredBatch]) -> Iterator[Verdicts]:
    """The verdicts on the batches of a store, by ``executor`` unless the store is being written."""
    if not all(batch.store.read_only for batch in work):
        return map(verdicts_on_batch, work)
    if executor.shares_disk:
        return executor.map(verdicts_on_batch, work)
    in_hand = (BatchInHand(str(b), tuple(b.traces()), b.plan) for b in work)
    return executor.map(verdicts_on_batch, in_hand)


def verdicts_on_batch(batch: StoredBatch | BatchInHand) -> Verdicts:
    """The verdicts on ``batch``."""
    return verdicts_on(batch.traces(), batch.plan)
