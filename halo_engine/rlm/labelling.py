"""Labelling: which traces show a finding, by its check, over all traces or a random sample.

A rule is applied to every trace, which costs nothing; a finding with a rule is about the traces that
match it, and no others. Questions for a model are put for all findings at once, so that a trace is
read once. If the budget does not suffice for all traces, random samples are drawn, of a size that is
fixed before (``drawing``); the remaining traces count as not analysed, as do those that got no answer
or of which only a part was read. A trace that was drawn for one finding and shows another is affected
by that one, but counts in the prevalence only of the finding it was drawn for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from halo_engine.findings import Affected, Citation, Evidence
from halo_engine.llm import Budget
from halo_engine.llm.chat import Price
from halo_engine.quotes import MAX_QUOTE, find_citation, locate_quote
from halo_engine.rlm.candidates import Candidate, CheckRules, RuleMatch
from halo_engine.rlm.drawing import draw_samples
from halo_engine.rlm.finding_labels import CHECK_FAILED, FindingLabels
from halo_engine.rlm.mapping import Mapper, Row, RowCheck
from halo_engine.rlm.prompts import prompt
from halo_engine.rlm.read_budget import ReadBudget, reading_sizes
from halo_engine.rlm.review import CHECK_REVIEW
from halo_engine.rlm.row_fields import RowField
from halo_engine.rlm.sandbox.base import HostError
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.schema import Failure, Trace
from halo_engine.text.sanitize import safe_text

REASON_CHARS = 1000
BY_PATTERN = "The pattern of this finding matches here."
BY_QUERY = "The query of this finding selects this for the words quoted."
BY_QUERY_ALONE = "The query of this finding selects this; there are no words to quote for it."
CORRECTED_COUNTS = (
    "(Unless it says otherwise here, it counts even where the agent put it right in the end.)"
)
CORRECTED_DOES_NOT_COUNT = (
    "(Unless it says otherwise here, what was put right before it did harm does not count.)"
)
# The purposes of calls from this stage on. When it is repeated, their answers are in the ledger: the
# sample is drawn as if nothing had been spent on them, so that it is the one that is paid for.
FROM_LABELLING_ON = tuple(
    f"{purpose}{suffix}"
    for purpose in ("label", CHECK_REVIEW, "root causes")
    for suffix in ("", " repair")
)


class Labelling(NamedTuple):
    """The labels of all candidates, the failures, and the number of traces that were shortened."""

    labels: list[FindingLabels]
    failures: list[Failure]
    shortened: int


def label(
    candidates: Sequence[Candidate],
    rules: CheckRules,
    short_ids: ShortIds,
    mapper: Mapper,
    budget: Budget,
    price: Price | None,
    *,
    seed: int,
) -> Labelling:
    """Label all traces by the checks of ``candidates``, or as many as ``budget`` suffices for."""
    labelled, failures = apply_rules(candidates, rules, short_ids)
    with_question = [x for x in labelled if x.candidate.check.question and not x.unchecked]
    sizes = reading_sizes(rules.store, short_ids)
    left = budget.left(uncounted=FROM_LABELLING_ON)
    read_budget = ReadBudget(left, price, sizes, len(with_question))
    readable = frozenset(filter(read_budget.can_read, short_ids.trace_ids))
    for labels in with_question:
        labels.frame = readable
    trace_ids = draw_samples(with_question, read_budget, seed)
    if not trace_ids:
        return Labelling(labelled, failures, 0)
    rows = mapper.rows(
        trace_ids,
        prompt("judge"),
        LABEL_FIELDS,
        purpose="label",
        check=quote_check(with_question, short_ids),
        texts={"question": definitions_text(with_question)},
    )
    failures += [labelling_failure(row, short_ids) for row in rows if "error" in row]
    for row in rows:
        if "error" not in row:
            add_row(row, with_question, short_ids)
        elif "unread" in row:
            add_unread(row, with_question, short_ids)
    return Labelling(labelled, failures, sum(bool(row.get("shortened")) for row in rows))


# -- rules ---------------------------------------------------------------------------------------


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


def affected_by_rule(labels: FindingLabels, short_ids: ShortIds) -> Iterator[tuple[str, Affected]]:
    """The traces that the rule matches, with the words that made it match, as far as it has any.

    For a query those are the words that it returns itself; on a trace that the candidate cites, else
    what it quotes there.
    """
    matches = labels.matches or {}
    by_query = [trace_id for trace_id, match in matches.items() if match.evidence is None]
    for trace_id, match in matches.items():
        if match.evidence:
            yield trace_id, affected_by_match(trace_id, match, (match.evidence,), BY_PATTERN)
    for trace in short_ids.traces(by_query):
        match = matches[trace.trace_id]
        cited = (e for e in labels.candidate.evidence if e.trace_id == trace.trace_id)
        words = returned_words(trace, match)
        evidence = (words,) if words else tuple(cited)
        reason = BY_QUERY if words else BY_QUERY_ALONE
        known = match if match.span_id in trace.by_id else match._replace(span_id=None)
        yield trace.trace_id, affected_by_match(trace.trace_id, known, evidence, reason)


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


# -- asking a model ------------------------------------------------------------------------------

LABEL_FIELDS = {
    "shows": RowField(
        type="array",
        description='list of {"finding": "F1", "span": "T3.5", "quote": "...", "why": "..."}',
        items=RowField(
            type="object",
            members={
                "finding": RowField(is_nullable=False),
                "span": RowField(is_nullable=False),
                "quote": RowField(is_nullable=False),
                "why": RowField(),
            },
            is_nullable=False,
        ),
        is_nullable=False,
    )
}


def definitions_text(with_question: Sequence[FindingLabels]) -> str:
    """The definitions and questions of all findings."""
    definitions = "\n\n".join(finding_definition(labels.candidate) for labels in with_question)
    return f"The failures:\n\n{definitions}"


def finding_definition(candidate: Candidate) -> str:
    """The id, title and question of a candidate, and whether corrected failures count."""
    corrected = CORRECTED_COUNTS if candidate.includes_corrected else CORRECTED_DOES_NOT_COUNT
    return f"{candidate.id}: {candidate.title}\n{candidate.check.question}\n{corrected}"


def quote_check(with_question: Sequence[FindingLabels], short_ids: ShortIds) -> RowCheck:
    """A check of rows for unknown findings and for quotes that are not in the trace."""
    known = {labels.candidate.id for labels in with_question}

    def check(trace_id: str, row: Row) -> str | None:
        for hit in row["shows"]:
            if hit["finding"] not in known:
                return f"there is no failure {hit['finding']!r}"
            if evidence_of_hit(trace_id, hit, short_ids) is None:
                return f"the quote {hit['quote'][:80]!r} is not in {hit['span']}"
        return None

    return check


def evidence_of_hit(trace_id: str, hit: Row, short_ids: ShortIds) -> Evidence | None:
    """The quote of ``hit`` in the span that it names, else in any span of the trace, else None."""
    trace = short_ids.trace(trace_id)
    span = short_ids.span(hit["span"], trace_id)
    named = [span.span_id] if span and span.trace_id == trace_id else []
    for span_id in (*named, *trace.by_id):
        evidence = locate_quote(trace, span_id, hit["quote"])
        if evidence:
            return evidence
    return None


def add_row(row: Row, with_question: Sequence[FindingLabels], short_ids: ShortIds) -> None:
    """Add a model's answer about one trace to the labels of all findings."""
    trace_id = short_ids.trace_id(row["trace"]) or ""
    hits = {hit["finding"]: hit for hit in row["shows"]}
    for labels in with_question:
        if trace_id in labels.sample:
            labels.answered.add(trace_id)
        if trace_id in labels.sample and not row.get("shortened"):
            labels.judged.add(trace_id)
        if not labels.can_show(trace_id):
            continue
        hit = hits.get(labels.candidate.id)
        evidence = evidence_of_hit(trace_id, hit, short_ids) if hit else None
        if hit and evidence:
            labels.affected[trace_id] = Affected(
                trace_id=trace_id,
                span_id=evidence.span_id,
                reason=safe_text(hit.get("why") or labels.candidate.title, REASON_CHARS),
                evidence=(evidence,),
            )


def add_unread(row: Row, with_question: Sequence[FindingLabels], short_ids: ShortIds) -> None:
    """Add the reason why a trace was not read to the findings that it was drawn for."""
    trace_id = short_ids.trace_id(row["trace"]) or ""
    for labels in with_question:
        if trace_id in labels.sample:
            labels.unread[trace_id] = row["unread"]


def labelling_failure(row: Row, short_ids: ShortIds) -> Failure:
    """The failure to label a trace that was not read, or for which no valid answer came."""
    where = short_ids.trace_id(row["trace"]) or row["trace"]
    return Failure(stage="labelling", where=where, what=str(row["error"]))
