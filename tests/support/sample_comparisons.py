"""Comparisons for tests, in the form of those of the command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from halo_engine.findings import (
    CodeLine,
    DecisionKind,
    Finding,
    IssueMark,
    IssueState,
    Severity,
)
from halo_engine.schema import Failure
from halo_engine.sides import ComparedIssue, Comparison, NotCompared, SideTraces
from halo_engine.sides.compare import (
    BASE,
    HEAD,
    FoundOnSides,
    compared_issues,
    side_prevalence,
)
from sample_reports import affected, finding, trace_ids

TRACES = 100
BASE_IDS, HEAD_IDS = trace_ids(2 * TRACES)[:TRACES], trace_ids(2 * TRACES)[TRACES:]
MEMBERS: Mapping[str, Sequence[str]] = {BASE: BASE_IDS, HEAD: HEAD_IDS}
PLACE = CodeLine(path="shop/my tools.py", line=12, text='raise Locked("order is locked")')
ELSEWHERE = CodeLine(path="shop/agent.py", line=40, text="reply(answer)")


def shown(name: str, on_base: int, on_head: int, **changes: object) -> Finding:
    """A failure that shows in so many traces of each side."""
    places = [affected(t) for t in (*BASE_IDS[:on_base], *HEAD_IDS[:on_head])]
    fields = {
        "id": f"tool_error_mishandled-{name}",
        "fingerprint": f"{name:0>16}",
        "title": f"The failure called {name}",
        **changes,
    }
    return finding(*places, analysed=2 * TRACES, total=2 * TRACES, **fields)


def mark(number: int, decision: DecisionKind | None = None) -> IssueMark:
    """A known issue."""
    return IssueMark(id=f"HALO-{number}", state=IssueState.ONGOING, decision=decision)


def compared(*findings: Finding) -> tuple[ComparedIssue, ...]:
    """``findings`` on both sides, of which every trace was judged."""
    base, head = MEMBERS[BASE], MEMBERS[HEAD]
    found = [
        FoundOnSides(each, side_prevalence(each, TRACES, base), side_prevalence(each, TRACES, head))
        for each in findings
    ]
    return compared_issues(found, frozenset(head))


def comparison(*findings: Finding, **changes: object) -> Comparison:
    """A comparison of ``findings``."""
    fields = {
        "base": SideTraces(
            name="release=1",
            traces=TRACES,
            first=datetime(2026, 1, 1, 8, tzinfo=UTC),
            last=datetime(2026, 1, 2, 8, tzinfo=UTC),
        ),
        "head": SideTraces(name="release=2", traces=TRACES),
        "issues": compared(*findings),
        **changes,
    }
    return Comparison.model_validate(fields)


def full_comparison() -> Comparison:
    """Every verdict, a muted regression, what was not compared, and what failed."""
    return comparison(
        shown("new", 0, 30, severity=Severity.CRITICAL, issue=mark(1), code_causes=(PLACE,)),
        shown("worse", 10, 40, severity=Severity.MEDIUM, defined_at=(ELSEWHERE, PLACE)),
        shown("gone", 30, 0, defined_at=(PLACE,)),
        shown("better", 40, 10, severity=Severity.LOW, defined_at=(PLACE,)),
        shown("unchanged", 60, 60, defined_at=(PLACE,)),
        shown("unclear", 1, 3),
        shown("muted", 0, 30, issue=mark(2, DecisionKind.MUTED), defined_at=(PLACE,)),
        not_compared=(
            NotCompared(issue_id="HALO-9", title="The answer is rude", reason="it is asked"),
        ),
        failures=(Failure(stage="labelling", where="HALO-8", what="its rule failed: no table"),),
    )
