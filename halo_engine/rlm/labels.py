"""Which traces show a finding: its check, over all of them or over a random part.

What a rule can tell is told by the rule, over every trace and for nothing. What takes a model is
asked once for all findings together, so that a trace is read once; where the budget does not reach,
traces are drawn at random, and the rest counts as not analysed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from halo_engine.findings import Affected, Evidence, Prevalence, prevalence_of
from halo_engine.models import Budget
from halo_engine.models.base import Price, TokenUsage
from halo_engine.references import References
from halo_engine.rlm.candidates import Candidate, Place, places_of
from halo_engine.rlm.mapping import LIKELY_ROW_TOKENS, PAGE_TRACES, PASSAGE_CHARS, Mapper, Row
from halo_engine.rlm.prompts import filled, prompt
from halo_engine.schema import Failure, Trace
from halo_engine.store import TraceStore
from halo_engine.transcript import Page, clean, total
from halo_engine.verify import MAX_QUOTE, locate, texts_of

# How many characters of traces stand for a token that is paid: the ledger charges what it was.
CHARS_PER_TOKEN = 3
DEFINITION_CHARS = 600
MEASURED_TRACES = 20
BY_RULE = "The rule of this finding holds here."


@dataclass
class Labels:
    """What the check of one candidate says.

    ``chosen`` are the traces in which its rule holds (None: there is no rule), ``judged`` those
    about which a model was asked.
    """

    candidate: Candidate
    chosen: dict[str, Place] | None = None
    judged: set[str] = field(default_factory=set)
    affected: dict[str, Affected] = field(default_factory=dict)

    def counts(self, trace_id: str, sample: Set[str]) -> bool:
        """Whether a model's answer about ``trace_id`` counts: it was chosen by rule or by lot."""
        return trace_id in (sample if self.chosen is None else self.chosen)

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
    purse = Purse(budget, price, reading_sizes(store, references), len(asked))
    narrowed = purse.reach(drawn({t for labels in asked for t in labels.chosen or ()}, seed), 0.5)
    is_open = any(labels.chosen is None for labels in asked)
    sample = purse.reach(drawn(references.trace_ids, seed), 1.0) if is_open else []
    chosen = list(dict.fromkeys((*narrowed, *sample)))
    if not chosen:
        return everything, [], 0
    rows = mapper.rows(
        chosen, question_of(asked), FIELDS, purpose="label", check=proof_check(asked, references)
    )
    failures = [failure_of(row, references) for row in rows if "error" in row]
    in_sample = set(sample)
    for row in rows:
        if "error" not in row:
            note(row, asked, references, in_sample)
    return everything, failures, sum(bool(row.get("shortened")) for row in rows)


def by_rule(candidate: Candidate, store: TraceStore, references: References) -> Labels:
    """What the rule of ``candidate`` says; with a question as well, only where to ask it."""
    labels = Labels(candidate)
    if not candidate.check.narrows:
        return labels
    known = set(references.trace_ids)
    places = places_of(candidate.check, store)
    labels.chosen = {trace_id: place for trace_id, place in places.items() if trace_id in known}
    if not candidate.check.question:
        labels.affected = dict(ruled(labels.chosen, references))
    return labels


def ruled(places: Mapping[str, Place], references: References) -> Iterator[tuple[str, Affected]]:
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


def drawn(trace_ids: Iterable[str], seed: int) -> list[str]:
    """``trace_ids`` in an order that is random, and always the same for a ``seed``."""
    return sorted(trace_ids, key=lambda t: hashlib.sha256(f"{seed}{t}".encode()).digest())


def reading_sizes(store: TraceStore, references: References) -> dict[str, float]:
    """About how many characters there are to read of each trace.

    The store holds conversations many times over, a transcript once: how much shorter it is is
    measured on some traces.
    """
    sizes = dict(store.in_order())
    some = drawn(sizes, 0)[:MEASURED_TRACES]
    held = sum(sizes[trace_id] for trace_id in some)
    read = sum(
        total(Page(PASSAGE_CHARS[0]).lines("T1", references.trace(trace_id))) for trace_id in some
    )
    return {trace_id: size * read / max(1, held) for trace_id, size in sizes.items()}


class Purse:
    """Says for how many traces the rest of the budget is likely to reach.

    An estimate only, so that no trace is begun in vain: the budget itself holds whatever comes.
    """

    def __init__(
        self, budget: Budget, price: Price | None, sizes: Mapping[str, float], findings: int
    ) -> None:
        left = budget.left()
        self._price = price
        self._sizes = sizes
        self._findings = findings
        self._usd = left.usd if price else None
        self._tokens = left.prompt_tokens if budget.limits.tokens else None

    def reach(self, trace_ids: Sequence[str], share: float) -> list[str]:
        """The first of ``trace_ids`` for which ``share`` of what is left is enough."""
        usd, tokens = scaled(self._usd, share), scaled(self._tokens, share)
        kept: list[str] = []
        for trace_id in trace_ids:
            usage = self.usage([trace_id])
            usd = usd - self._price.of(usage) if usd is not None and self._price else None
            tokens = tokens - usage.total if tokens is not None else None
            if min(x for x in (usd, tokens, 0) if x is not None) < 0:
                break
            kept.append(trace_id)
            self._take(usage)
        return kept

    def usage(self, trace_ids: Collection[str]) -> TokenUsage:
        """Tokens to read ``trace_ids`` once."""
        each = self._findings * DEFINITION_CHARS / PAGE_TRACES
        chars = sum(self._sizes[trace_id] + each for trace_id in trace_ids)
        completion = len(trace_ids) * LIKELY_ROW_TOKENS
        return TokenUsage(prompt=int(chars / CHARS_PER_TOKEN), completion=completion)

    def _take(self, usage: TokenUsage) -> None:
        if self._usd is not None and self._price:
            self._usd -= self._price.of(usage)
        if self._tokens is not None:
            self._tokens -= usage.total


def scaled(value: float | None, share: float) -> float | None:
    """``share`` of ``value``; no limit stays none."""
    return None if value is None else value * share


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


def note(row: Row, asked: Sequence[Labels], references: References, sample: Set[str]) -> None:
    """Put one row to the labels for which it counts."""
    trace_id = references.trace_id(row["trace"]) or ""
    hits = {hit["finding"]: hit for hit in row["shows"]}
    for labels in asked:
        if not labels.counts(trace_id, sample):
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
