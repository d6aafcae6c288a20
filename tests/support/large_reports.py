"""A report with many findings over many traces, and its context: the same for the same numbers."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from random import Random

from halo_engine.failure_modes import CATALOGUE
from halo_engine.findings import (
    Affected,
    DecisionKind,
    Evidence,
    Finding,
    IssueMark,
    IssueState,
    NotJudged,
    Privacy,
    Report,
    Severity,
)
from halo_engine.report.context import (
    ExcerptStep,
    Facet,
    FacetValues,
    FindingContext,
    ReportContext,
    Timeline,
    TraceExcerpt,
    TraceUsage,
)
from halo_engine.statistics.prevalence import prevalence_of

TOOLS = ("get_order", "refund_order", "update_address", "search_catalogue", "create_return")
DAYS = 28
RESULT = '{"error": "ServiceError", "message": "order service did not commit the transaction"}'
TITLES = {
    "tool_error_mishandled": "A failure of {} is not acknowledged in the answer",
    "step_repetition": "{} is called again and again with the same arguments and the same result",
    "invalid_tool_arguments": "The arguments for {} break its schema: quantity is no integer",
    "fabricated_action": "The agent promises what {} did not confirm",
    "tool_output_misread": "A result of {} is read for another customer than the one who asks",
}


def large_report(findings: int = 200, traces: int = 10_000) -> tuple[Report, ReportContext]:
    """The report and its context."""
    random = Random(7)
    ids = [f"{random.getrandbits(128):032x}" for _ in range(traces)]
    named = [*TITLES, *(mode.slug for mode in CATALOGUE if mode.slug not in TITLES)]
    modes = named[: max(4, findings // 8)]
    found = [finding_of(n, ids, modes[n % len(modes)], random) for n in range(findings)]
    affected = {a.trace_id for each in found for a in each.affected}
    daily = spread(len(affected), random)
    report = Report(
        findings=tuple(found),
        traces=traces,
        spans=traces * 11,
        detectors=tuple(f"detector_{n}" for n in range(34)),
        not_judged=(NotJudged(detector="unknown_tool", reason="no tools are declared", traces=40),),
        privacy=Privacy(),
    )
    context = ReportContext(
        timeline=Timeline(
            start=datetime(2026, 1, 5, tzinfo=UTC),
            seconds=24 * 3600,
            traces=tuple(map(sum, zip(spread(traces - len(affected), random), daily, strict=True))),
            affected=daily,
        ),
        facets=(
            FacetValues(facet=Facet.AGENT, values=("shop-support",), traces=(traces,)),
            FacetValues(
                facet=Facet.RELEASE,
                values=("2026.1.2", "2026.1.1"),
                traces=(traces - traces // 3, traces // 3),
            ),
            FacetValues(
                facet=Facet.MODEL,
                values=("large-model", "small-model"),
                traces=(traces // 2, traces // 2),
            ),
        ),
        used=used_by(traces, random),
        affected=used_by(len(affected), random),
        findings={each.id: context_of(each, random) for each in found},
    )
    return report, context


def spread(number: int, random: Random) -> tuple[int, ...]:
    """``number`` things over the days."""
    days = Counter(random.choices(range(DAYS), k=number))
    return tuple(days[day] for day in range(DAYS))


def used_by(traces: int, random: Random) -> TraceUsage:
    """What so many traces used."""
    return TraceUsage(
        traces=traces,
        priced=traces - traces // 50,
        cost=traces * random.uniform(0.01, 0.03),
        timed=traces,
        seconds=traces * random.uniform(8, 30),
    )


def finding_of(number: int, ids: list[str], mode: str, random: Random) -> Finding:
    """One finding in some of the traces."""
    tool = TOOLS[(number // 3) % len(TOOLS)]
    pool = ids[: len(ids) // 3]
    shown = random.sample(pool, min(len(pool), random.choice([3, 12, 40, 150, 400])))
    states = list(IssueState)[:4]
    decision = random.choice([None] * 8 + [DecisionKind.MUTED, DecisionKind.ACCEPTED])
    return Finding(
        id=f"{mode}-{number:08x}",
        fingerprint=f"{number:016x}",
        failure_mode=mode,
        title=TITLES.get(mode, "{} is used where it does not help").format(tool),
        severity=list(Severity)[min(3, random.choice([0, 1, 1, 2, 2, 2, 3]))],
        summary=f"{tool} failed, and no later answer mentions it: the customer believes it was done.",
        recommendation="Make the agent check every result before it answers: return errors as "
        "errors, and instruct it to report what it could not do.",
        detector="swallowed_error",
        tool=tool,
        prevalence=prevalence_of(len(shown), len(ids), len(ids)),
        affected=tuple(place_in(trace_id) for trace_id in shown),
        issue=IssueMark(id=f"HALO-{number + 1}", state=random.choice(states), decision=decision),
    )


def place_in(trace_id: str) -> Affected:
    """The place of a finding in a trace."""
    span_id = f"{trace_id[:15]}1"
    quote = "order service did not commit the transaction"
    evidence = Evidence(trace_id=trace_id, span_id=span_id, field="output", quote=quote, offset=37)
    reason = "The call failed and the answer claims success."
    return Affected(trace_id=trace_id, span_id=span_id, reason=reason, evidence=(evidence,))


def context_of(finding: Finding, random: Random) -> FindingContext:
    """A finding in its context."""
    known = len(finding.affected)
    return FindingContext(
        affected=spread(known, random),
        facets=((known,), (known - known // 4, known // 4), (known // 2, known - known // 2)),
        used=used_by(known, random),
        excerpts=tuple(excerpt_in(finding, each) for each in finding.affected[:3]),
    )


def excerpt_in(finding: Finding, affected: Affected) -> TraceExcerpt:
    """The steps around the quote in a trace."""
    (quoted,) = affected.evidence
    call = '{"order": "LO-77024", "street": "67 Weaver\'s Yard", "city": "Leipzig"}'
    said = [
        ("user", None, "Please change the address of order LO-77024, same postcode.", ()),
        (f"calls {finding.tool}", finding.tool, call, ()),
        ("output", finding.tool, RESULT, (quoted.quote,)),
        ("assistant", None, "Your order goes to the new address now. Anything else?", ()),
    ]
    steps = (
        ExcerptStep(
            span_id=f"{affected.trace_id[:15]}{n}",
            field="output",
            role=role,
            tool=tool,
            text=text,
            quotes=quotes,
            skipped=3 * (n == 1),
            seconds=1.4 * n,
        )
        for n, (role, tool, text, quotes) in enumerate(said)
    )
    return TraceExcerpt(trace_id=affected.trace_id, steps=tuple(steps), skipped=2)
