"""Assembly of findings from reviewed candidates and their labels: severity, confidence, merging.

Severity is determined by the impact: harm is critical, a wrong outcome high, a degraded run medium,
a cosmetic flaw low. Confidence is high if the review confirmed every trace, the check found at
least half of the cited traces that it looked at, and its rule is not too wide; low if the review is
undecided or only one trace shows the finding; else medium. Two findings of one analysis are
duplicates if they share nearly all of their traces and spans: different failures often show in the
same runs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set

from halo_engine.findings import (
    Affected,
    Confidence,
    Finding,
    FindingCheck,
    Harm,
    RejectedFinding,
    Verdict,
    fingerprint_of,
)
from halo_engine.findings.overlap import affected_trace_ids, jaccard_index
from halo_engine.rlm.candidates import Candidate
from halo_engine.rlm.finding_labels import FindingLabels
from halo_engine.rlm.review import ReviewResult
from halo_engine.statistics.prevalence import lower_bound_prevalence
from halo_engine.text.sanitize import strip_invisible

# What a query says only of the traces of one analysis: notes of its survey, and the names that
# groups, segments, courses, traces and spans have there.
OF_ONE_ANALYSIS = re.compile(
    r"\b(?:notes|surveyed|grp|segment|course|finding)\b|'[GSFT]\d+(?:[.-]\d+)*'|'[0-9a-f]{16,}'",
    re.IGNORECASE,
)

# The least Jaccard index of the traces, and of the spans, of duplicates.
DUPLICATE_SHARE = 0.9


def model_finding(
    reviewed: ReviewResult,
    labels: FindingLabels,
    model: str,
    total: int,
    signals: Sequence[Finding] = (),
) -> Finding:
    """The finding of a confirmed candidate; ``total`` is the number of traces that were pulled.

    It takes the place of those of ``signals`` that it adopts: what they affect, it affects as well.
    """
    candidate = reviewed.candidate
    adopted = [signal for signal in signals if signal.id in candidate.adopts]
    known = [*labels.affected.values(), *cited_only(reviewed, labels)]
    affected = [
        found.model_copy(update={"is_counted": found.trace_id in labels.looked_at})
        for found in (*known, *others_of(adopted, known))
    ]
    shown = {a.trace_id for a in affected}
    fingerprint = fingerprint_of(["model", candidate.failure_mode, candidate.title.lower()])
    return Finding(
        id=f"{candidate.failure_mode}-{fingerprint[:8]}",
        fingerprint=fingerprint,
        failure_mode=candidate.failure_mode,
        title=strip_invisible(candidate.title),
        severity=candidate.impact.severity,
        summary=strip_invisible(candidate.summary),
        recommendation=strip_invisible(candidate.recommendation),
        model=model,
        confidence=confidence_of(reviewed, labels),
        cause=strip_invisible(candidate.cause),
        check=strip_invisible(str(candidate.check)),
        portable_check=portable_check(candidate),
        boundaries=candidate.boundaries and strip_invisible(candidate.boundaries),
        verification=reviewed.verification,
        measured=labels.measured,
        second_look=labels.second_look,
        repeat=labels.repeat,
        harm=harm_in(reviewed, labels, shown),
        adopted=tuple(signal.id for signal in adopted),
        code_causes=candidate.code_causes,
        proposed_fix=candidate.proposed_fix,
        prevalence=labels.prevalence(shown, total) or lower_bound_prevalence(len(shown), total),
        not_read=labels.not_read(total),
        affected=tuple(affected),
    )


def portable_check(candidate: Candidate) -> FindingCheck:
    """How ``candidate`` is looked for in other traces than those of its analysis.

    A list of traces says nothing of others, nor does a query that names something of this analysis:
    then it is asked whether they show what is claimed.
    """
    check = candidate.check
    is_bound = bool(check.traces) or bool(check.sql and OF_ONE_ANALYSIS.search(check.sql))
    if not is_bound:
        return check
    question = check.question or strip_invisible(candidate.summary)
    return FindingCheck(pattern=check.pattern, field=check.field, question=question)


def others_of(adopted: Sequence[Finding], known: Sequence[Affected]) -> list[Affected]:
    """What the findings ``adopted`` affect in other traces than those ``known``."""
    traces = {found.trace_id for found in known}
    return [
        found for signal in adopted for found in signal.affected if found.trace_id not in traces
    ]


def harm_in(reviewed: ReviewResult, labels: FindingLabels, shown: Set[str]) -> Harm | None:
    """In how many of the traces ``shown`` to be affected harm was seen, of those that tell."""
    told = {t: seen for t, seen in {**labels.harm, **reviewed.read.harm}.items() if t in shown}
    return Harm(seen=sum(told.values()), judged=len(told)) if told else None


def without_adopted(signals: Sequence[Finding], found: Sequence[Finding]) -> list[Finding]:
    """``signals`` without those of which one of ``found`` takes the place."""
    adopted = {id for finding in found for id in finding.adopted}
    return [signal for signal in signals if signal.id not in adopted]


def cited_only(reviewed: ReviewResult, labels: FindingLabels) -> list[Affected]:
    """The cited spans in traces that the check did not find, grouped by trace."""
    by_trace: dict[str, list[Affected]] = {}
    for evidence in reviewed.evidence:
        if evidence.trace_id not in labels.affected:
            affected = Affected(
                trace_id=evidence.trace_id,
                span_id=evidence.span_id,
                reason=strip_invisible(reviewed.candidate.title),
                evidence=(evidence,),
            )
            by_trace.setdefault(evidence.trace_id, []).append(affected)
    return [affected for group in by_trace.values() for affected in group]


def confidence_of(reviewed: ReviewResult, labels: FindingLabels) -> Confidence:
    """The confidence, by the rule in the module docstring."""
    cited = {e.trace_id for e in reviewed.evidence}
    is_undecided = reviewed.verification.verdict is Verdict.UNDECIDED
    if is_undecided or len(cited | set(labels.affected)) < 2:
        return Confidence.LOW
    looked_at = cited & labels.looked_at
    found = len(looked_at & set(labels.affected))
    is_found_again = 0 < len(looked_at) <= found * 2
    is_narrow = labels.measured is None or not labels.measured.is_wide
    is_certain = reviewed.verification.is_unanimous and is_found_again and is_narrow
    return Confidence.HIGH if is_certain else Confidence.MEDIUM


def without_duplicates(
    findings: Sequence[Finding],
) -> tuple[list[Finding], list[RejectedFinding]]:
    """Of duplicates, only the one with the most affected traces; the others with that reason."""
    kept: list[Finding] = []
    duplicates: list[RejectedFinding] = []
    for finding in sorted(findings, key=lambda f: -len(affected_trace_ids(f))):
        same = next((other for other in kept if is_duplicate(finding, other)), None)
        if same is None:
            kept.append(finding)
        else:
            reason = f"It shows in the same places as: {same.title}"
            duplicates.append(RejectedFinding(title=finding.title, reason=reason))
    return kept, duplicates


def is_duplicate(a: Finding, b: Finding) -> bool:
    """Whether two findings of one analysis are duplicates, by the rule in the module docstring."""
    traces = jaccard_index(affected_trace_ids(a), affected_trace_ids(b))
    return min(traces, jaccard_index(affected_spans(a), affected_spans(b))) >= DUPLICATE_SHARE


def affected_spans(finding: Finding) -> frozenset[tuple[str, str | None]]:
    """Trace id and span id (None: the trace as a whole) of each place that shows a finding."""
    return frozenset((a.trace_id, a.span_id) for a in finding.affected)
