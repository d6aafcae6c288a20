"""The rules of checks, applied to the traces of a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from halo_engine.findings import Evidence, FindingCheck, ListedTrace
from halo_engine.quotes import MAX_QUOTE
from halo_engine.store import Hit, TraceStore

# What the query of a check returns: a span, and optionally the words that made the row match.
ROW_OF_EACH_TRACE = """
SELECT trace_id, min(found) AS match FROM (
    SELECT COLUMNS('^(trace_id|span_id|quote|field)$') FROM (
{query}
    )
) found GROUP BY trace_id
"""


class RuleMatch(NamedTuple):
    """A match of a rule in a trace: the span (None: the trace as a whole) and the matched text.

    For a rule in SQL ``evidence`` is None, and ``quote`` in ``field`` are the words that the query
    returned as those that made the row match, if it did. They are not verified.
    """

    span_id: str | None
    evidence: Evidence | None = None
    quote: str | None = None
    field: str | None = None


def rule_matches(check: FindingCheck, store: TraceStore) -> dict[str, RuleMatch]:
    """The first match of the rule of ``check`` in each trace, by trace id.

    A trace must match every part of the rule; its match is that of the first part with words.
    Raises ``EngineError`` for a rule that fails.
    """
    parts = [
        *([pattern_matches(check.pattern, check.field, store)] if check.pattern else []),
        *([listed_matches(check.traces)] if check.traces else []),
        *([sql_matches(check.sql, store)] if check.sql else []),
    ]
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
