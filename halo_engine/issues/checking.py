"""The checks of known issues, applied to the traces of a store without an analyst."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from halo_engine.comparison import compare_corpus
from halo_engine.comparison.tables import write_tables
from halo_engine.findings import Finding, Report, Severity
from halo_engine.issues.checked import CheckedIssues, is_rule
from halo_engine.issues.issue import Issue
from halo_engine.rlm.candidates import Candidate, Impact
from halo_engine.rlm.checks import CheckRules
from halo_engine.rlm.finding_labels import FindingLabels
from halo_engine.rlm.rule_labels import apply_rules
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.statistics.prevalence import lower_bound_prevalence
from halo_engine.store import TraceStore

# Tables that are not of the store itself: they have to be made before a query can read them.
DERIVED = re.compile(r"\b(?:runs|calls|words|departures)\b", re.IGNORECASE)


def check_by_rule(issues: Iterable[Issue], store: TraceStore, signals: Report) -> CheckedIssues:
    """Apply the rules of ``issues`` that a model found, those that put no question to a model.

    ``signals`` is the report of the detectors on the store.
    """
    by_rule = [issue for issue in issues if is_rule(issue)]
    if not by_rule:
        return CheckedIssues()
    short_ids = ShortIds(store)
    write_derived_tables(by_rule, store, signals, short_ids)
    labelled, failures = apply_rules(
        [candidate_of(issue) for issue in by_rule], CheckRules(store), short_ids
    )
    return CheckedIssues(checked_findings(by_rule, labelled, signals.traces), failures)


def write_derived_tables(
    issues: Iterable[Issue], store: TraceStore, signals: Report, short_ids: ShortIds
) -> None:
    """Derive the tables that the queries of ``issues`` read, if any does."""
    if any(DERIVED.search(check_sql(issue)) for issue in issues):
        corpus = compare_corpus(store, signals)
        write_tables(store, corpus, short_ids.name, short_ids.span_names)


def checked_findings(
    issues: Sequence[Issue], labelled: Sequence[FindingLabels], total: int
) -> dict[str, Finding]:
    """What the check of each issue found in ``total`` traces, by the id of the issue."""
    return {
        issue.id: checked_finding(issue.finding, labels, total)
        for issue, labels in zip(issues, labelled, strict=True)
        if not labels.unchecked
    }


def checked_finding(known: Finding, labels: FindingLabels, total: int) -> Finding:
    """``known`` as its check finds it in other traces than it was found in."""
    shown = frozenset(labels.affected)
    affected = tuple(
        found.model_copy(update={"is_counted": found.trace_id in labels.looked_at})
        for found in labels.affected.values()
    )
    prevalence = labels.prevalence(shown, total) or lower_bound_prevalence(len(shown), total)
    return known.model_copy(
        update={
            **{"affected": affected, "prevalence": prevalence, "not_read": labels.not_read(total)},
            # These are of the traces that it was found in.
            **dict.fromkeys(("verification", "measured", "second_look", "repeat", "harm")),
            "adopted": (),
        }
    )


def check_sql(issue: Issue) -> str:
    """The query of its check; "" where it has none."""
    check = issue.finding.portable_check
    return (check and check.sql) or ""


def candidate_of(issue: Issue) -> Candidate:
    """An issue as what is to be labelled, under its own id."""
    finding = issue.finding
    assert finding.portable_check is not None
    return Candidate(
        id=issue.id,
        title=finding.title,
        failure_mode=finding.failure_mode,
        summary=finding.summary,
        cause=finding.cause or "",
        recommendation=finding.recommendation,
        impact=list(Impact)[list(Severity).index(finding.severity)],
        evidence=(),
        check=finding.portable_check,
        boundaries=finding.boundaries,
    )
