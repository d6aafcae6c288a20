"""Findings and reports for tests, in the form of those of an analysis."""

from __future__ import annotations

from typing import Any

from halo_engine.findings import (
    Affected,
    Evidence,
    Finding,
    NotJudged,
    Report,
    Severity,
)
from halo_engine.schema import Failure
from halo_engine.statistics.prevalence import prevalence_of

PLATFORM = "http://phoenix.example:6006/redirects"


def link(trace_id: str, span_id: str | None) -> str:
    """Where the platform shows a trace, or a span of it."""
    return f"{PLATFORM}/spans/{span_id}" if span_id else f"{PLATFORM}/traces/{trace_id}"


def affected(
    trace_id: str = "0af7651916cd43dd8448eb211c80319c",
    quote: str = '{"error": "order 17 is locked"}',
    reason: str = "The call failed and the answer claims success.",
    field: str = "output",
) -> Affected:
    """One affected trace with one quote as evidence."""
    span_id = f"{trace_id[:8]}00000001"
    evidence = Evidence(trace_id=trace_id, span_id=span_id, field=field, quote=quote, offset=0)
    return Affected(trace_id=trace_id, span_id=span_id, reason=reason, evidence=(evidence,))


def finding(*places: Affected, analysed: int = 40, total: int = 50, **changes: Any) -> Finding:
    """A finding on ``places``."""
    shown = places or (affected(),)
    traces = len({place.trace_id for place in shown})
    fields: dict[str, Any] = {
        "id": "tool_error_mishandled-9f8e7d6c",
        "fingerprint": "9f8e7d6c5b4a3928",
        "failure_mode": "tool_error_mishandled",
        "title": "An error of cancel_order is not mentioned in the answer",
        "severity": Severity.HIGH,
        "summary": "cancel_order failed and the final answer does not mention it.",
        "recommendation": "Tell the model in the system prompt to report errors of tools.",
        "detector": "swallowed_error",
        "prevalence": prevalence_of(traces, analysed, total),
    }
    return Finding(**(fields | changes), affected=shown)


def trace_ids(number: int) -> list[str]:
    """``number`` different trace ids."""
    return [f"{i:032x}" for i in range(1, number + 1)]


def full_report() -> Report:
    """Findings of every severity, gaps, and every optional part of a report."""
    loops = [affected(t, "search_flights({})", "Called 4 times in a row.") for t in trace_ids(14)]
    gap = finding(
        *(affected(t, "null", "The parent 00f067aa was not recorded.", "parent_span_id")
          for t in trace_ids(3)),
        id="instrumentation-11112222",
        failure_mode="instrumentation",
        title="Spans whose parent was not recorded",
        severity=Severity.LOW,
        summary="A span names a parent that is not in the trace.",
        recommendation="Export the spans of one trace together, and flush before the process ends.",
        detector="orphan_span",
    )  # fmt: skip
    return Report(
        findings=(
            finding(
                id="unsafe_action-00aa11bb",
                failure_mode="unsafe_action",
                title="A secret is in the trace",
                severity=Severity.CRITICAL,
                summary="The output of a tool contains an API key.",
                recommendation="Revoke the key, and mask tool outputs before they are exported.",
                detector="secret_in_trace",
            ),
            finding(),
            finding(
                *loops,
                id="step_repetition-33445566",
                failure_mode="step_repetition",
                title="search_flights is called again and again with the same arguments",
                severity=Severity.MEDIUM,
                summary="The same call came 4 times in a row with equal results.",
                recommendation="Return to the model that nothing has changed, or cap the retries.",
                detector="identical_call_loop",
            ),
            gap,
        ),
        traces=50,
        spans=1644,
        detectors=("identical_call_loop", "orphan_span", "secret_in_trace", "swallowed_error"),
        not_judged=(
            NotJudged(detector="swallowed_error", reason="no output of the root", traces=10),
            NotJudged(detector="unknown_tool", reason="no tools are declared", traces=50),
            NotJudged(detector="swallowed_error", reason="no root span", traces=1),
        ),
        losses=("The archive keeps no events of spans.",),
        dropped_quotes=3,
        failures=(
            Failure(stage="read", where="spans.jsonl:17", what="The line is not JSON."),
            Failure(stage="detector d", where="0af7651916cd43dd", what="ValueError: odd"),
        ),
    )
