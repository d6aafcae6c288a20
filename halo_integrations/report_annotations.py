"""A report as annotations and follow-ups, as they are written to a platform.

One annotation ``halo.<failure_mode>`` per finding and affected span, its label the severity; and
one ``halo.summary`` per affected trace, where the platform shows it best. Annotations have a label
and no score: a chip in the UI shows only one of the two, and "high" is more readable than "0.00".

Gaps in the recording say nothing about the agent: they are a section of the report, and no marks
on traces unless that is asked for.

A chip shows the first 150 characters of an explanation, so it begins with what happened here.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from halo_adapters.base import (
    ANNOTATION_PREFIX,
    VERDICT,
    Annotation,
    AnnotationConfig,
    FollowUp,
    FollowUpKind,
)
from halo_engine.failure_modes import CATALOGUE, OTHER, meaning_of
from halo_engine.findings import Affected, Evidence, Finding, Report, RootCause, Severity
from halo_engine.schema import FrozenModel
from halo_engine.text.sanitize import safe_line, shorten
from halo_integrations.options.run import FollowUpOptions
from halo_integrations.provenance import FINGERPRINT, MODEL, RULE, SUMMARY, with_provenance

ROOT_CAUSE = f"{ANNOTATION_PREFIX}root_cause"
# Labels for people, who refuse or confirm a mark with them.
NOT_A_FAILURE, CONFIRMED = "not_a_failure", "confirmed"
QUOTE_CHARS = 240
ADVICE_CHARS = 600
EXPLANATION_CHARS = 1500

Roots = Mapping[str, str]


class Preview(FrozenModel):
    """What would be written: counts by annotation name and label.

    ``cost`` is what the platform bills or limits for it, None where it does not. ``digest`` tells
    whether two previews are of the same annotations.
    """

    destination: str
    cost: str | None = None
    total: int
    traces: int
    counts: dict[str, dict[str, int]]
    digest: str = ""


def preview_of(
    annotations: Sequence[Annotation], destination: str, cost: str | None = None
) -> Preview:
    """Count ``annotations``, to be shown before they are written."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    digest = hashlib.sha256()
    for annotation in annotations:
        counts[annotation.name][annotation.label or "-"] += 1
        digest.update(annotation.model_dump_json().encode())
    return Preview(
        destination=destination,
        cost=cost,
        total=len(annotations),
        traces=len({a.trace_id for a in annotations}),
        counts={name: dict(counts[name]) for name in sorted(counts)},
        digest=digest.hexdigest(),
    )


def annotations_of(
    report: Report,
    run_id: str,
    roots: Roots,
    *,
    summary_on_trace: bool,
    mark_recording_gaps: bool = False,
) -> list[Annotation]:
    """The annotations of ``report``, by trace.

    ``roots`` maps each trace to its root span (or the earliest recorded one); a trace that is not
    in it was not read in this run and is never written to. The summary of a trace is on the trace
    as a whole, or else on its root span.
    """
    by_trace: dict[str, list[tuple[Finding, Affected]]] = defaultdict(list)
    for finding in marked_findings(report, mark_recording_gaps):
        for affected in finding.affected:
            if affected.trace_id in roots:
                by_trace[affected.trace_id].append((finding, affected))
    found: list[Annotation] = []
    for trace_id, hits in by_trace.items():
        root_id = roots[trace_id]
        for finding, affected in hits:
            found.append(finding_annotation(finding, affected, affected.span_id or root_id, run_id))
        target_id = None if summary_on_trace else root_id
        found.append(summary_annotation(trace_id, target_id, [f for f, _ in hits], run_id))
    found += [root_cause_annotation(c, run_id) for c in report.root_causes if c.trace_id in roots]
    return list({annotation.key: annotation for annotation in found}.values())


def marked_findings(report: Report, mark_recording_gaps: bool) -> list[Finding]:
    """The findings that are written onto traces."""
    return [
        finding
        for finding in report.findings
        if (mark_recording_gaps or not finding.is_recording_gap) and not finding.is_muted
    ]


def finding_annotation(
    finding: Finding, affected: Affected, span_id: str, run_id: str
) -> Annotation:
    """One finding on one span."""
    annotation = Annotation(
        name=f"{ANNOTATION_PREFIX}{finding.failure_mode}",
        trace_id=affected.trace_id,
        span_id=span_id,
        label=finding.severity.value,
        annotator_kind=MODEL if finding.model else RULE,
        explanation=with_signature(
            finding_lines(finding, affected), f"{identity_of(finding)}, run {run_id}"
        ),
        identifier=identifier_of(finding.fingerprint, affected.trace_id, span_id),
    )
    return with_provenance(
        annotation,
        run_id,
        finding_id=finding.id,
        fingerprint=finding.fingerprint,
        found_by=finding.found_by,
        prevalence=str(finding.prevalence),
    )


def root_cause_annotation(cause: RootCause, run_id: str) -> Annotation:
    """Where a failed trace first went wrong; its label is the failure mode."""
    lines = [
        safe_line(cause.reason, QUOTE_CHARS),
        quoted(cause.evidence),
        f"{meaning_of(cause.failure_mode)}.",
    ]
    annotation = Annotation(
        name=ROOT_CAUSE,
        trace_id=cause.trace_id,
        span_id=cause.span_id,
        label=cause.failure_mode,
        annotator_kind=MODEL,
        explanation=with_signature(lines, f"root cause, run {run_id}"),
        identifier=identifier_of(ROOT_CAUSE, cause.trace_id, cause.span_id),
    )
    return with_provenance(annotation, run_id)


def summary_annotation(
    trace_id: str, span_id: str | None, findings: Sequence[Finding], run_id: str
) -> Annotation:
    """All findings of one trace in one annotation, on a span or (None) on the trace as a whole."""
    different = list({finding.id: finding for finding in findings}.values())
    worst = min((finding.severity for finding in different), key=lambda s: s.rank)
    annotation = Annotation(
        name=SUMMARY,
        trace_id=trace_id,
        span_id=span_id,
        label=worst.value,
        annotator_kind=MODEL if any(finding.model for finding in different) else RULE,
        explanation=summary_text(different, run_id),
        identifier=identifier_of(SUMMARY, trace_id, span_id or ""),
    )
    return with_provenance(annotation, run_id, finding_ids=[finding.id for finding in different])


def follow_ups_of(
    report: Report,
    inputs: Mapping[str, tuple[str, str]],
    options: FollowUpOptions,
    *,
    mark_recording_gaps: bool = False,
) -> list[FollowUp]:
    """One comment per finding and trace, one queue and dataset item per affected trace.

    ``inputs`` maps each trace that was read to its root span and the input of that; no other trace
    is ever written to.
    """
    found: list[FollowUp] = []
    names: dict[str, dict[str, None]] = defaultdict(dict)
    for finding in marked_findings(report, mark_recording_gaps):
        first = {a.trace_id: a for a in reversed(finding.affected) if a.trace_id in inputs}
        for trace_id, affected in first.items():
            names[trace_id][f"{ANNOTATION_PREFIX}{finding.failure_mode}"] = None
            if options.comment:
                found.append(comment_on(finding, affected))
    used = tuple(dict.fromkeys([SUMMARY, *(n for those in names.values() for n in those), VERDICT]))
    for trace_id, those in names.items():
        span_id, text = inputs[trace_id]
        if options.queue:
            found.append(queue_item(trace_id, options.queue, used))
        if options.dataset:
            found.append(dataset_item(trace_id, span_id, text, options.dataset, tuple(those)))
    return found


def comment_on(finding: Finding, affected: Affected) -> FollowUp:
    """A finding as a comment on a trace; its key, which the platform appends, is the signature."""
    return FollowUp(
        kind=FollowUpKind.COMMENT,
        trace_id=affected.trace_id,
        key=f"halo-integrations, {identifier_of(finding.fingerprint, affected.trace_id, '')}",
        content="\n".join(finding_lines(finding, affected)),
    )


def queue_item(trace_id: str, queue: str, names: tuple[str, ...]) -> FollowUp:
    """A trace for review by people."""
    key = identifier_of(f"queue {queue}", trace_id, "")
    kind = FollowUpKind.QUEUE_ITEM
    return FollowUp(kind=kind, trace_id=trace_id, key=key, place=queue, names=names)


def dataset_item(
    trace_id: str, span_id: str, text: str, dataset: str, names: tuple[str, ...]
) -> FollowUp:
    """The input of a trace as a test case."""
    return FollowUp(
        kind=FollowUpKind.DATASET_ITEM,
        trace_id=trace_id,
        span_id=span_id,
        key=identifier_of(f"dataset {dataset}", trace_id, "").replace(":", "-"),
        place=dataset,
        content=text,
        names=names,
    )


def finding_lines(finding: Finding, affected: Affected) -> list[str]:
    """A finding on a span: what happened here, the quote, what to do, how common it is."""
    return [
        safe_line(affected.reason, QUOTE_CHARS),
        *map(quoted, affected.evidence[:1]),
        f"What to do: {safe_line(finding.recommendation, ADVICE_CHARS)}",
        f"{safe_line(finding.title, QUOTE_CHARS)}: seen in {finding.prevalence}.",
    ]


def quoted(evidence: Evidence) -> str:
    """A quote with the field that it stands in."""
    field = safe_line(evidence.field, QUOTE_CHARS)
    return f"“{safe_line(evidence.quote, QUOTE_CHARS)}” ({field})"


def summary_text(findings: Sequence[Finding], run_id: str) -> str:
    """The explanation of a summary: a line for each finding."""
    lines = [
        f"{f.severity.value}: {safe_line(f.title, QUOTE_CHARS)} ({identity_of(f)})"
        for f in findings
    ]
    return with_signature(lines, f"run {run_id}")


def identity_of(finding: Finding) -> str:
    """The issue that a finding is, how that stands, and the id of the finding."""
    issue = f"{finding.issue}, " if finding.issue else ""
    return f"{issue}finding {finding.id}"


def with_signature(lines: Sequence[str], source: str) -> str:
    """``lines`` and, whatever their length, one line that says who wrote them."""
    signature = signature_of(source)
    body = shorten("\n".join(lines), EXPLANATION_CHARS - len(signature) - 1)
    return f"{body}\n{signature}"


def signature_of(source: str) -> str:
    """How the last line of an explanation begins, of which ``source`` may be a beginning."""
    return f"halo-integrations, {source}"


def identifier_of(what: str, trace_id: str, span_id: str) -> str:
    """The identifier of ``what`` on a target: equal in every run, and of no other target.

    Equal, so that a later run updates it; of no other, since Phoenix deletes whatever has a name and
    an identifier, on every span. ``span_id`` is "" for the trace as a whole.
    """
    digest = hashlib.sha256("\x1f".join((what, trace_id, span_id)).encode()).hexdigest()
    return f"halo:{digest[:20]}"


def configs_of(annotations: Sequence[Annotation]) -> list[AnnotationConfig]:
    """The names that ``annotations`` use, with the labels they may have.

    Where they mark findings, that for the verdicts of people too.
    """
    names = {annotation.name for annotation in annotations}
    if any(FINGERPRINT in annotation.metadata for annotation in annotations):
        names.add(VERDICT)
    return [
        AnnotationConfig(
            name=name, description=config_description(name), labels=allowed_labels(name)
        )
        for name in sorted(names)
    ]


def allowed_labels(name: str) -> tuple[str, ...]:
    """The labels under an annotation name: failure modes for root causes, else mostly severities.

    And, for people to choose, that a finding is no failure.
    """
    if name == ROOT_CAUSE:
        return (*(mode.slug for mode in CATALOGUE), OTHER)
    if name == VERDICT:
        return NOT_A_FAILURE, CONFIRMED
    severities = tuple(severity.value for severity in Severity)
    return severities if name == SUMMARY else (*severities, NOT_A_FAILURE)


def config_description(name: str) -> str:
    """The description of an annotation config, for the platform's settings page."""
    if name == ROOT_CAUSE:
        return "The step at which a failed run first went wrong. Written by halo-integrations."
    if name == VERDICT:
        return "Whether what halo-integrations marked here is right, as people say."
    what = "Findings on this trace" if name == SUMMARY else meaning_of(name.partition(".")[2])
    return f"{what}. Written by halo-integrations; the label is the severity."
