"""One pass over what is read: traces are made of a batch, masked, judged and packed, in any process.

A batch is as large as a page of its source, so memory is bounded. What is made of one depends on no
other, so that the result is the same wherever, and in whatever order, they are scanned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

from msgspec import structs

from halo_adapters.base import Batch, LazyBatch, Scan, Scanned
from halo_engine.detectors.verdicts import DetectionPlan, PackedVerdicts, verdicts_on
from halo_engine.executors import Executor
from halo_engine.schema import Trace
from halo_engine.store.union import united_traces
from halo_engine.timings import Timings
from halo_integrations.protection import ProtectionKey, protection_by

P = TypeVar("P")


class Scanner(NamedTuple, Generic[P]):
    """What is done with each batch.

    ``protection`` is what its traces pass through, ``plan`` how they are judged (None: not now), and
    ``pack`` makes of them, as ``united_traces`` gives them, what their destination takes.
    """

    protection: ProtectionKey
    pack: Callable[[Sequence[Trace]], P]
    plan: DetectionPlan | None = None


class Packed(NamedTuple, Generic[P]):
    """The traces of a batch: their number, what is to be stored of them, and the verdicts on them.

    ``timings`` are what that took.
    """

    traces: int
    content: P
    verdicts: PackedVerdicts | None
    timings: Timings


class Unit(NamedTuple, Generic[P]):
    """A batch and what is done with it."""

    batch: Batch
    scanner: Scanner[P]

    def __str__(self) -> str:
        return str(self.batch)


def scan_by(executor: Executor, scanner: Scanner[P]) -> Scan[Packed[P]]:
    """What scans batches in the processes of ``executor``."""

    def scan(batches: Iterable[Batch]) -> Iterator[Scanned[Packed[P]]]:
        given = batches if executor.shares_disk else map(off_disk, batches)
        return executor.map(scan_unit, (Unit(batch, scanner) for batch in given))

    return scan


def off_disk(batch: Batch) -> Batch:
    """``batch`` as another machine can decode it."""
    is_here = isinstance(batch, LazyBatch) and batch.is_on_disk
    return batch.decoded() if is_here else batch


def scan_unit(unit: Unit[P]) -> Scanned[Packed[P]]:
    """Make traces of a batch, mask them, judge them and pack them."""
    timings, scanner = Timings(), unit.scanner
    with timings.of("mapping"):
        page = unit.batch.decoded()
    with timings.of("masking"):
        protection = protection_by(scanner.protection)
        # Verdicts are on traces as they are stored.
        traces = united_traces({}, map(protection.trace, page.traces))
    plan = scanner.plan
    verdicts = PackedVerdicts.of(verdicts_on(traces, plan)) if plan else None
    with timings.of("packing"):
        content = scanner.pack(traces)
    rest = structs.replace(page, traces=())
    return Scanned(page=rest, result=Packed(len(traces), content, verdicts, timings))
