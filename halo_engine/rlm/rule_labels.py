"""Labels by rules: which traces the rules of findings match, for which no model is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from halo_engine.checks import RuleMatch
from halo_engine.findings import Affected, Citation, Evidence
from halo_engine.quotes import MAX_QUOTE, find_citation, locate_quote
from halo_engine.rlm.candidates import Candidate
from halo_engine.rlm.checks import CheckRules
from halo_engine.rlm.finding_labels import CHECK_FAILED, FindingLabels
from halo_engine.rlm.sandbox.base import HostError
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.schema import Failure, Trace

BY_PATTERN = "The pattern of this finding matches here."
BY_LIST = "The analysis computed a list of traces, and this is one of them."
BY_QUERY = "The query of this finding selects this for the words quoted."
BY_QUERY_ALONE = "The query of this finding selects this; there are no words to quote for it."


def apply_rules(
    candidates: Sequence[Candidate], rules: CheckRules, short_ids: ShortIds
) -> tuple[list[FindingLabels], list[Failure]]:
    """The labels by the rules of ``candidates``, and a failure for each rule that failed.

    It did not when it was submitted, but a rule has a limit of time.
    """
    labelled: list[FindingLabels] = []
    failures: list[Failure] = []
    for candidate in candidates:
        labels = FindingLabels(candidate, len(short_ids.trace_ids))
        labelled.append(labels)
        try:
            apply_rule(labels, rules, short_ids)
        except HostError as error:
            labels.unchecked = CHECK_FAILED
            where, what = f"{candidate.id}: {candidate.title}", f"its rule failed: {error}"
            failures.append(Failure(stage="labelling", where=where, what=what))
    return labelled, failures


def apply_rule(labels: FindingLabels, rules: CheckRules, short_ids: ShortIds) -> None:
    """Add the matches of the rule; without a question these are the affected traces."""
    check = labels.candidate.check
    labels.frame = frozenset(short_ids.trace_ids)
    if not check.has_rule:
        return
    matches = rules.matches(check)
    labels.matches = {t: match for t, match in matches.items() if t in labels.frame}
    if not check.question:
        labels.affected = dict(affected_by_rule(labels, short_ids))
    if check.is_list and rules.surveyed is not None:
        labels.unsurveyed = len(labels.frame - rules.surveyed - labels.matches.keys())


def affected_by_rule(labels: FindingLabels, short_ids: ShortIds) -> Iterator[tuple[str, Affected]]:
    """The traces that the rule matches, with the words that made it match, as far as it has any.

    For a query those are the words that it returns itself, for a list those that came with the
    trace; on a trace that the candidate cites, else what it quotes there.
    """
    matches = labels.matches or {}
    check = labels.candidate.check
    quoted = BY_PATTERN if check.pattern else BY_LIST
    unquoted = BY_QUERY_ALONE if check.sql else BY_LIST
    for trace_id, match in matches.items():
        if match.evidence:
            yield trace_id, affected_by_match(trace_id, match, (match.evidence,), quoted)
    for trace in short_ids.traces([t for t, match in matches.items() if match.evidence is None]):
        match = matches[trace.trace_id]
        cited = (e for e in labels.candidate.evidence if e.trace_id == trace.trace_id)
        words = returned_words(trace, match)
        evidence = (words,) if words else tuple(cited)
        reason = BY_QUERY if words else unquoted
        known = match if match.span_id in trace.by_id else match._replace(span_id=None)
        yield trace.trace_id, affected_by_match(trace.trace_id, known, evidence, reason)


def rule_quotes(
    labelled: Sequence[FindingLabels], trace_ids: Sequence[str], short_ids: ShortIds
) -> dict[str, list[Evidence]]:
    """The words in ``trace_ids`` by which rules matched, for the questions that are put there."""
    found: dict[str, list[Evidence]] = {}
    for labels in labelled:
        matches = labels.matches or {}
        for trace in short_ids.traces([t for t in trace_ids if t in matches]):
            match = matches[trace.trace_id]
            words = match.evidence or returned_words(trace, match)
            if words:
                found.setdefault(trace.trace_id, []).append(words)
    return found


def affected_by_match(
    trace_id: str, match: RuleMatch, evidence: tuple[Evidence, ...], reason: str
) -> Affected:
    """A trace that a rule matches."""
    return Affected(trace_id=trace_id, span_id=match.span_id, reason=reason, evidence=evidence)


def returned_words(trace: Trace, match: RuleMatch) -> Evidence | None:
    """The words that a query returned, where they are in the span; None where they are not.

    A row without a span is about the trace: they may be in any span.
    """
    words, field = (match.quote or "").strip()[:MAX_QUOTE], match.field
    if not words:
        return None
    for span_id in [match.span_id] if match.span_id else trace.spans_by_id:
        citation = Citation(span_id=span_id, field=field or "", quote=words)
        found = find_citation(trace, citation) or locate_quote(trace, span_id, words, field)
        if found:
            return found
    return None
