"""Grouping of a detector's signals into findings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from halo_engine.detectors.base import Detector, Signal
from halo_engine.findings import Affected, Evidence, Finding, fingerprint_of
from halo_engine.statistics.prevalence import prevalence_of
from halo_engine.text.templates import message_template


@dataclass(frozen=True)
class VerifiedSignal:
    """A signal with those of its quotes that were found in the trace."""

    signal: Signal
    evidence: tuple[Evidence, ...]


def group_into_findings(
    detector: Detector, signals: Sequence[VerifiedSignal], *, judged: int, total: int
) -> list[Finding]:
    """One finding for all ``signals`` with the same failure mode, tool and masked message.

    ``judged`` counts the traces that ``detector`` could judge, ``total`` all traces.
    """
    groups: dict[tuple[str, ...], list[VerifiedSignal]] = defaultdict(list)
    for verified in signals:
        signal = verified.signal
        key = signal.failure_mode, signal.tool or "", message_template(signal.message or "")
        groups[key].append(verified)
    return [make_finding(detector, group, judged, total) for group in groups.values()]


def make_finding(
    detector: Detector, group: Sequence[VerifiedSignal], judged: int, total: int
) -> Finding:
    """The finding of a group of signals: its severity is the worst among them."""
    first = group[0].signal
    message = message_template(first.message) if first.message else None
    fingerprint = fingerprint_of([detector.name, first.failure_mode, first.tool, message])
    affected = affected_of(group)
    traces = len({a.trace_id for a in affected})
    return Finding(
        id=f"{first.failure_mode}-{fingerprint[:8]}",
        fingerprint=fingerprint,
        failure_mode=first.failure_mode,
        title=detector.title_for(first.tool or "a step", message or ""),
        severity=min((v.signal.severity for v in group), key=lambda s: s.rank),
        summary=first.reason,
        recommendation=detector.recommendation,
        detector=detector.name,
        tool=first.tool,
        message=message,
        prevalence=prevalence_of(traces, judged, total),
        affected=affected,
    )


def affected_of(group: Sequence[VerifiedSignal]) -> tuple[Affected, ...]:
    """The affected spans of a group, each once, with the evidence of all its signals."""
    by_span: dict[tuple[str, str | None], list[VerifiedSignal]] = defaultdict(list)
    for verified in group:
        by_span[verified.signal.trace_id, verified.signal.span_id].append(verified)
    return tuple(
        Affected(
            trace_id=trace_id,
            span_id=span_id,
            reason=signals[0].signal.reason,
            evidence=tuple(dict.fromkeys(e for v in signals for e in v.evidence)),
        )
        for (trace_id, span_id), signals in by_span.items()
    )


def importance(finding: Finding) -> tuple[bool, int, int, str]:
    """Sort key of findings: failures of the agent first; of them the most severe, the most common.

    Where all that is equal, by id.
    """
    return (
        finding.is_recording_gap,
        finding.severity.rank,
        -finding.prevalence.affected,
        finding.id,
    )
