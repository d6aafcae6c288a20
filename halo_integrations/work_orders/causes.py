"""Which issues are one work order: those of one run that probably have one cause.

Two have, where a model named the same line of code as their cause; where they are the same failure
with another tool, or in another argument; or where they show in the same traces, by the same tool or
at the same step. The same traces are those of which half or more, and at least three, show both.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from halo_engine.detectors.tool_calls import declared_types
from halo_engine.findings import Finding

LEAST_OVERLAP = 0.5
LEAST_SHARED = 3


def of_one_cause(findings: Mapping[str, Finding]) -> list[list[str]]:
    """The ids of ``findings``, those together that probably have one cause, in their order."""
    groups: list[list[str]] = []
    for issue_id, finding in findings.items():
        joined = [
            group
            for group in groups
            if any(reason_together(finding, findings[other]) for other in group)
        ]
        groups = [group for group in groups if group not in joined]
        groups.append([*(each for group in joined for each in group), issue_id])
    return groups


def reason_together(a: Finding, b: Finding) -> str | None:
    """Why ``a`` and ``b`` probably have one cause; None where nothing says so."""
    places = {str(line) for line in a.code_causes}
    same_line = next((str(line) for line in b.code_causes if str(line) in places), None)
    if same_line:
        return f"the same line causes it: {same_line}"
    if is_same_failure(a, b):
        return "the same failure with another tool"
    if types := of_other_type(a, b):
        return f"the same failure in another argument: it is not of type {' or '.join(types)}"
    return reason_in_traces(a, b)


def is_same_failure(a: Finding, b: Finding) -> bool:
    """Whether they differ by their tool only."""
    is_same = (a.detector, a.failure_mode) == (b.detector, b.failure_mode)
    return is_same and bool(a.group_title) and a.group_title == b.group_title


def of_other_type(a: Finding, b: Finding) -> list[str]:
    """The types, where both are arguments that a model gives another type than the same declared."""
    if (a.detector, a.failure_mode) != (b.detector, b.failure_mode):
        return []
    types = declared_types(a.message)
    return sorted(types) if types == declared_types(b.message) else []


def reason_in_traces(a: Finding, b: Finding) -> str | None:
    """That they show in the same traces, by the same tool or at the same step."""
    in_a, in_b = affected_traces(a), affected_traces(b)
    if not overlap(in_a, in_b):
        return None
    shared = f"in the same traces ({len(in_a & in_b):,} of {len(in_a | in_b):,} show both)"
    if a.tool and a.tool == b.tool:
        return f"{shared}, by the same tool, {a.tool}"
    return f"{shared}, at the same step" if overlap(affected_steps(a), affected_steps(b)) else None


def overlap(a: Collection[str], b: Collection[str]) -> bool:
    """Whether at least ``LEAST_SHARED`` and a share of ``LEAST_OVERLAP`` of all are in both."""
    both = len(set(a) & set(b))
    return both >= max(LEAST_SHARED, LEAST_OVERLAP * len(set(a) | set(b)))


def affected_traces(finding: Finding) -> set[str]:
    """The traces that it affects."""
    return {each.trace_id for each in finding.affected}


def affected_steps(finding: Finding) -> set[str]:
    """The steps that it affects."""
    return {f"{each.trace_id} {each.span_id}" for each in finding.affected if each.span_id}


def why_together(finding: Finding, others: Sequence[Finding]) -> str:
    """Why ``finding`` is in one work order with ``others``: for the first of these that says so."""
    reasons = (reason_together(finding, other) for other in others)
    return next(filter(None, reasons), "")
