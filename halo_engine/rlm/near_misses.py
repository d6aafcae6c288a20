"""Near misses of a rule: traces in which it does not hold, but nearly does.

Two notions, the nearer first. A text nearly matches a pattern if it matches where case is ignored and
numbers of the pattern stand for any number. A run is of the kind of a hit if it is in a group of
comparable runs with one; where that holds for none, if it calls a tool of the spans in which the rule
holds, and where those are of no tool, if it calls the same tools in the same order as a hit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from halo_engine.checks import RuleMatch, pattern_matches
from halo_engine.errors import EngineError
from halo_engine.findings import FindingCheck
from halo_engine.rlm.checks import CheckRules

# A number of a pattern, and before it what a number is no number in: an escape, a class, a
# repetition, the name of a group.
PATTERN_NUMBER = re.compile(
    r"(\\x\{?[0-9a-fA-F]{1,6}\}?|\\.|\[[^\]]{0,500}\]|\{[\d,]{1,20}\}|\(\?P?<\w{1,50}>)|\d+"
)


class Nearness(StrEnum):
    """Why a trace is a near miss."""

    TEXT = "matches but for case and numbers"
    GROUP = "is in a group of comparable runs with a hit"
    TOOL = "calls the tool of a hit"
    SHAPE = "calls the same tools in the same order as a hit"


class NearMiss(NamedTuple):
    """A near miss, and where its text nearly matches, if that is what makes it one."""

    nearness: Nearness
    match: RuleMatch = RuleMatch(None)


def near_misses(check: FindingCheck, rules: CheckRules) -> dict[str, NearMiss]:
    """The near misses of the rule of ``check`` by trace id, the nearest first.

    Raises ``HostError`` for a rule that fails.
    """
    hits = rules.matches(check)
    texts = {t: m for t, m in loose_matches(check, rules).items() if t not in hits}
    kin = {t: nearness for t, nearness in runs_of_the_kind(hits, rules).items() if t not in hits}
    return {
        **{trace_id: NearMiss(Nearness.TEXT, match) for trace_id, match in texts.items()},
        **{t: NearMiss(nearness) for t, nearness in kin.items() if t not in texts},
    }


def loose_matches(check: FindingCheck, rules: CheckRules) -> dict[str, RuleMatch]:
    """The matches of the pattern with case ignored and any numbers; none if RE2 refuses that."""
    if not check.pattern:
        return {}
    try:
        return pattern_matches(f"(?i){any_numbers(check.pattern)}", check.field, rules.store)
    except EngineError:
        return {}


def any_numbers(pattern: str) -> str:
    """``pattern`` with each number in it as any number."""
    return PATTERN_NUMBER.sub(lambda match: match[1] or r"\d+", pattern)


def runs_of_the_kind(hits: Mapping[str, RuleMatch], rules: CheckRules) -> dict[str, Nearness]:
    """The traces of the kind of ``hits``, these among them."""
    groups = {rules.groups[trace_id] for trace_id in hits if trace_id in rules.groups}
    members = [t for t, group in rules.groups.items() if group in groups]
    if any(trace_id not in hits for trace_id in members):
        return dict.fromkeys(members, Nearness.GROUP)
    spans = [(trace_id, m.span_id) for trace_id, m in hits.items() if m.span_id]
    tools = rules.store.tools_of_spans(spans)
    if tools:
        return dict.fromkeys(rules.store.traces_with_tools(tools), Nearness.TOOL)
    return dict.fromkeys(rules.store.traces_of_shape(hits), Nearness.SHAPE)
