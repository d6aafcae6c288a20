"""A detector whose failure mode is not in the catalogue."""

from __future__ import annotations

from collections.abc import Iterator

from halo_engine.detectors import Corpus, Detector, Outcome, TraceIndex, detector
from halo_engine.findings import Severity


@detector(
    id="ACME8",
    failure_mode="refund_fraud",
    severity=Severity.LOW,
    title="Something was found",
    recommendation="Look at it.",
)
def rule(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A rule that is never loaded."""
    yield from ()
