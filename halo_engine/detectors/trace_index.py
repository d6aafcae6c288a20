"""Index of one trace: its views, and the outcome of the run that they show."""

from __future__ import annotations

from functools import cached_property

from halo_engine.detectors.run_outcome import RunOutcome, outcome_of_run
from halo_engine.detectors.trace_views import TraceViews


class TraceIndex(TraceViews):
    """What rules ask of one trace, each computed at its first use."""

    @cached_property
    def outcome(self) -> RunOutcome:
        """How the run ended, and what it answered."""
        return outcome_of_run(self)
