"""Runs, findings and what was counted as rows of JSON, for agents to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from halo_engine.failure_modes import meaning_of
from halo_engine.findings import Affected, Finding
from halo_engine.issues import Issue
from halo_engine.sides.comparison import ComparedIssue
from halo_engine.sides.sentences import difference_text, verdict_word
from halo_integrations.cli.issue_view import issue_row
from halo_integrations.state.values import RunRecord

# Of the traces that show a finding: in a list, with evidence, by id.
EXAMPLE_TRACES, PROVEN_TRACES, NAMED_TRACES = 3, 5, 50
QUOTES = 3
ISSUE_COLUMNS = ("issue", "state", "severity", "title", "traces", "share", "last_seen")


def listed_run(record: RunRecord) -> dict[str, Any]:
    """A run as a row."""
    return {
        "run": record.id,
        "source": record.source,
        "of": record.request.get("location"),
        "at": f"{record.created_at:%Y-%m-%d %H:%M} UTC",
        "stage": record.stage,
        "traces": record.traces,
        "findings": record.findings,
    }


def listed_finding(finding: Finding) -> dict[str, Any]:
    """A finding as a row, with the first traces that show it."""
    return {
        "finding": finding.id,
        "severity": finding.severity,
        "title": finding.title,
        "failure_mode": finding.failure_mode,
        "traces": finding.prevalence.counts,
        "share": finding.prevalence.interval,
        "found_by": finding.found_by,
        "issue": str(finding.issue) if finding.issue else None,
        "examples": example_traces(finding),
    }


def finding_rows(finding: Finding) -> Iterator[dict[str, Any]]:
    """All of a finding: what is said of it, then its evidence, then the traces that show it."""
    told = {
        **listed_finding(finding),
        "means": meaning_of(finding.failure_mode),
        "what": finding.summary,
        "cause": finding.cause,
        "in_the_code": [f"{line}: {line.text}" for line in finding.code_causes],
        "defined_at": [f"{line}: {line.text}" for line in finding.defined_at],
        "proposed_fix": finding.proposed_fix,
        "what_to_do": finding.recommendation,
        "what_counts": finding.boundaries,
        "check": finding.check,
        "verification": finding.verification and str(finding.verification),
        "rule_measured": finding.measured and str(finding.measured),
        "harm": finding.harm and str(finding.harm),
    }
    yield {name: value for name, value in told.items() if value and name != "examples"}
    first: dict[str, Affected] = {}
    for affected in finding.affected:
        first.setdefault(affected.trace_id, affected)
    yield from map(proven_row, list(first.values())[:PROVEN_TRACES])
    yield {"shown_by": len(first), "the_first": list(first)[:NAMED_TRACES]}


def proven_row(affected: Affected) -> dict[str, Any]:
    """What happened in a trace, with the first quotes that prove it."""
    return {
        "trace": affected.trace_id,
        "span": affected.span_id,
        "happened": affected.reason,
        "quotes": [
            {"span": cited.span_id, "field": cited.field, "quote": cited.quote}
            for cited in affected.evidence[:QUOTES]
        ],
    }


def listed_issue(issue: Issue) -> dict[str, Any]:
    """A known issue as a row, as the command line lists it."""
    return dict(zip(ISSUE_COLUMNS, issue_row(issue), strict=True))


def compared_issue(each: ComparedIssue) -> dict[str, Any]:
    """A failure on both sides as a row."""
    finding = each.finding
    return {
        "verdict": verdict_word(each.difference),
        "issue": finding.issue.id if finding.issue else None,
        "severity": finding.severity,
        "title": finding.title,
        "base": str(each.base),
        "head": str(each.head),
        "points": difference_text(each.difference),
        "head_examples": example_traces(finding),
    }


def example_traces(finding: Finding) -> list[str]:
    """The first traces that show a finding."""
    traces = dict.fromkeys(affected.trace_id for affected in finding.affected)
    return list(traces)[:EXAMPLE_TRACES]


def example_rows(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The examples of a rule as rows of one form."""
    for row in result["beyond_evidence"]:
        yield {"holds": True, **row}
    for row in result["near_misses"]:
        yield {"holds": False, **row}
