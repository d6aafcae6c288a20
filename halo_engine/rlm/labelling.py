"""Which traces show a finding: its check, over all of them or over a random part.

What a rule can tell is told by the rule, over every trace and for nothing. What takes a model is
asked once for all findings together, so that a trace is read once. Where the budget does not reach,
each finding has its traces drawn at random, in turn with the others, so that a rare one is not
crowded out; the rest counts as not analysed. A trace that was read for one finding and shows
another is affected by it, but only those drawn for a finding count in its prevalence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from halo_engine.findings import Affected, Evidence, Prevalence, prevalence_of
from halo_engine.llm import Budget
from halo_engine.llm.chat import Price
from halo_engine.quotes import MAX_QUOTE, locate, texts_of
from halo_engine.rlm.candidates import Candidate, CheckRules, RuleMatch
from halo_engine.rlm.mapping import Mapper, Row
from halo_engine.rlm.prompts import filled, prompt
from halo_engine.rlm.read_budget import ReadBudget, reading_sizes, seeded_order
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.rlm.transcript import redact_for_prompt
from halo_engine.schema import Failure, Trace

BY_RULE = "The rule of this finding holds here."
DETOUR = "(Unless it says otherwise here, it counts even where the agent put it right in the end.)"
PUT_RIGHT = "(Unless it says otherwise here, what was put right before it did harm does not count.)"


@dataclass
class FindingLabels:
    """What the check of one candidate says.

    ``chosen`` are the traces in which its rule holds (None: there is no rule), ``sample`` those
    that were drawn to be read for it, ``judged`` those of them about which an answer came.
    """

    candidate: Candidate
    chosen: dict[str, RuleMatch] | None = None
    sample: set[str] = field(default_factory=set)
    judged: set[str] = field(default_factory=set)
    affected: dict[str, Affected] = field(default_factory=dict)

    def lot(self, trace_ids: Iterable[str], seed: int) -> list[str]:
        """The traces to which its question can be put, in random order."""
        return seeded_order(trace_ids if self.chosen is None else self.chosen, seed)

    def prevalence(self, total: int) -> Prevalence | None:
        """How common it is among ``total`` traces; None where nothing was analysed.

        Where a rule chose and only n of the m chosen traces were judged, those n stand for n/m of
        all traces.
        """
        if not self.candidate.check.question:
            return prevalence_of(len(self.affected), total, total)
        found = len(self.judged & self.affected.keys())
        if self.chosen is None:
            analysed = len(self.judged)
        else:
            share = len(self.judged) / len(self.chosen) if self.chosen else 1.0
            analysed = max(found, round(total * share))
        return prevalence_of(min(found, analysed), analysed, total) if analysed else None


def label(
    candidates: Sequence[Candidate],
    rules: CheckRules,
    references: ShortIds,
    mapper: Mapper,
    budget: Budget,
    price: Price | None,
    *,
    seed: int,
) -> tuple[list[FindingLabels], list[Failure], int]:
    """The labels of ``candidates``, what failed, and how many traces were shortened for it."""
    everything = [by_rule(candidate, rules, references) for candidate in candidates]
    asked = [labels for labels in everything if labels.candidate.check.question]
    purse = ReadBudget(budget, price, reading_sizes(rules.store, references), len(asked))
    chosen = draw(asked, references.trace_ids, purse, seed)
    if not chosen:
        return everything, [], 0
    rows = mapper.rows(
        chosen, question_of(asked), FIELDS, purpose="label", check=proof_check(asked, references)
    )
    failures = [failure_of(row, references) for row in rows if "error" in row]
    for row in rows:
        if "error" not in row:
            note(row, asked, references)
    return everything, failures, sum(bool(row.get("shortened")) for row in rows)


def draw(
    asked: Sequence[FindingLabels], trace_ids: Sequence[str], purse: ReadBudget, seed: int
) -> Sequence[str]:
    """The traces to read, as far as ``purse`` reaches, noted in the ``sample`` of each finding.

    First those that a rule chose, for one finding after the other in turn; where there are findings
    without a rule, half of the money is kept for them.
    """
    reading: dict[str, None] = {}
    narrowed = [labels for labels in asked if labels.chosen is not None]
    others = [labels for labels in asked if labels.chosen is None]
    for part, keep in ((narrowed, 0.5 if others else 0.0), (others, 0.0)):
        for labels, trace_id in in_turn(part, trace_ids, seed):
            if trace_id not in reading and not purse.take(trace_id, keep=keep):
                break
            reading[trace_id] = None
            labels.sample.add(trace_id)
    return list(reading)


def in_turn(
    part: Sequence[FindingLabels], trace_ids: Sequence[str], seed: int
) -> list[tuple[FindingLabels, str]]:
    """The first trace of the lot of each finding, then the second of each, and so on."""
    lots = [(labels, labels.lot(trace_ids, seed)) for labels in part]
    turns = [(n, labels, t) for labels, lot in lots for n, t in enumerate(lot)]
    return [(labels, t) for _, labels, t in sorted(turns, key=lambda turn: turn[0])]


def by_rule(candidate: Candidate, rules: CheckRules, references: ShortIds) -> FindingLabels:
    """What the rule of ``candidate`` says; with a question as well, only where to ask it."""
    labels = FindingLabels(candidate)
    if not candidate.check.narrows:
        return labels
    known = set(references.trace_ids)
    places = rules.places(candidate.check)
    labels.chosen = {trace_id: place for trace_id, place in places.items() if trace_id in known}
    if not candidate.check.question:
        labels.affected = dict(ruled(labels.chosen, references))
    return labels


def ruled(places: Mapping[str, RuleMatch], references: ShortIds) -> Iterator[tuple[str, Affected]]:
    """The places that a rule chose, each with its words; where it looked at none, with the first
    text of the span."""
    unproven = [trace_id for trace_id, place in places.items() if place.evidence is None]
    proofs = {t: p.evidence for t, p in places.items() if p.evidence}
    for trace in references.traces(unproven):
        proof = first_words(trace, places[trace.trace_id].span_id)
        if proof:
            proofs[trace.trace_id] = proof
    for trace_id, proof in proofs.items():
        place = Affected(
            trace_id=trace_id, span_id=proof.span_id, reason=BY_RULE, evidence=(proof,)
        )
        yield trace_id, place


def first_words(trace: Trace, span_id: str | None) -> Evidence | None:
    """The beginning of the first text of a span, or of the trace's first one."""
    span = trace.by_id.get(span_id) if span_id else next(iter(trace.spans), None)
    if span is None:
        return None
    field, text = next(texts_of(span), ("", ""))
    return locate(trace, span.span_id, text.strip()[:MAX_QUOTE], field)


# -- asking a model ------------------------------------------------------------------------------

FIELDS: dict[str, Any] = {
    "shows": {
        "type": "array",
        "description": 'list of {"finding": "F1", "span": "T3.5", "quote": "...", "why": "..."}',
        "items": {
            "type": "object",
            "properties": {
                "finding": {"type": "string"},
                "span": {"type": "string"},
                "quote": {"type": "string"},
                "why": {"type": ["string", "null"]},
            },
            "required": ["finding", "span", "quote"],
        },
    }
}


def question_of(asked: Sequence[FindingLabels]) -> str:
    """All checks as one question."""
    listed = "\n\n".join(definition_of(labels.candidate) for labels in asked)
    return filled(prompt("judge"), question=f"The failures:\n\n{listed}")


def definition_of(candidate: Candidate) -> str:
    """What counts as one failure."""
    put_right = DETOUR if candidate.is_detour else PUT_RIGHT
    return f"{candidate.id}: {candidate.title}\n{candidate.check.question}\n{put_right}"


def proof_check(asked: Sequence[FindingLabels], references: ShortIds) -> Any:
    """What is wrong with the quotes of a row, so that they can be mended once."""
    known = {labels.candidate.id for labels in asked}

    def check(trace_id: str, row: Row) -> str | None:
        for hit in row["shows"]:
            if hit["finding"] not in known:
                return f"there is no failure {hit['finding']!r}"
            if proof_of(trace_id, hit, references) is None:
                return f"the quote {hit['quote'][:80]!r} is not in {hit['span']}"
        return None

    return check


def proof_of(trace_id: str, hit: Row, references: ShortIds) -> Evidence | None:
    """The quote of one hit, in the span it names, or wherever it is in that trace."""
    trace = references.trace(trace_id)
    place = references.span(hit["span"], trace_id)
    spans = [place[1]] if place and place[0] == trace_id else []
    for span_id in (*spans, *trace.by_id):
        proof = locate(trace, span_id, hit["quote"])
        if proof:
            return proof
    return None


def note(row: Row, asked: Sequence[FindingLabels], references: ShortIds) -> None:
    """Put one row to the labels."""
    trace_id = references.trace_id(row["trace"]) or ""
    hits = {hit["finding"]: hit for hit in row["shows"]}
    for labels in asked:
        if trace_id in labels.sample:
            labels.judged.add(trace_id)
        hit = hits.get(labels.candidate.id)
        proof = proof_of(trace_id, hit, references) if hit else None
        if hit and proof:
            labels.affected[trace_id] = Affected(
                trace_id=trace_id,
                span_id=proof.span_id,
                reason=redact_for_prompt(str(hit.get("why") or labels.candidate.title)),
                evidence=(proof,),
            )


def failure_of(row: Row, references: ShortIds) -> Failure:
    """A trace about which no usable answer came."""
    where = references.trace_id(row["trace"]) or row["trace"]
    return Failure(stage="labelling", where=where, what=str(row["error"]))
