"""A detector of your own: refunds above a limit that nobody approved.

python custom_detector.py traces.jsonl
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
    trace: halo.Trace, corpus: halo.Corpus, rule: halo.Detector
) -> Iterator[halo.Signal | halo.Suppressed]:
    """A call of the refund tool with a large amount in a trace without an approval."""
    refunds = [span for span in trace.spans if span.tool_name == "issue_refund"]
    if not refunds:
        yield rule.not_applicable(trace, "no refund was made")
    if any(span.tool_name == "ask_for_approval" for span in trace.spans):
        return
    for span in refunds:
        amount = json.loads(span.input or "{}").get("amount", 0)
        if amount > LIMIT:
            yield rule.signal(trace, span, f"refunds {amount}", halo.cite(span, "input"))


if __name__ == "__main__":
    result = halo.run(sys.argv[1], detectors=[*halo.DETECTORS, unapproved_refund])
    for finding in result.report.findings:
        print(finding.severity.value, finding.title, "-", finding.prevalence)
