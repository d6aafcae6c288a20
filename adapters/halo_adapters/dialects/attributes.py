"""Span attributes under dotted names, whichever way they came.

The same attribute comes as ``llm.model_name``, as ``{"llm": {"model_name": ...}}`` or as a mix,
and a list of messages as a list, as JSON text, or as ``llm.input_messages.0.message.role`` and so
on. After ``dotted`` there is one way to ask for it: by its dotted name, lists as lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from halo_adapters.json_values import parse_json

# No name of a convention has more steps; what is deeper stays a nested value.
MAX_STEPS = 16
MAX_NESTING = 8
MAX_DIGITS = 10

# A key that names an item of a list: the key, the list's name, and the way from there.
ListKey = tuple[str, str, list[str]]


class Branch(dict[str, Any]):
    """A dict made here out of dotted keys, to tell it from one that came as a value."""


def dotted(attributes: dict[str, Any]) -> dict[str, Any]:
    """``attributes`` by dotted name: nested ones under every name on their way, and lists whole.

    ``attributes`` must be clean; they are not changed, and returned as they are where they are
    flat already.
    """
    if dict in map(type, attributes.values()):
        attributes = dict(walk(attributes))
    places = places_of(tuple(attributes))
    return {**attributes, **lists_in(attributes, places)} if places else attributes


def walk(nested: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every value in ``nested`` with its dotted name, dicts before what they hold."""
    for key, value in nested.items():
        yield prefix + key, value
        if type(value) is dict and depth < MAX_NESTING and not is_numbered(value):
            yield from walk(value, f"{prefix}{key}.", depth + 1)


def lists_in(attributes: Mapping[str, Any], places: list[ListKey]) -> dict[str, Any]:
    """The lists that ``attributes`` hold item by item, as ``name.0.rest``, by name."""
    lists: dict[str, Branch] = {}
    for key, name, steps in places:
        put(lists.setdefault(name, Branch()), steps, attributes[key])
    return {name: listed(branch) for name, branch in lists.items()}


@lru_cache(maxsize=256)  # the spans of one instrumentation have the same keys
def places_of(keys: tuple[str, ...]) -> list[ListKey]:
    """Those of ``keys`` that name an item of a list, each with the list and the way from there."""
    return [place for place in map(place_of, keys) if place]


def place_of(key: str) -> ListKey | None:
    """The list that ``key`` names an item of, and the way from there; None for no list's."""
    steps = key.split(".", MAX_STEPS)
    for at, step in enumerate(steps):
        if at and step.isdecimal() and len(step) < MAX_DIGITS:
            return key, ".".join(steps[:at]), steps[at:]
    return None


def put(branch: Branch, steps: list[str], value: Any) -> None:
    """Put ``value`` into ``branch`` at the end of ``steps``, unless the way is taken."""
    for step in steps[:-1]:
        branch = branch.setdefault(step, Branch())
        if type(branch) is not Branch:
            return
    branch.setdefault(steps[-1], value)


def listed(node: Any) -> Any:
    """``node`` with every branch whose keys are all numbers turned into a list."""
    if type(node) is not Branch:
        return node
    if is_numbered(node):
        return [listed(node[key]) for key in sorted(node, key=int)]
    return Branch({key: listed(value) for key, value in node.items()})


def is_numbered(node: Mapping[str, Any]) -> bool:
    """Whether ``node`` is a list written as a dict: all its keys are numbers."""
    return bool(node) and all(key.isdecimal() and len(key) < MAX_DIGITS for key in node)


def expanded(node: dict[str, Any]) -> dict[str, Any]:
    """``node`` with its dotted keys (``message.role``) opened up into nested dicts."""
    if not any("." in key for key in node):
        return node
    branch = Branch()
    for key, value in node.items():
        put(branch, key.split(".", MAX_STEPS), value)
    return {key: listed(value) for key, value in branch.items()}


def items_of(value: Any) -> list[Any] | None:
    """The list in ``value``: a list, a dict by number, a single item, or JSON text of these.

    None where there is none, also where the JSON text is broken or cut.
    """
    if isinstance(value, str):
        value = parse_json(value)
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        return None
    if is_numbered(value):
        return [value[key] for key in sorted(value, key=int)]
    return [value]


def attribute(attributes: dict[str, Any], name: str) -> Any:
    """The attribute called ``name`` (dotted), also inside JSON text; None where there is none."""
    names = dotted(attributes)
    if name in names:
        return names[name]
    steps = name.split(".")
    for at in range(len(steps) - 1, 0, -1):
        holder = names.get(".".join(steps[:at]))
        if isinstance(holder, str):
            return (dotted(parsed_object(holder))).get(".".join(steps[at:]))
    return None


def parsed_object(text: str) -> dict[str, Any]:
    """The JSON object that ``text`` holds, or an empty one."""
    value = parse_json(text)
    return value if isinstance(value, dict) else {}
