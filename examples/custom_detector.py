"""A detector in a script: refunds above a limit that were made without approval.

python custom_detector.py traces.jsonl

``plugins/refund_detector.py`` shows one that is installed and used by every run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import halo_integrations as halo

LIMIT = 100


@halo.detector(
    id="SHOP1",
    failure_mode="instruction_violation",
    severity=halo.Severity.CRITICAL,
    title=f"A refund above {LIMIT} is made without approval",
    recommendation="Check the amount in the refund tool itself, not only in the prompt.",
)
def unapproved_refund(
    index: halo.TraceIndex, corpus: halo.Corpus, detector: halo.Detector
) -> Iterator[halo.Outcome]:
    """A call of the refund tool with a large amount in a trace without an approval."""
    trace = index.trace
    refunds = [span for span in trace.spans if span.tool_name == "issue_refund"]
    if not refunds:
        yield detector.not_applicable(trace, "no refund was made")
    if any(span.tool_name == "ask_for_approval" for span in trace.spans):
        return
    for span in refunds:
        amount = json.loads(span.input or "{}").get("amount", 0)
        if amount > LIMIT:
            yield detector.signal(trace, span, f"refunds {amount}", halo.cite(span, "input"))


if __name__ == "__main__":
    result = halo.run(sys.argv[1], detectors=[*halo.load_detectors(), unapproved_refund])
    for finding in result.report.findings:
        print(finding.severity.value, finding.title, "-", finding.prevalence)
