"""What the analyst submits: a finding that is proven in some traces and not yet counted in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from halo_engine.errors import EngineError
from halo_engine.failure_modes import CATALOGUE, OTHER
from halo_engine.findings import Evidence, Severity
from halo_engine.quotes import MAX_QUOTE, locate
from halo_engine.rlm.sandbox.base import HostError
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.schema import FrozenModel
from halo_engine.store import Hit, TraceStore

MODES = (*(mode.slug for mode in CATALOGUE), OTHER)
MAX_ROWS = 1_000_000
MAX_CANDIDATES = 40
MAX_EVIDENCE = 20
TEXT_CHARS = {"title": 160, "summary": 1500, "cause": 1000, "recommendation": 1000}


class Impact(StrEnum):
    """What a failure does, worst first. It decides the severity."""

    HARM = "harm"
    WRONG_OUTCOME = "wrong_outcome"
    DEGRADED = "degraded"
    COSMETIC = "cosmetic"

    @property
    def severity(self) -> Severity:
        """Critical for what cannot be taken back, high for a wrong result, and so on down."""
        return list(Severity)[list(Impact).index(self)]


IMPACTS = {
    Impact.HARM: "money, data or safety is lost in a way that cannot be taken back",
    Impact.WRONG_OUTCOME: "the user ends up with a wrong or no result, or is told an untruth",
    Impact.DEGRADED: "the result is right in the end, at the cost of time, money or detours",
    Impact.COSMETIC: "only how it looks",
}


class RuleMatch(NamedTuple):
    """Where a rule holds: a span (None: the whole trace), and the words if it looked at words."""

    span_id: str | None
    evidence: Evidence | None


class FindingCheck(FrozenModel):
    """How to tell whether a trace shows a finding.

    ``pattern`` (RE2, in ``field`` or any text) or ``sql`` (rows of trace_id, span_id) choose the
    spans; ``question`` is then put to a model about each of their traces, or about all traces where
    neither is given.
    """

    pattern: str | None = None
    field: str | None = None
    sql: str | None = None
    question: str | None = None

    @property
    def narrows(self) -> bool:
        """Whether a rule, and not only a model, says which traces can show it."""
        return bool(self.pattern or self.sql)

    def __str__(self) -> str:
        parts = {"text matches": self.pattern, "SQL": self.sql, "judged": self.question}
        return "; ".join(f"{name} {text}" for name, text in parts.items() if text)


class Candidate(FrozenModel):
    """A submitted finding. ``evidence`` was looked up; ``check`` was tried."""

    id: str
    title: str
    failure_mode: str
    summary: str
    cause: str
    recommendation: str
    impact: Impact
    evidence: tuple[Evidence, ...]
    check: FindingCheck

    @property
    def is_detour(self) -> bool:
        """Whether it is about runs that come out right in the end, so that this refutes nothing."""
        return self.impact in (Impact.DEGRADED, Impact.COSMETIC)

    @property
    def trace_ids(self) -> tuple[str, ...]:
        """The traces it cites, each once."""
        return tuple(dict.fromkeys(e.trace_id for e in self.evidence))


class Submission(NamedTuple):
    """What came of a submission: a candidate, or everything that is wrong with it.

    ``not_found`` counts the quotes that were not found, ``held`` the traces in which the rule of
    the check holds (None: it has none).
    """

    candidate: Candidate | None
    problems: list[str]
    not_found: int
    held: int | None


def submission_of(
    id: str, fields: Mapping[str, Any], references: ShortIds, rules: CheckRules
) -> Submission:
    """The candidate that ``fields`` make; its quotes are looked up and its rule is tried."""
    problems = [*wrong_texts(fields), *wrong_choices(fields)]
    evidence, unproven = evidence_of(fields.get("evidence"), references)
    problems += unproven
    if not evidence:
        problems.append("evidence: not one quote was found, so there is no finding.")
    check, wrong = check_of(fields.get("check"))
    held, missed = held_by(check, evidence, references, rules) if check else (None, [])
    problems += [*wrong, *missed]
    if problems or check is None:
        return Submission(None, problems, len(unproven), held)
    texts = {name: str(fields[name]).strip()[:most] for name, most in TEXT_CHARS.items()}
    candidate = Candidate(
        id=id,
        failure_mode=str(fields["failure_mode"]),
        impact=Impact(fields["impact"]),
        evidence=tuple(evidence),
        check=check,
        **texts,
    )
    return Submission(candidate, [], 0, held)


def wrong_texts(fields: Mapping[str, Any]) -> list[str]:
    """Texts that are missing."""
    missing = [n for n in TEXT_CHARS if not str(fields.get(n) or "").strip()]
    return [f"{name}: write a text." for name in missing]


def wrong_choices(fields: Mapping[str, Any]) -> list[str]:
    """Choices that there are not."""
    problems = []
    if fields.get("failure_mode") not in MODES:
        problems.append(f"failure_mode: choose one of {', '.join(MODES)}.")
    if fields.get("impact") not in list(Impact):
        problems.append(f"impact: choose one of {', '.join(Impact)}.")
    return problems


def evidence_of(given: Any, references: ShortIds) -> tuple[list[Evidence], list[str]]:
    """The evidence that was found, and what is wrong with the rest."""
    if not isinstance(given, Sequence) or isinstance(given, str):
        return [], ['evidence: give a list of {"span": "T3.5", "quote": "..."}.']
    found: list[Evidence] = []
    problems: list[str] = []
    for number, item in enumerate(given[:MAX_EVIDENCE], start=1):
        try:
            found.append(one_evidence(item, references))
        except HostError as error:
            problems.append(f"evidence {number}: {error}")
    return list(dict.fromkeys(found)), problems


def one_evidence(item: Any, references: ShortIds) -> Evidence:
    """One quote, looked up; raises ``HostError`` with what is wrong."""
    if not isinstance(item, Mapping):
        raise HostError('write {"span": "T3.5", "quote": "..."}.')
    place = references.span(item.get("span"), item.get("trace"))
    if place is None:
        raise HostError(f"there is no span {item.get('span')!r}; write it like T3.5.")
    quote, field = str(item.get("quote") or ""), item.get("field")
    proof = locate(references.trace(place[0]), place[1], quote, str(field) if field else None)
    if proof is None:
        raise HostError(
            f"these words are not in span {item.get('span')}: {quote[:120]!r}. Copy at least 8 "
            f"characters of one text exactly; read_span() shows the texts."
        )
    return proof


def check_of(given: Any) -> tuple[FindingCheck | None, list[str]]:
    """The check, and what is wrong with its form."""
    if not isinstance(given, Mapping) or not set(given) <= set(FindingCheck.model_fields):
        return None, [
            'check: give {"question": "..."}, {"pattern": "...", "field": "output"} or '
            '{"sql": "SELECT trace_id, span_id FROM spans WHERE ..."}; a rule and a question '
            "together put the question only where the rule holds."
        ]
    check = FindingCheck(**{name: str(value) for name, value in given.items() if value})
    if not check.narrows and not check.question:
        return None, ["check: a pattern, an sql or a question is needed."]
    return check, []


def held_by(
    check: FindingCheck, evidence: Sequence[Evidence], references: ShortIds, rules: CheckRules
) -> tuple[int | None, list[str]]:
    """In how many traces the rule holds (None: there is no rule), and what is wrong with it.

    A rule that misses what is cited as proof counts wrongly.
    """
    if not check.narrows:
        return None, []
    try:
        places = rules.places(check)
    except HostError as error:
        return None, [f"check: {error}"]
    cited = dict.fromkeys(e.trace_id for e in evidence)
    missed = ", ".join(references.name(t) for t in cited if t not in places)
    if not missed:
        return len(places), []
    return len(places), [
        f"check: its rule holds in {len(places)} traces, but not in {missed}, which you cite. "
        f"Widen the rule, cite other traces, or give a question alone."
    ]


class CheckRules:
    """The rules of checks over ``store``. What one chooses is kept: the traces do not change."""

    def __init__(self, store: TraceStore) -> None:
        self.store = store
        self.places = lru_cache(maxsize=MAX_CANDIDATES)(self._places)

    def _places(self, check: FindingCheck) -> dict[str, RuleMatch]:
        """The first place in each trace that the rule of ``check`` chooses.

        With a pattern and an sql a trace has to satisfy both. Raises ``HostError`` for a rule that
        fails.
        """
        try:
            matched = by_pattern(check, self.store) if check.pattern else None
            chosen = by_sql(check.sql, self.store) if check.sql else None
        except EngineError as error:
            raise HostError(str(error)) from error
        if matched is None or chosen is None:
            return matched or chosen or {}
        return {trace_id: place for trace_id, place in matched.items() if trace_id in chosen}


def by_pattern(check: FindingCheck, store: TraceStore) -> dict[str, RuleMatch]:
    """Where the pattern first matches, with the words around it as they stand there."""
    fields = [check.field] if check.field else None
    hits = store.first_matches(str(check.pattern), fields=fields)
    return {hit.trace_id: RuleMatch(hit.span_id, evidence_at(hit)) for hit in hits}


def evidence_at(hit: Hit) -> Evidence:
    """A match as evidence: the store has found it in the text itself."""
    return Evidence(
        trace_id=hit.trace_id,
        span_id=hit.span_id,
        field=hit.field.replace("status_message", "status.message"),
        quote=hit.snippet[:MAX_QUOTE],
        offset=hit.snippet_offset,
    )


def by_sql(query: str, store: TraceStore) -> dict[str, RuleMatch]:
    """The first row of each trace."""
    rows = store.sql(query, rows=MAX_ROWS, columns=("trace_id", "span_id"))
    if rows and "trace_id" not in rows[0]:
        raise HostError("the sql has to give columns trace_id and span_id.")
    places = [(str(row["trace_id"]), RuleMatch(row.get("span_id"), None)) for row in rows]
    return dict(reversed(places))
