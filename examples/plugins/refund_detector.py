"""A detector as a distribution of its own provides it: refunds that were made without approval.

The distribution registers it by an entry point in its ``pyproject.toml``, after which every run
uses it, and ``halo.toml`` can configure it under ``[detectors.unapproved_refund]``:

    [project.entry-points."halo_integrations.detectors"]
    unapproved_refund = "refund_detector:unapproved_refund"
"""

from __future__ import annotations

from collections.abc import Iterator

import halo_integrations as halo


@halo.detector(
    id="SHOP1",
    failure_mode="instruction_violation",
    severity=halo.Severity.CRITICAL,
    title="Refunds are made without approval",
    recommendation="Check the approval in the refund tool itself, not only in the prompt.",
)
def unapproved_refund(
    index: halo.TraceIndex, corpus: halo.Corpus, detector: halo.Detector
) -> Iterator[halo.Outcome]:
    """A successful run of the refund tool in a trace without a run of the approval tool."""
    refunds = [run for run in index.runs_by_tool.get("issue_refund", []) if not run.failed]
    if not refunds:
        yield detector.not_applicable(index.trace, "no refund was made")
    elif "ask_for_approval" not in index.runs_by_tool:
        for run in refunds:
            yield detector.signal(index.trace, run.span, "no approval", run.cite(), tool=run.tool)
