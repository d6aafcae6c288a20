"""The checks of findings: how to tell in which traces a failure shows, by a rule or by a question."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from halo_engine.errors import EngineError
from halo_engine.findings import Evidence
from halo_engine.quotes import MAX_QUOTE
from halo_engine.rlm.sandbox.base import HostError
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.rlm.submitted_texts import MAX_ID, MAX_TEXT, text_in, verified_quote
from halo_engine.schema import FrozenModel
from halo_engine.store import Hit, TraceStore

# What the query of a check returns: a span, and optionally the words that made the row match.
ROW_OF_EACH_TRACE = """
SELECT trace_id, min(found) AS match FROM (
    SELECT COLUMNS('^(trace_id|span_id|quote|field)$') FROM (
{query}
    )
) found GROUP BY trace_id
"""
CHECK_CHARS = {"pattern": 2000, "field": MAX_ID, "sql": MAX_TEXT, "question": MAX_TEXT}
MAX_LISTED = 20_000
CACHED_RULES = 40
# Problems with the traces of a list that are told at once.
TOLD_PROBLEMS = 5
FORMS = (
    'check: give {"question": "..."}, {"pattern": "...", "field": "output"}, {"sql": "SELECT '
    'trace_id, span_id FROM spans WHERE ..."} or {"traces": ["T1", {"trace": "T2", "span": "T2.4", '
    '"quote": "..."}, ...]}; a rule and a question together put the question only where the rule '
    "holds."
)


class RuleMatch(NamedTuple):
    """A match of a rule in a trace: the span (None: the trace as a whole) and the matched text.

    For a rule in SQL ``evidence`` is None, and ``quote`` in ``field`` are the words that the query
    returned as those that made the row match, if it did. They are not verified.
    """

    span_id: str | None
    evidence: Evidence | None = None
    quote: str | None = None
    field: str | None = None


class ListedTrace(FrozenModel):
    """A trace of a list that code computed, with the span and the verified quote that prove it."""

    trace_id: str
    span_id: str | None = None
    evidence: Evidence | None = None


class FindingCheck(FrozenModel):
    """How to decide whether a trace shows a finding.

    The rule selects traces: ``pattern`` (RE2, in ``field`` or in any text), ``sql`` (rows of
    trace_id, span_id), a list of ``traces``, or several of these, which all must hold. A model is
    asked ``question`` about each of their traces, or about all traces if there is no rule.
    """

    pattern: str | None = None
    field: str | None = None
    sql: str | None = None
    traces: tuple[ListedTrace, ...] = ()
    question: str | None = None

    @property
    def is_list(self) -> bool:
        """Whether it is a list of traces and nothing else."""
        return self == FindingCheck(traces=self.traces) and bool(self.traces)

    @property
    def has_rule(self) -> bool:
        """Whether a rule selects the traces that can show the finding."""
        return bool(self.pattern or self.sql or self.traces)

    def __str__(self) -> str:
        listed = f"{len(self.traces):,} traces that the analysis computed" if self.traces else None
        parts = {"text matches": self.pattern, "SQL": self.sql, "list of": listed}
        parts["judged"] = self.question
        return "; ".join(f"{name} {text}" for name, text in parts.items() if text)


class CheckRules:
    """Executes the rules of checks on ``store``. Results are cached: the store does not change.

    ``groups`` are the groups of comparable runs by trace id, as far as they are known. Lists of
    traces were made by what is known of those ``surveyed`` (None: of all).
    """

    def __init__(self, store: TraceStore, groups: Mapping[str, Hashable] | None = None) -> None:
        self.store = store
        self.groups: Mapping[str, Hashable] = groups or {}
        self.surveyed: frozenset[str] | None = None
        self.matches = lru_cache(maxsize=CACHED_RULES)(self._matches)

    def _matches(self, check: FindingCheck) -> dict[str, RuleMatch]:
        """The first match of the rule of ``check`` in each trace, by trace id.

        A trace must match every part of the rule; its match is that of the first part with words.
        Raises ``HostError`` for a rule that fails.
        """
        try:
            parts = [
                *(
                    [pattern_matches(check.pattern, check.field, self.store)]
                    if check.pattern
                    else []
                ),
                *([listed_matches(check.traces)] if check.traces else []),
                *([sql_matches(check.sql, self.store)] if check.sql else []),
            ]
        except EngineError as error:
            raise HostError(str(error)) from error
        common = set.intersection(*map(set, parts)) if parts else set()
        return {
            trace_id: most_telling([part[trace_id] for part in parts])
            for trace_id in (parts[0] if parts else ())
            if trace_id in common
        }


def most_telling(matches: Sequence[RuleMatch]) -> RuleMatch:
    """The first of ``matches`` with evidence, else with words, else with a span, else any."""

    def words(match: RuleMatch) -> tuple[bool, bool, bool]:
        return match.evidence is None, not match.quote, match.span_id is None

    return min(matches, key=words)


def listed_matches(listed: Sequence[ListedTrace]) -> dict[str, RuleMatch]:
    """The traces of a list."""
    return {item.trace_id: RuleMatch(item.span_id, item.evidence) for item in listed}


def pattern_matches(pattern: str, field: str | None, store: TraceStore) -> dict[str, RuleMatch]:
    """The first match of ``pattern`` in each trace, with the text around it as evidence."""
    hits = store.first_matches(pattern, fields=[field] if field else None)
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


# -- what a model submits -------------------------------------------------------------------------


def check_of(value: Any, short_ids: ShortIds) -> tuple[FindingCheck | None, list[str]]:
    """The check with the fields ``value``, or what is wrong with them."""
    if not isinstance(value, Mapping) or not set(value) <= set(FindingCheck.model_fields):
        return None, [FORMS]
    texts = {name: text_in(value, name, n) for name, n in CHECK_CHARS.items() if value.get(name)}
    if None in texts.values():
        return None, ["check: its parts are texts, a pattern of at most 2,000 characters."]
    traces, problems = listed_traces(value.get("traces") or (), short_ids)
    if problems:
        return None, problems
    check = FindingCheck(traces=tuple(traces), **texts)
    if not check.has_rule and not check.question:
        return None, ["check: give a pattern, an sql, a list of traces, or a question."]
    return check, []


def listed_traces(items: Any, short_ids: ShortIds) -> tuple[list[ListedTrace], list[str]]:
    """The traces that ``items`` name, each once, and what is wrong with the first of the others."""
    if not isinstance(items, Sequence) or isinstance(items, str) or len(items) > MAX_LISTED:
        return [], [f"check: traces is a list of at most {MAX_LISTED:,} traces."]
    listed: dict[str, ListedTrace] = {}
    problems: list[str] = []
    for item in items:
        try:
            found = listed_trace(item, short_ids)
        except HostError as error:
            problems.append(f"check: traces: {error}")
            if len(problems) == TOLD_PROBLEMS:
                break
            continue
        if found.trace_id not in listed or found.evidence:
            listed[found.trace_id] = found
    return list(listed.values()), problems


def listed_trace(item: Any, short_ids: ShortIds) -> ListedTrace:
    """The trace ``item``, a name, or a trace with a span and a quote; raises ``HostError``."""
    named = item if isinstance(item, Mapping) else {"trace": item}
    place = text_in(named, "span", MAX_ID)
    reference = text_in(named, "trace", MAX_ID) or place
    trace_id = short_ids.trace_id(reference) if reference else None
    if trace_id is None:
        raise HostError(f"there is no trace {(reference or '')[:80]!r}.")
    if not named.get("span"):
        return ListedTrace(trace_id=trace_id)
    if named.get("quote"):
        evidence = verified_quote(named, short_ids)
        found = ListedTrace(trace_id=evidence.trace_id, span_id=evidence.span_id, evidence=evidence)
    else:
        span = short_ids.span(place, trace_id)
        found = ListedTrace(trace_id=span.trace_id if span else "", span_id=span and span.span_id)
    if found.trace_id != trace_id:
        raise HostError(f"{(place or '')[:80]!r} is no span of {short_ids.name(trace_id)}.")
    return found
