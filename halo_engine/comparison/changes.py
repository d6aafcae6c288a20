"""What runs changed, in a form in which runs of one task can be compared.

The arguments of the calls that changed something are compared by value, but for free text, which is
worded anew in every run, and for values that hardly another run of the group has: ids and amounts of
the run's own. So runs of one task over the same objects are compared by these objects, and runs that
were asked for the same with objects of their own by what they did with them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import orjson

from halo_engine.comparison.run_facts import CallFacts, RunFacts
from halo_engine.detectors.span_text import json_or_none

# A text of more words is worded by the model, and differs from run to run.
FREE_TEXT_WORDS = 5
# Arguments of which nothing is left without free text, as JSON.
FREE_TEXT = "null"
OWN = "<own>"
# The least share, of the runs of a group that have a value in a place, for one that they share.
SHARED_SHARE = 0.2

# Tool -> the variants of the arguments that a run called it with.
Changes = Mapping[str, frozenset[str]]
Leaf = tuple[str, str]


def changes_in_groups(
    runs: Sequence[RunFacts], groups: Mapping[str, int]
) -> dict[str, dict[str, str]]:
    """Trace id -> span id of each call that changed something -> the variant of its arguments."""
    members: dict[int, list[RunFacts]] = defaultdict(list)
    for run in runs:
        members[groups[run.trace_id]].append(run)
    found: dict[str, dict[str, str]] = {}
    for group in members.values():
        shared = shared_leaves(group) if len(group) > 1 else None
        for run in group:
            found[run.trace_id] = {c.span_id: variant_of(c, shared) for c in run.changes}
    return found


def changes_by_tool(run: RunFacts, variants: Mapping[str, str]) -> Changes:
    """Each tool with which a run changed something -> the variants of its arguments."""
    found: dict[str, set[str]] = defaultdict(set)
    for call in run.changes:
        found[call.tool].add(variants[call.span_id])
    return {tool: frozenset(own) for tool, own in found.items()}


def shared_leaves(group: Sequence[RunFacts]) -> frozenset[Leaf]:
    """The values in the arguments of several runs of a group, each with its place.

    In a large group some runs have the same value by chance: those are not shared, unless a fifth of
    the runs with any value in that place have it.
    """
    counts: Counter[Leaf] = Counter()
    places: Counter[str] = Counter()
    for run in group:
        found = {leaf for call in run.changes for leaf in leaves_of(call)}
        counts.update(found)
        places.update({place for place, _ in found})
    return frozenset(
        leaf
        for leaf, count in counts.items()
        if count > 1 and count >= SHARED_SHARE * places[leaf[0]]
    )


def leaves_of(call: CallFacts) -> Iterator[Leaf]:
    """The values in the arguments of a call, each with the tool and the keys that lead to it."""
    try:
        yield from leaves(json_or_none(call.arguments), call.tool)
    except RecursionError:
        return


def leaves(value: Any, place: str) -> Iterator[Leaf]:
    """The values in a JSON value with the keys that lead to them; lists have one place."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{place}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, place)
    else:
        yield place, str(value)


def variant_of(call: CallFacts, shared: Collection[Leaf] | None) -> str:
    """The arguments of a call in a form that is equal where calls do the same.

    Values that are not ``shared`` (None: all are) are one value. Arguments that are no JSON, or are
    nested too deeply to be compared, are free text.
    """
    try:
        value = comparable(json_or_none(call.arguments), call.tool, shared)
        return equality_key(value).decode()
    except (TypeError, RecursionError):
        return FREE_TEXT


def comparable(value: Any, place: str, shared: Collection[Leaf] | None) -> Any:
    """A JSON value without its texts of many words; lists of values have no order."""
    if isinstance(value, dict):
        kept = {key: comparable(item, f"{place}.{key}", shared) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item is not None}
    if isinstance(value, list):
        parts = (comparable(item, place, shared) for item in value)
        items = [item for item in parts if item is not None]
        return sorted(items, key=lambda item: orjson.dumps(item, option=orjson.OPT_SORT_KEYS))
    if isinstance(value, str) and len(value.split()) > FREE_TEXT_WORDS:
        return None
    is_own = shared is not None and (place, str(value)) not in shared
    return OWN if is_own and value is not None else value


def differing_arguments(own: str, other: str) -> tuple[str, str]:
    """The parts of two variants of the arguments of a call in which they differ, as JSON.

    A value that every run has of its own is no difference. Variants that have no such parts are
    returned as they are.
    """
    mine, theirs = json_or_none(own), json_or_none(other)
    if not isinstance(mine, dict) or not isinstance(theirs, dict):
        return own, other
    keys = [
        key
        for key in {**mine, **theirs}
        if mine.get(key) != theirs.get(key) and theirs.get(key) != OWN
    ]
    if not keys:
        return own, other
    parts = (
        {key: only_in(value.get(key), opposite.get(key)) for key in keys}
        for value, opposite in ((mine, theirs), (theirs, mine))
    )
    first, second = (equality_key(part).decode() for part in parts)
    return first, second


def only_in(value: Any, other: Any) -> Any:
    """``value``; of two lists, the items of the first that are not in the second."""
    if isinstance(value, list) and isinstance(other, list):
        known = set(map(equality_key, other))
        return [item for item in value if equality_key(item) not in known]
    return value


def equality_key(value: Any) -> bytes:
    """``value`` as JSON that is equal for equal values."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
