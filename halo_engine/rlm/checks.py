"""The checks of findings: how to tell in which traces a failure shows, by a rule or by a question."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from halo_engine.checks import RuleMatch, rule_matches
from halo_engine.errors import EngineError
from halo_engine.findings import FindingCheck, ListedTrace
from halo_engine.rlm.sandbox.base import HostError
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.rlm.submitted_texts import MAX_ID, MAX_TEXT, text_in, verified_quote
from halo_engine.store import TraceStore

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
        """``rule_matches`` in the store; raises ``HostError`` for a rule that fails."""
        try:
            return rule_matches(check, self.store)
        except EngineError as error:
            raise HostError(str(error)) from error


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
