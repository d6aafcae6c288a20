"""Findings that the root model submits: quoted in some traces, not yet counted in all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from halo_engine.errors import EngineError
from halo_engine.failure_modes import CATALOGUE, OTHER
from halo_engine.findings import Evidence, Severity
from halo_engine.quotes import MAX_QUOTE, locate_quote
from halo_engine.rlm.sandbox.base import HostError
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.schema import FrozenModel
from halo_engine.store import Hit, TraceStore
from halo_engine.text.injection import addresses_analysts
from halo_engine.text.sanitize import safe_line
from halo_engine.text.unicode import valid_text

MODES = (*(mode.slug for mode in CATALOGUE), OTHER)
MAX_CANDIDATES = 40
MAX_EVIDENCE = 20
# What the query of a check returns: a span, and optionally the words that made the row match.
ROW_OF_EACH_TRACE = """
SELECT trace_id, min(found) AS match FROM (
    SELECT COLUMNS('^(trace_id|span_id|quote|field)$') FROM (
{query}
    )
) found GROUP BY trace_id
"""
TEXT_CHARS = {"title": 160, "summary": 1500, "cause": 1000, "recommendation": 1000}
# The most characters of a text in a submission before it is shortened, of a rule, a quote, an id.
MAX_TEXT = 20_000
MAX_QUOTED = 5000
MAX_ID = 500
CHECK_CHARS = {"pattern": 2000, "field": MAX_ID, "sql": MAX_TEXT, "question": MAX_TEXT}


class Impact(StrEnum):
    """The consequence of a failure, worst first; it determines the severity."""

    HARM = "harm"
    WRONG_OUTCOME = "wrong_outcome"
    DEGRADED = "degraded"
    COSMETIC = "cosmetic"

    @property
    def severity(self) -> Severity:
        """The severity of the same rank."""
        return list(Severity)[list(Impact).index(self)]


IMPACTS = {
    Impact.HARM: "money, data or safety is lost in a way that cannot be taken back",
    Impact.WRONG_OUTCOME: "the user ends up with a wrong or no result, or is told an untruth",
    Impact.DEGRADED: "the result is right in the end, at the cost of time, money or detours",
    Impact.COSMETIC: "only how it looks",
}


class RuleMatch(NamedTuple):
    """A match of a rule in a trace: the span (None: the trace as a whole) and the matched text.

    For a rule in SQL ``evidence`` is None, and ``quote`` in ``field`` are the words that the query
    returned as those that made the row match, if it did. They are not verified.
    """

    span_id: str | None
    evidence: Evidence | None = None
    quote: str | None = None
    field: str | None = None


class FindingCheck(FrozenModel):
    """How to decide whether a trace shows a finding.

    The rule, ``pattern`` (RE2, in ``field`` or in any text) or ``sql`` (rows of trace_id, span_id)
    or both, selects spans. A model is asked ``question`` about each of their traces, or about all
    traces if there is no rule.
    """

    pattern: str | None = None
    field: str | None = None
    sql: str | None = None
    question: str | None = None

    @property
    def has_rule(self) -> bool:
        """Whether a rule selects the traces that can show the finding."""
        return bool(self.pattern or self.sql)

    def __str__(self) -> str:
        parts = {"text matches": self.pattern, "SQL": self.sql, "judged": self.question}
        return "; ".join(f"{name} {text}" for name, text in parts.items() if text)


class Candidate(FrozenModel):
    """A submitted finding. ``evidence`` was verified, the rule of ``check`` was executed."""

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
    def includes_corrected(self) -> bool:
        """Whether a trace shows it even if the agent corrected the failure later.

        That is so for an impact on cost or appearance, which a correct result does not refute.
        """
        return self.impact in (Impact.DEGRADED, Impact.COSMETIC)

    @property
    def trace_ids(self) -> tuple[str, ...]:
        """The ids of the traces that it cites, without duplicates."""
        return tuple(dict.fromkeys(e.trace_id for e in self.evidence))


class Submission(NamedTuple):
    """The outcome of a submission: a candidate, or the problems for which it was refused.

    ``quotes_not_found`` counts the items of its evidence that were not verified,
    ``matching_traces`` the traces in which the rule of the check matches (None: it has no rule).
    ``notes`` say what of an accepted submission was not kept, or will be missing.
    """

    candidate: Candidate | None
    problems: list[str]
    quotes_not_found: int
    matching_traces: int | None
    notes: tuple[str, ...] = ()


def submission_of(
    id: str, fields: Mapping[str, Any], short_ids: ShortIds, rules: CheckRules
) -> Submission:
    """Verify the evidence in ``fields``, execute its rule, and make a candidate of them."""
    problems = [*missing_texts(fields), *instructing_texts(fields), *invalid_choices(fields)]
    evidence, unverified = evidence_of(fields.get("evidence"), short_ids)
    problems += unverified
    if not evidence:
        problems.append("evidence: not one quote was found, so there is no finding.")
    check, invalid = check_of(fields.get("check"))
    matching, missed = rule_problems(check, evidence, short_ids, rules) if check else (None, [])
    problems += [*invalid, *missed]
    if problems or check is None:
        return Submission(None, problems, len(unverified), matching)
    texts = {name: shown_text(fields, name) for name in TEXT_CHARS}
    candidate = Candidate(
        id=id,
        failure_mode=text_in(fields, "failure_mode") or OTHER,
        impact=Impact(text_in(fields, "impact") or ""),
        evidence=tuple(evidence),
        check=check,
        **texts,
    )
    notes = (*cuts(fields), *missing_words(check, rules))
    return Submission(candidate, [], 0, matching, notes)


def shown_text(fields: Mapping[str, Any], name: str) -> str:
    """The text called ``name`` as it can be stored and shown anywhere, as one line.

    A model wrote it that has read untrusted text.
    """
    return safe_line(text_in(fields, name) or "", TEXT_CHARS[name])


def cuts(fields: Mapping[str, Any]) -> Iterator[str]:
    """A note on each part of a submission that is longer than what is kept of it."""
    if len(fields["evidence"]) > MAX_EVIDENCE:
        yield f"evidence: the first {MAX_EVIDENCE} of {len(fields['evidence'])} quotes are kept."
    for name, chars in TEXT_CHARS.items():
        if len(text_in(fields, name) or "") > chars:
            yield f"{name}: the first {chars:,} characters are kept."


def missing_words(check: FindingCheck, rules: CheckRules) -> Iterator[str]:
    """A note on a query alone that does not return the words that make its rows match."""
    if not check.sql or check.pattern or check.question:
        return
    matches = rules.matches(check).values()
    if wordless := sum(not match.quote for match in matches):
        yield (
            f"check: the sql returns no quote for {wordless} of {len(matches)} traces, so that they "
            f"have no proof but what you cite. If words of a field decide, return them as quote, and "
            f"the name of the field as field."
        )


def text_in(fields: Mapping[str, Any], name: str, limit: int = MAX_TEXT) -> str | None:
    """The text called ``name``; None if there is none, or it is too long or no valid Unicode."""
    value = fields.get(name)
    if not isinstance(value, str) or len(value) > limit or value != valid_text(value):
        return None
    return value.strip() or None


def missing_texts(fields: Mapping[str, Any]) -> list[str]:
    """A problem for each required text that is missing."""
    missing = [name for name in TEXT_CHARS if text_in(fields, name) is None]
    return [f"{name}: write a text." for name in missing]


def instructing_texts(fields: Mapping[str, Any]) -> list[str]:
    """A problem for each text that is worded for its readers: models read it as a claim."""
    check = fields.get("check")
    question = text_in(check, "question") if isinstance(check, Mapping) else None
    texts = {name: text_in(fields, name) for name in TEXT_CHARS} | {"check.question": question}
    return [
        f"{name}: say what the agent does, and nothing to whoever reads it."
        for name, text in texts.items()
        if text and addresses_analysts(text)
    ]


def invalid_choices(fields: Mapping[str, Any]) -> list[str]:
    """A problem for an unknown failure mode and for an unknown impact."""
    problems = []
    if text_in(fields, "failure_mode") not in MODES:
        problems.append(f"failure_mode: choose one of {', '.join(MODES)}.")
    if text_in(fields, "impact") not in list(Impact):
        problems.append(f"impact: choose one of {', '.join(Impact)}.")
    return problems


def evidence_of(items: Any, short_ids: ShortIds) -> tuple[list[Evidence], list[str]]:
    """The verified evidence in ``items``, and a problem for each of the other items."""
    if not isinstance(items, Sequence) or isinstance(items, str):
        return [], ['evidence: give a list of {"span": "T3.5", "quote": "..."}.']
    verified: list[Evidence] = []
    problems: list[str] = []
    for number, item in enumerate(items[:MAX_EVIDENCE], start=1):
        try:
            verified.append(verified_quote(item, short_ids))
        except HostError as error:
            problems.append(f"evidence {number}: {error}")
    return list(dict.fromkeys(verified)), problems


def verified_quote(item: Any, short_ids: ShortIds) -> Evidence:
    """The quote in ``item``, located in its span; raises ``HostError`` with what is wrong."""
    span = text_in(item, "span", MAX_ID) if isinstance(item, Mapping) else None
    if span is None:
        raise HostError('write {"span": "T3.5", "quote": "..."}.')
    named = short_ids.span(span, text_in(item, "trace", MAX_ID))
    if named is None:
        raise HostError(f"there is no span {span!r}; write it like T3.5.")
    quote, field = text_in(item, "quote", MAX_QUOTED) or "", text_in(item, "field", MAX_ID)
    evidence = locate_quote(short_ids.trace(named.trace_id), named.span_id, quote, field)
    if evidence is None:
        raise HostError(
            f"these words are not in span {span}: {quote[:120]!r}. Copy at least 8 characters of "
            f"one text exactly; read_span() shows the texts."
        )
    return evidence


def check_of(value: Any) -> tuple[FindingCheck | None, list[str]]:
    """The check with the fields ``value``, or what is wrong with them."""
    if not isinstance(value, Mapping) or not set(value) <= set(FindingCheck.model_fields):
        return None, [
            'check: give {"question": "..."}, {"pattern": "...", "field": "output"} or '
            '{"sql": "SELECT trace_id, span_id FROM spans WHERE ..."}; a rule and a question '
            "together put the question only where the rule holds."
        ]
    texts = {name: text_in(value, name, CHECK_CHARS[name]) for name in value if value[name]}
    if None in texts.values():
        return None, ["check: its parts are texts, a pattern of at most 2,000 characters."]
    check = FindingCheck(**texts)
    if not check.has_rule and not check.question:
        return None, ["check: a pattern, an sql or a question is needed."]
    return check, []


def rule_problems(
    check: FindingCheck, evidence: Sequence[Evidence], short_ids: ShortIds, rules: CheckRules
) -> tuple[int | None, list[str]]:
    """In how many traces the rule matches (None: there is no rule), and what is wrong with it.

    A rule that does not match the traces cited as evidence would count wrongly.
    """
    if not check.has_rule:
        return None, []
    try:
        matches = rules.matches(check)
    except HostError as error:
        return None, [f"check: {error}"]
    cited = dict.fromkeys(e.trace_id for e in evidence)
    missed = ", ".join(short_ids.name(t) for t in cited if t not in matches)
    if not missed:
        return len(matches), []
    return len(matches), [
        f"check: its rule holds in {len(matches)} traces, but not in {missed}, which you cite. "
        f"Widen the rule, cite other traces, or give a question alone."
    ]


class CheckRules:
    """Executes the rules of checks on ``store``. Results are cached: the store does not change."""

    def __init__(self, store: TraceStore) -> None:
        self.store = store
        self.matches = lru_cache(maxsize=MAX_CANDIDATES)(self._matches)

    def _matches(self, check: FindingCheck) -> dict[str, RuleMatch]:
        """The first match of the rule of ``check`` in each trace, by trace id.

        If a check has both a pattern and a query, a trace must match both. Raises ``HostError`` for
        a rule that fails.
        """
        try:
            by_pattern = pattern_matches(check, self.store) if check.pattern else None
            by_sql = sql_matches(check.sql, self.store) if check.sql else None
        except EngineError as error:
            raise HostError(str(error)) from error
        if by_pattern is None or by_sql is None:
            return by_pattern or by_sql or {}
        return {trace_id: match for trace_id, match in by_pattern.items() if trace_id in by_sql}


def pattern_matches(check: FindingCheck, store: TraceStore) -> dict[str, RuleMatch]:
    """The first match of the pattern in each trace, with the text around it as evidence."""
    fields = [check.field] if check.field else None
    hits = store.first_matches(str(check.pattern), fields=fields)
    return {hit.trace_id: RuleMatch(hit.span_id, hit_evidence(hit)) for hit in hits}


def hit_evidence(hit: Hit) -> Evidence:
    """A match of the store as evidence; it is in the stored text by construction."""
    return Evidence(
        trace_id=hit.trace_id,
        span_id=hit.span_id,
        field=field_of_column(hit.field),
        quote=hit.snippet[:MAX_QUOTE],
        offset=hit.snippet_offset,
    )


def sql_matches(query: str, store: TraceStore) -> dict[str, RuleMatch]:
    """One of the rows of each trace, the same whatever their order is."""
    rows = store.sql(ROW_OF_EACH_TRACE.format(query=query.strip().rstrip(";")), rows=None)
    return {str(row["trace_id"]): match_of_row(row["match"]) for row in rows}


def match_of_row(row: Mapping[str, Any]) -> RuleMatch:
    """The match of a row of a query; its values can be of any type."""
    texts = {name: None if value is None else str(value) for name, value in row.items()}
    field = texts.get("field")
    return RuleMatch(
        texts.get("span_id"), quote=texts.get("quote"), field=field and field_of_column(field)
    )


def field_of_column(column: str) -> str:
    """The field of a span (see ``fields``) that is stored in ``column``."""
    return column.replace("status_message", "status.message")
