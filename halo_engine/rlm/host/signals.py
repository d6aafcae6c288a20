"""The host function that lists what the deterministic detectors found."""

from __future__ import annotations

from typing import Any

from halo_engine.rlm.host.arguments import Name
from halo_engine.rlm.host.context import HostContext
from halo_engine.rlm.sandbox.base import HostFunction
from halo_engine.text.sanitize import strip_invisible

EXAMPLES, ALL_EXAMPLES = 5, 200


class SignalsListed:
    """The host function that lists the findings of detectors."""

    def __init__(self, context: HostContext) -> None:
        self._context = context
        self._short_ids = context.short_ids

    def functions(self) -> tuple[HostFunction, ...]:
        """The functions that code can call."""
        return (self.signals,)

    def signals(self, detector: Name | None = None) -> list[dict[str, Any]]:
        """The findings of the deterministic detectors, with more examples for a single one."""
        examples = ALL_EXAMPLES if detector else EXAMPLES
        return [
            {
                "detector": finding.detector,
                "failure_mode": finding.failure_mode,
                "title": strip_invisible(finding.title),
                "traces": finding.prevalence.known,
                "examples": [
                    self._short_ids.span_name(a.trace_id, a.span_id)
                    if a.span_id
                    else self._short_ids.name(a.trace_id)
                    for a in finding.affected[:examples]
                ],
            }
            for finding in self._context.signals.findings
            if detector in (None, finding.detector)
        ]
