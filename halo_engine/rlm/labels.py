"""Which traces show a finding: its check, over all of them or over a random part.

What a rule can tell is told by the rule, over every trace and for nothing. What takes a model is
asked once for all findings together, so that a trace is read once; where the budget does not reach,
traces are drawn at random, and the rest counts as not analysed.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from halo_engine.findings import Affected, Evidence, Prevalence, prevalence_of
from halo_engine.models import Budget
from halo_engine.models.base import Price, TokenUsage
from halo_engine.references import References
from halo_engine.rlm.candidates import Candidate, places_of
from halo_engine.rlm.mapping import ROW_TOKENS, Mapper, Row
from halo_engine.rlm.prompts import filled, prompt
from halo_engine.schema import Failure
from halo_engine.store import TraceStore
from halo_engine.transcript import clean
from halo_engine.verify import MAX_QUOTE, locate, texts_of

# How many characters of traces stand for a token that is paid: the ledger charges what it was.
CHARS_PER_TOKEN = 3
# A transcript is shorter than what the store holds of a trace, at most by about this.
DEFINITION_CHARS = 600
BY_RULE = "The rule of this finding holds here."


@dataclass
class Labels:
    """What the check of one candidate says.

    ``chosen`` are the traces in which its rule holds (None: there is no rule), ``judged`` those
    about which a model was asked, ``not_proven`` counts answers whose quote was not found.
    """

    candidate: Candidate
    chosen: dict[str, list[tuple[str | None, str | None]]] | None = None
    judged: set[str] = field(default_factory=set)
    affected: dict[str, Affected] = field(default_factory=dict)
    not_proven: int = 0

    @property
    def wants(self) -> frozenset[str] | None:
        """The traces that a model has to read for it; None for all of them."""
        if not self.candidate.check.question:
            return frozenset()
        return None if self.chosen is None else frozenset(self.chosen)

    def prevalence(self, total: int) -> Prevalence | None:
        """How common it is among ``total`` traces; None where nothing was analysed.

        Where a rule chose and only n of the m chosen traces were judged, those n stand for n/m of
        all traces.
        """
        found = len(self.affected)
        if not self.candidate.check.question:
            analysed = total
        elif self.chosen is None:
            analysed = len(self.judged)
        else:
            share = len(self.judged) / len(self.chosen) if self.chosen else 1.0
            analysed = max(found, round(total * share))
        return prevalence_of(min(found, analysed), analysed, total) if analysed else None


def label(
    candidates: Sequence[Candidate],
    store: TraceStore,
    references: References,
    mapper: Mapper,
    budget: Budget,
    price: Price | None,
    *,
    seed: int,
) -> tuple[list[Labels], list[Failure], int]:
    """The labels of ``candidates``, what failed, and how many traces were shortened for it."""
    everything = [by_rule(candidate, store, references) for candidate in candidates]
    asked = [labels for labels in everything if labels.candidate.check.question]
    wanted = wanted_traces(asked, references)
    chosen = affordable(wanted, store, budget, price, len(asked), seed)
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


def by_rule(candidate: Candidate, store: TraceStore, references: References) -> Labels:
    """What the rule of ``candidate`` says; with a question as well, only where to ask it."""
    labels = Labels(candidate)
    if not candidate.check.narrows:
        return labels
    known = set(references.trace_ids)
    labels.chosen = defaultdict(list)
    for trace_id, span_id, match in places_of(candidate.check, store):
        if trace_id in known:
            labels.chosen[trace_id].append((span_id, match))
    if not candidate.check.question:
        for trace_id, places in labels.chosen.items():
            proof = ruled(trace_id, *places[0], candidate, references)
            if proof:
                labels.affected[trace_id] = proof
    return labels


def ruled(
    trace_id: str,
    span_id: str | None,
    match: str | None,
    candidate: Candidate,
    references: References,
) -> Affected | None:
    """The place that a rule found, with the words that matched, or else the first of the span."""
    trace = references.trace(trace_id)
    span = trace.by_id.get(span_id) if span_id else trace.root
    if span is None:
        return None
    quote = match or next((text for _, text in texts_of(span)), "")
    proof = locate(trace, span.span_id, quote[:MAX_QUOTE], candidate.check.field)
    if proof is None:
        return None
    return Affected(trace_id=trace_id, span_id=span.span_id, reason=BY_RULE, evidence=(proof,))


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


def wanted_traces(asked: Sequence[Labels], references: References) -> list[str]:
    """The traces that have to be read for ``asked``."""
    wishes = [labels.wants for labels in asked]
    if None in wishes:
        return list(references.trace_ids)
    some = frozenset().union(*(wish for wish in wishes if wish is not None))
    return [trace_id for trace_id in references.trace_ids if trace_id in some]


def affordable(
    wanted: Sequence[str],
    store: TraceStore,
    budget: Budget,
    price: Price | None,
    findings: int,
    seed: int,
) -> list[str]:
    """As many of ``wanted``, in random order, as the budget is likely to reach for."""
    order = sorted(wanted, key=lambda t: hashlib.sha256(f"{seed}{t}".encode()).digest())
    sizes = dict(store.in_order())
    left, kept = budget.left(), list[str]()
    usd, tokens = left.usd, left.prompt_tokens if budget.limits.tokens else None
    for trace_id in order:
        chars = sizes[trace_id] + findings * DEFINITION_CHARS / 10
        usage = TokenUsage(prompt=int(chars / CHARS_PER_TOKEN), completion=ROW_TOKENS // 2)
        usd = usd - price.of(usage) if usd is not None and price else usd
        tokens = tokens - usage.total if tokens is not None else None
        if (usd is not None and usd < 0) or (tokens is not None and tokens < 0):
            break
        kept.append(trace_id)
    return kept


def question_of(asked: Sequence[Labels]) -> str:
    """All checks as one question."""
    parts = [
        f"{labels.candidate.id}: {labels.candidate.title}\n{labels.candidate.check.question}"
        for labels in asked
    ]
    listed = "\n\n".join(parts)
    return filled(prompt("judge"), question=f"The failures:\n\n{listed}")


def proof_check(asked: Sequence[Labels], references: References) -> Any:
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


def proof_of(trace_id: str, hit: Row, references: References) -> Evidence | None:
    """The quote of one hit, in the span it names, or wherever it is in that trace."""
    trace = references.trace(trace_id)
    place = references.span(hit["span"], trace_id)
    spans = [place[1]] if place and place[0] == trace_id else []
    for span_id in (*spans, *trace.by_id):
        proof = locate(trace, span_id, hit["quote"])
        if proof:
            return proof
    return None


def note(row: Row, asked: Sequence[Labels], references: References) -> None:
    """Put one row to the labels that it is about."""
    trace_id = references.trace_id(row["trace"]) or ""
    hits = {hit["finding"]: hit for hit in row["shows"]}
    for labels in asked:
        if labels.chosen is not None and trace_id not in labels.chosen:
            continue
        labels.judged.add(trace_id)
        hit = hits.get(labels.candidate.id)
        proof = proof_of(trace_id, hit, references) if hit else None
        if hit and proof:
            labels.affected[trace_id] = Affected(
                trace_id=trace_id,
                span_id=proof.span_id,
                reason=clean(str(hit.get("why") or labels.candidate.title)),
                evidence=(proof,),
            )


def failure_of(row: Row, references: References) -> Failure:
    """A trace about which no usable answer came."""
    where = references.trace_id(row["trace"]) or row["trace"]
    return Failure(stage="labelling", where=where, what=str(row["error"]))
