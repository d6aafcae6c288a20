"""Labelling: which traces show a finding, by its check, over all traces or a random sample.

A rule is applied to every trace, which costs nothing. Questions for a model are put for all findings
at once, so that a trace is read once. If the budget does not suffice for all traces, the findings
take turns in drawing traces at random, so that a frequent finding does not use up the budget of a
rare one; the remaining traces count as not analysed. A trace that was drawn for one finding and
shows another is affected by that one, but counts in the prevalence only of the finding it was drawn
for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from halo_engine.findings import Affected, Evidence
from halo_engine.llm import Budget
from halo_engine.llm.chat import Price
from halo_engine.quotes import MAX_QUOTE, locate_quote, quotable_texts
from halo_engine.rlm.candidates import Candidate, CheckRules, RuleMatch
from halo_engine.rlm.mapping import Mapper, Row, RowCheck
from halo_engine.rlm.prompts import filled, prompt
from halo_engine.rlm.read_budget import ReadBudget, reading_sizes
from halo_engine.rlm.row_fields import RowField
from halo_engine.rlm.sandbox.base import HostError
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.rlm.transcript import redact_for_prompt
from halo_engine.schema import Failure, Trace
from halo_engine.statistics.prevalence import Prevalence, prevalence_of
from halo_engine.statistics.sampling import seeded_order

BY_RULE = "The rule of this finding holds here."
CORRECTED_COUNTS = (
    "(Unless it says otherwise here, it counts even where the agent put it right in the end.)"
)
CORRECTED_DOES_NOT_COUNT = (
    "(Unless it says otherwise here, what was put right before it did harm does not count.)"
)
# The purposes of calls from this stage on. When it is repeated, their answers are in the ledger: the
# sample is drawn as if nothing had been spent on them, so that it is the one that is paid for.
FROM_LABELLING_ON = ("label", "label repair", "root causes", "root causes repair")
# Share of the reading budget that findings with a rule leave for those without one.
UNRESTRICTED_SHARE = 0.5


@dataclass
class FindingLabels:
    """The outcome of the check of one candidate.

    ``matches`` are the matches of its rule by trace id (None: it has no rule), ``sample`` the traces
    drawn to be read for it, ``judged`` those of them for which a model answered, and ``affected``
    the traces that show it. ``is_unchecked``: its check failed, so only what it cites is known.
    """

    candidate: Candidate
    matches: dict[str, RuleMatch] | None = None
    sample: set[str] = field(default_factory=set)
    judged: set[str] = field(default_factory=set)
    affected: dict[str, Affected] = field(default_factory=dict)
    is_unchecked: bool = False

    def drawing_order(self, trace_ids: Iterable[str], seed: int) -> list[str]:
        """The traces about which its question can be asked, in random order."""
        return seeded_order(trace_ids if self.matches is None else self.matches, seed)

    def prevalence(self, total: int) -> Prevalence | None:
        """The prevalence among ``total`` traces; None if no trace was analysed.

        If n of the m traces that match the rule were judged, they represent n/m of all traces.
        """
        if self.is_unchecked:
            return None
        if not self.candidate.check.question:
            return prevalence_of(len(self.affected), total, total)
        found = len(self.judged & self.affected.keys())
        if self.matches is None:
            analysed = len(self.judged)
        else:
            share = len(self.judged) / len(self.matches) if self.matches else 1.0
            analysed = max(found, round(total * share))
        return prevalence_of(min(found, analysed), analysed, total) if analysed else None


def label(
    candidates: Sequence[Candidate],
    rules: CheckRules,
    short_ids: ShortIds,
    mapper: Mapper,
    budget: Budget,
    price: Price | None,
    *,
    seed: int,
) -> tuple[list[FindingLabels], list[Failure], int]:
    """The labels of ``candidates``, the failures, and the number of traces that were shortened."""
    labelled, failures = apply_rules(candidates, rules, short_ids)
    with_question = [x for x in labelled if x.candidate.check.question and not x.is_unchecked]
    sizes = reading_sizes(rules.store, short_ids)
    left = budget.left(uncounted=FROM_LABELLING_ON)
    read_budget = ReadBudget(left, price, sizes, len(with_question))
    trace_ids = draw_samples(with_question, short_ids.trace_ids, read_budget, seed)
    if not trace_ids:
        return labelled, failures, 0
    rows = mapper.rows(
        trace_ids,
        labelling_prompt(with_question),
        LABEL_FIELDS,
        purpose="label",
        check=quote_check(with_question, short_ids),
    )
    failures += [labelling_failure(row, short_ids) for row in rows if "error" in row]
    for row in rows:
        if "error" not in row:
            add_row(row, with_question, short_ids)
    return labelled, failures, sum(bool(row.get("shortened")) for row in rows)


def draw_samples(
    with_question: Sequence[FindingLabels],
    trace_ids: Sequence[str],
    read_budget: ReadBudget,
    seed: int,
) -> Sequence[str]:
    """Fill the ``sample`` of each finding while ``read_budget`` lasts; returns all traces drawn.

    Findings with a rule draw first, from the traces that match it, and leave a share of the budget
    for the findings without a rule, if there are any.
    """
    drawn: dict[str, None] = {}
    restricted = [labels for labels in with_question if labels.matches is not None]
    unrestricted = [labels for labels in with_question if labels.matches is None]
    keep = UNRESTRICTED_SHARE if unrestricted else 0.0
    for group, kept_share in ((restricted, keep), (unrestricted, 0.0)):
        for labels, trace_id in round_robin(group, trace_ids, seed):
            if trace_id not in drawn and not read_budget.take(trace_id, keep=kept_share):
                break
            drawn[trace_id] = None
            labels.sample.add(trace_id)
    return list(drawn)


def round_robin(
    group: Sequence[FindingLabels], trace_ids: Sequence[str], seed: int
) -> list[tuple[FindingLabels, str]]:
    """The first trace in the drawing order of each finding, then the second of each, and so on."""
    draws = [
        (position, labels, trace_id)
        for labels in group
        for position, trace_id in enumerate(labels.drawing_order(trace_ids, seed))
    ]
    ordered = sorted(draws, key=lambda draw: draw[0])
    return [(labels, trace_id) for _, labels, trace_id in ordered]


def apply_rules(
    candidates: Sequence[Candidate], rules: CheckRules, short_ids: ShortIds
) -> tuple[list[FindingLabels], list[Failure]]:
    """The labels by the rules of ``candidates``, and a failure for each rule that failed.

    It did not when it was submitted, but a rule has a limit of time.
    """
    labelled: list[FindingLabels] = []
    failures: list[Failure] = []
    for candidate in candidates:
        try:
            labelled.append(apply_rule(candidate, rules, short_ids))
        except HostError as error:
            labelled.append(FindingLabels(candidate, is_unchecked=True))
            where, what = f"{candidate.id}: {candidate.title}", f"its rule failed: {error}"
            failures.append(Failure(stage="labelling", where=where, what=what))
    return labelled, failures


def apply_rule(candidate: Candidate, rules: CheckRules, short_ids: ShortIds) -> FindingLabels:
    """The matches of the rule of ``candidate``; without a question these are the affected traces."""
    labels = FindingLabels(candidate)
    if not candidate.check.has_rule:
        return labels
    known = set(short_ids.trace_ids)
    matches = rules.matches(candidate.check)
    labels.matches = {trace_id: match for trace_id, match in matches.items() if trace_id in known}
    if not candidate.check.question:
        labels.affected = dict(affected_by_rule(labels.matches, short_ids))
    return labels


def affected_by_rule(
    matches: Mapping[str, RuleMatch], short_ids: ShortIds
) -> Iterator[tuple[str, Affected]]:
    """The affected traces by id, with the matched text, or the first text of the span, as evidence.

    A match without any text is left out.
    """
    without_text = [trace_id for trace_id, match in matches.items() if match.evidence is None]
    evidence = {t: match.evidence for t, match in matches.items() if match.evidence}
    for trace in short_ids.traces(without_text):
        beginning = first_text(trace, matches[trace.trace_id].span_id)
        if beginning:
            evidence[trace.trace_id] = beginning
    for trace_id, quote in evidence.items():
        affected = Affected(
            trace_id=trace_id, span_id=quote.span_id, reason=BY_RULE, evidence=(quote,)
        )
        yield trace_id, affected


def first_text(trace: Trace, span_id: str | None) -> Evidence | None:
    """The beginning of the first text of a span (None: the first span of the trace)."""
    span = trace.by_id.get(span_id) if span_id else next(iter(trace.spans), None)
    if span is None:
        return None
    field, text = next(quotable_texts(span), ("", ""))
    return locate_quote(trace, span.span_id, text.strip()[:MAX_QUOTE], field)


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


def labelling_prompt(with_question: Sequence[FindingLabels]) -> str:
    """The instruction with the definitions and questions of all findings."""
    definitions = "\n\n".join(finding_definition(labels.candidate) for labels in with_question)
    return filled(prompt("judge"), question=f"The failures:\n\n{definitions}")


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
            labels.judged.add(trace_id)
        hit = hits.get(labels.candidate.id)
        evidence = evidence_of_hit(trace_id, hit, short_ids) if hit else None
        if hit and evidence:
            labels.affected[trace_id] = Affected(
                trace_id=trace_id,
                span_id=evidence.span_id,
                reason=redact_for_prompt(str(hit.get("why") or labels.candidate.title)),
                evidence=(evidence,),
            )


def labelling_failure(row: Row, short_ids: ShortIds) -> Failure:
    """The failure to label a trace for which no valid answer came."""
    where = short_ids.trace_id(row["trace"]) or row["trace"]
    return Failure(stage="labelling", where=where, what=str(row["error"]))
