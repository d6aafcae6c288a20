"""From reviewed candidates and their labels to findings: severity, confidence, duplicates.

Severity follows from the impact alone: harm is critical, a wrong outcome high, a degraded run
medium, looks low. Confidence is high where the second look confirmed every trace it read and the
check found at least half of the traces that were cited, low where there was no second look or only
one trace shows it, else medium. Two findings are one where they share most of their traces and
have the same failure mode, or share most of their spans, whatever they are called.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TypeVar

from halo_engine.findings import (
    Affected,
    Confidence,
    Finding,
    at_least,
    fingerprint_of,
)
from halo_engine.rlm.labelling import FindingLabels
from halo_engine.rlm.review import Reviewed
from halo_engine.rlm.transcript import redact_for_prompt

T = TypeVar("T")

SAME_SHARE = 0.6


def finding_of(reviewed: Reviewed, labels: FindingLabels, model: str, total: int) -> Finding:
    """The finding that a confirmed candidate makes."""
    candidate = reviewed.candidate
    affected = [*labels.affected.values(), *cited_only(reviewed, labels)]
    fingerprint = fingerprint_of(["model", candidate.failure_mode, candidate.title.lower()])
    return Finding(
        id=f"{candidate.failure_mode}-{fingerprint[:8]}",
        fingerprint=fingerprint,
        failure_mode=candidate.failure_mode,
        title=redact_for_prompt(candidate.title),
        severity=candidate.impact.severity,
        summary=redact_for_prompt(candidate.summary),
        recommendation=redact_for_prompt(candidate.recommendation),
        model=model,
        confidence=confidence_of(reviewed, labels),
        cause=redact_for_prompt(candidate.cause),
        check=redact_for_prompt(str(candidate.check)),
        prevalence=labels.prevalence(total) or at_least(len({a.trace_id for a in affected}), total),
        affected=tuple(affected),
    )


def cited_only(reviewed: Reviewed, labels: FindingLabels) -> list[Affected]:
    """The cited places in traces that the check did not name."""
    found: dict[str, list[Affected]] = {}
    for evidence in reviewed.confirmed:
        if evidence.trace_id not in labels.affected:
            place = Affected(
                trace_id=evidence.trace_id,
                span_id=evidence.span_id,
                reason=redact_for_prompt(reviewed.candidate.title),
                evidence=(evidence,),
            )
            found.setdefault(evidence.trace_id, []).append(place)
    return [place for places in found.values() for place in places]


def confidence_of(reviewed: Reviewed, labels: FindingLabels) -> Confidence:
    """How sure it is, by the rule above."""
    cited = {e.trace_id for e in reviewed.confirmed}
    if not reviewed.is_checked or len(cited | set(labels.affected)) < 2:
        return Confidence.LOW
    again = len(cited & set(labels.affected)) * 2 >= len(cited)
    return Confidence.HIGH if reviewed.is_unanimous and again else Confidence.MEDIUM


def merged(findings: Sequence[Finding]) -> list[Finding]:
    """``findings`` without those that say the same as one that more traces show."""
    kept: list[Finding] = []
    for finding in sorted(findings, key=lambda f: -len(traces_of(f))):
        if not any(is_same(finding, other) for other in kept):
            kept.append(finding)
    return kept


def is_same(a: Finding, b: Finding) -> bool:
    """Whether two findings are one, by the rule above."""
    same_traces = overlap(traces_of(a), traces_of(b)) >= SAME_SHARE
    same_mode = a.failure_mode == b.failure_mode
    return same_traces and (same_mode or overlap(places_of(a), places_of(b)) >= SAME_SHARE)


def overlap(a: Set[T], b: Set[T]) -> float:
    """What two sets share of what either holds, 0 to 1 (the Jaccard index)."""
    return len(a & b) / max(1, len(a | b))


def reuse_fingerprints(findings: Sequence[Finding], earlier: Sequence[Finding]) -> list[Finding]:
    """``findings`` with the names that the same ones had in ``earlier`` runs over the same traces.

    A model finds other words each time. A finding of the same failure mode in mostly the same
    traces is the same: its annotations then replace the earlier ones.
    """
    left = [finding for finding in earlier if finding.model]
    named: list[Finding] = []
    for finding in findings:
        before = next((old for old in left if is_same(finding, old)), None)
        if before is None:
            named.append(finding)
            continue
        left.remove(before)
        names = {"id": before.id, "fingerprint": before.fingerprint}
        named.append(finding.model_copy(update=names))
    return named


def traces_of(finding: Finding) -> frozenset[str]:
    """The traces that show a finding."""
    return frozenset(a.trace_id for a in finding.affected)


def places_of(finding: Finding) -> frozenset[tuple[str, str | None]]:
    """The spans that show a finding."""
    return frozenset((a.trace_id, a.span_id) for a in finding.affected)
