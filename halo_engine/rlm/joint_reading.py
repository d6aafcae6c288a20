"""A joint reading: the claims of several findings are examined in traces, each of which is read once.

Traces about which the same claims are asked stand together, and so do runs of one task. A page holds
the claims that are asked about its traces, and under the name of each trace which these are. Models
wrote the claims that had read untrusted text: they are data, as the traces are.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from halo_engine.findings import Evidence
from halo_engine.rlm.candidates import Candidate
from halo_engine.rlm.judging import HARM, claim_notes
from halo_engine.rlm.mapping import Mapper, Row
from halo_engine.rlm.pages.batches import PageLayout
from halo_engine.rlm.pages.detail import Detail
from halo_engine.rlm.prompts import prompt
from halo_engine.rlm.read_again import ClaimAnswer, ReadAgain
from halo_engine.rlm.row_fields import RowField
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.statistics.sampling import seeded_order
from halo_engine.text.sanitize import safe_line, shorten, strip_invisible

SUMMARY_CHARS, REASON_CHARS = 600, 500
# In a claim it would say of a trace why it is asked about.
TRACE_NAME = re.compile(r"\bT\d{1,9}(?:\.\d{1,9}[a-z]{0,2})?\b")
# Tokens of an answer about one claim: the maximum, beside those of the row that holds it.
CLAIM_TOKENS, EMPTY_ROW_TOKENS = 150, 50
CITED = (
    "The analyst cites these runs as examples; behind a claim stand the names of the lines that are "
    "quoted as its proof."
)
BLIND = (
    "Most are asked about because a rule holds there, or nearly holds, or because somebody found the "
    "behaviour there; some are controls in which it was not found. Which are which is not said."
)
CLAIM_FIELDS = {
    "claims": RowField(
        type="array",
        description=(
            'an answer about each claim that is asked about the trace, like {"claim": "F1", "shows": '
            'true, "harm": null, "put_right": false, "earlier_cause": null, "why": "..."}'
        ),
        items=RowField(
            type="object",
            members={
                "claim": RowField(is_nullable=False),
                "shows": RowField(type="boolean"),
                "harm": HARM,
                "put_right": RowField(type="boolean"),
                "earlier_cause": RowField(),
                "why": RowField(),
            },
            is_nullable=False,
        ),
        is_nullable=False,
    )
}


@dataclass(frozen=True)
class Examination:
    """A claim, that of ``candidate``, and traces to examine; what is ``quoted`` there is not cut."""

    candidate: Candidate
    trace_ids: Sequence[str]
    quoted: Sequence[Evidence] = ()


@dataclass(frozen=True)
class JointReading:
    """Some examinations, one of each claim, for which each trace is read once.

    ``is_blind``: readers are not told what is quoted, nor why a trace is asked about. Traces of one
    of the ``groups``, by trace id, stand together, since they share texts.
    """

    examined: Sequence[Examination]
    mapper: Mapper
    short_ids: ShortIds
    seed: int
    is_blind: bool = True
    groups: Mapping[str, Hashable] = field(default_factory=dict)

    @cached_property
    def claims(self) -> dict[str, list[str]]:
        """The ids of the claims that are asked about each trace, in the order of reading."""
        found: dict[str, list[str]] = {}
        for examination in self.examined:
            # In another order than that in which samples are drawn: hits and others are mixed.
            for trace_id in seeded_order(examination.trace_ids, self.seed + 1):
                found.setdefault(trace_id, []).append(examination.candidate.id)
        places = {self._group(trace_id): n for n, trace_id in reversed(list(enumerate(found)))}
        order = sorted(found, key=lambda trace_id: places[self._group(trace_id)])
        return {trace_id: found[trace_id] for trace_id in order}

    def _group(self, trace_id: str) -> Hashable:
        """The group of a trace; one that is in none is its own."""
        return self.groups.get(trace_id, trace_id)

    @cached_property
    def must_show(self) -> dict[str, list[Evidence]]:
        """The quotes of each trace that tell something."""
        found: dict[str, list[Evidence]] = {}
        for examination in self.examined:
            for evidence in filter(is_telling, examination.quoted):
                found.setdefault(evidence.trace_id, []).append(evidence)
        return {trace_id: list(dict.fromkeys(quotes)) for trace_id, quotes in found.items()}

    @cached_property
    def heads(self) -> dict[str, str]:
        """The line under the name of each trace."""
        quoted = {} if self.is_blind else self._quoted_lines()
        return {
            trace_id: "Claims: " + ", ".join(f"{id}{quoted.get((id, trace_id), '')}" for id in ids)
            for trace_id, ids in self.claims.items()
        }

    @cached_property
    def layout(self) -> PageLayout:
        """How the traces are shown."""
        return PageLayout(Detail.DIGEST, self.must_show, self.heads)

    def cost(self) -> tuple[int, int, float | None]:
        """The estimated calls, tokens and USD (None: unknown price)."""
        pages = self.mapper.batches(list(self.claims), layout=self.layout)
        asked = prompt("review")
        prompts = [asked + self._page_texts(p.trace_ids)["claims"] + p.text for p in pages]
        return self.mapper.cost_of(prompts, sum(map(len, self.claims.values())))

    def read(self, purpose: str) -> dict[str, ReadAgain]:
        """What is answered about each claim, by its id."""
        rows = self.mapper.rows(
            list(self.claims),
            prompt("review"),
            CLAIM_FIELDS,
            purpose=purpose,
            check=self._problem,
            texts={"selection": BLIND if self.is_blind else CITED},
            page_texts=self._page_texts,
            row_tokens={
                t: EMPTY_ROW_TOKENS + CLAIM_TOKENS * len(ids) for t, ids in self.claims.items()
            },
            layout=self.layout,
        )
        answered = {
            self.short_ids.trace_id(row["trace"]) or "": {a["claim"]: a for a in row["claims"]}
            for row in rows
            if "error" not in row
        }
        return {e.candidate.id: read_in(answered, e) for e in self.examined}

    def _page_texts(self, trace_ids: Sequence[str]) -> Mapping[str, str]:
        """The claims that are asked about some of ``trace_ids``, in their order."""
        asked = {id for trace_id in trace_ids for id in self.claims[trace_id]}
        candidates = [e.candidate for e in self.examined if e.candidate.id in asked]
        return {"claims": self.mapper.delimited("\n\n".join(map(claim_text, candidates)))}

    def _problem(self, trace_id: str, row: Row) -> str | None:
        """What is wrong with the answers about one trace: each claim that is asked about has one."""
        asked, answers = self.claims[trace_id], row["claims"]
        answered = [answer["claim"] for answer in answers]
        if sorted(answered) != sorted(asked):
            return f"claims: one answer is needed about each of {', '.join(asked)}, and no other"
        if any("shows" not in answer for answer in answers):
            return "claims: an answer without shows"
        return None

    def _quoted_lines(self) -> dict[tuple[str, str], str]:
        """The names of the spans that are quoted, by claim and trace."""
        telling = [(e, q) for e in self.examined for q in filter(is_telling, e.quoted)]
        names = self.short_ids.span_names((q.trace_id, q.span_id) for _, q in telling)
        found: dict[tuple[str, str], dict[str, None]] = {}
        for examination, quote in telling:
            place = examination.candidate.id, quote.trace_id
            found.setdefault(place, {})[f"[{names[quote.trace_id, quote.span_id]}]"] = None
        return {place: f" (quotes {', '.join(lines)})" for place, lines in found.items()}


def read_in(answered: Mapping[str, Mapping[str, Row]], examination: Examination) -> ReadAgain:
    """What is ``answered`` about one claim; given are the answers by trace and claim."""
    candidate = examination.candidate
    found = {
        trace_id: claim_answer(answered[trace_id][candidate.id], candidate)
        for trace_id in examination.trace_ids
        if trace_id in answered
    }
    return ReadAgain(frozenset(examination.trace_ids), found)


def claim_answer(answer: Row, candidate: Candidate) -> ClaimAnswer:
    """An answer about ``candidate``; what was put right may not show it."""
    is_corrected = answer.get("put_right") is True and not candidate.includes_corrected
    shows = False if answer["shows"] and is_corrected else answer["shows"]
    return ClaimAnswer(shows, answer.get("harm"), safe_line(answer.get("why") or "", REASON_CHARS))


def is_telling(evidence: Evidence) -> bool:
    """Whether a quote shows more than the name of a tool or of a step, which a page shows anyway."""
    return evidence.field.rpartition(".")[2] not in ("name", "tool_name")


def claim_text(candidate: Candidate) -> str:
    """The claim of ``candidate`` under its id, which names no trace."""
    return "\n".join(TRACE_NAME.sub("one run", line) for line in claim_lines(candidate))


def claim_lines(candidate: Candidate) -> Iterator[str]:
    """What is claimed, what is asked, what counts, and what other runs show."""
    yield f"{candidate.id}: {candidate.title}"
    yield shorten(strip_invisible(candidate.summary), SUMMARY_CHARS)
    if candidate.check.question:
        yield f"What is asked: {candidate.check.question}"
    yield from claim_notes(candidate)
