"""Span attributes by dotted name, with lists as lists.

Exporters write one attribute in several ways: as ``llm.model_name``, as
``{"llm": {"model_name": ...}}`` or as a mix; and a list of messages as a list, as JSON text, or
item by item as ``llm.input_messages.0.message.role``. ``by_dotted_name`` brings all of these to
one form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from halo_adapters.json_values import parse_json

# No semantic convention has a longer name; what follows the last step stays one key.
MAX_STEPS = 16
MAX_NESTING = 8
# A key of more digits is a name (an id, a time), not an index.
MAX_DIGITS = 10


class Branch(dict[str, Any]):
    """A dict built here from dotted keys, in contrast to one that came as a value."""


def by_dotted_name(attributes: dict[str, Any]) -> dict[str, Any]:
    """``attributes`` with nested dicts also under their dotted names, and lists whole.

    ``attributes`` must be JSON-safe. They are not changed; flat ones without lists are returned
    as they are.
    """
    if dict in map(type, attributes.values()):
        attributes = dict(nested_values(attributes))
    trees = list_trees(tuple(attributes))
    if not trees:
        return attributes
    return {**attributes, **{name: with_values(tree, attributes) for name, tree in trees.items()}}


def nested_values(
    nested: Mapping[str, Any], prefix: str = "", depth: int = 0
) -> Iterator[tuple[str, Any]]:
    """Every value in ``nested`` with its dotted name; a dict comes before its members."""
    for key, value in nested.items():
        yield prefix + key, value
        if type(value) is dict and depth < MAX_NESTING and not is_numbered(value):
            yield from nested_values(value, f"{prefix}{key}.", depth + 1)


@lru_cache(maxsize=256)  # the spans of one instrumentation have the same keys
def list_trees(keys: tuple[str, ...]) -> dict[str, Any]:
    """The lists that ``keys`` name item by item (``name.0.rest``), with keys in place of values."""
    lists: dict[str, Branch] = {}
    for key in keys:
        if found := list_and_steps(key):
            name, steps = found
            set_at(lists.setdefault(name, Branch()), steps, key)
    return {name: numbered_to_lists(branch) for name, branch in lists.items()}


def with_values(tree: Any, attributes: Mapping[str, Any]) -> Any:
    """``tree`` with the value of each of its keys."""
    if type(tree) is str:
        return attributes[tree]
    if type(tree) is list:
        return [with_values(item, attributes) for item in tree]
    return Branch({step: with_values(below, attributes) for step, below in tree.items()})


def list_and_steps(key: str) -> tuple[str, list[str]] | None:
    """The list of which ``key`` names an item, with the steps after its name; else None."""
    steps = key.split(".", MAX_STEPS)
    for at, step in enumerate(steps):
        if at and step.isdecimal() and len(step) < MAX_DIGITS:
            return ".".join(steps[:at]), steps[at:]
    return None


def set_at(branch: Branch, steps: list[str], value: Any) -> None:
    """Set ``value`` at the end of ``steps``, unless a value is already there or on the way."""
    for step in steps[:-1]:
        branch = branch.setdefault(step, Branch())
        if type(branch) is not Branch:
            return
    branch.setdefault(steps[-1], value)


def numbered_to_lists(node: Any) -> Any:
    """``node`` with every branch whose keys are all indexes turned into a list."""
    if type(node) is not Branch:
        return node
    if is_numbered(node):
        return [numbered_to_lists(node[key]) for key in sorted(node, key=int)]
    return Branch({key: numbered_to_lists(value) for key, value in node.items()})


def is_numbered(node: Mapping[str, Any]) -> bool:
    """Whether ``node`` is a list written as a dict: all its keys are indexes."""
    return bool(node) and all(key.isdecimal() and len(key) < MAX_DIGITS for key in node)


def expanded(node: dict[str, Any]) -> dict[str, Any]:
    """``node`` with its dotted keys (``message.role``) expanded to nested dicts."""
    if "." not in "".join(node):
        return node
    branch = Branch()
    for key, value in node.items():
        set_at(branch, key.split(".", MAX_STEPS), value)
    return {key: numbered_to_lists(value) for key, value in branch.items()}


def object_below(attributes: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object whose members are recorded under dotted names below ``name``."""
    below = keys_below(tuple(attributes), f"{name}.")
    return expanded({rest: attributes[key] for key, rest in below}) if below else {}


@lru_cache(maxsize=256)  # the spans of one instrumentation have the same keys
def keys_below(keys: tuple[str, ...], prefix: str) -> list[tuple[str, str]]:
    """Those of ``keys`` that begin with ``prefix``, each with what follows it."""
    return [(key, key.removeprefix(prefix)) for key in keys if key.startswith(prefix)]


def items_of(value: Any) -> list[Any] | None:
    """``value`` as a list: a list, a dict of indexes, one object, or the JSON text of these.

    None for anything else, also for JSON text that is malformed or truncated.
    """
    if isinstance(value, str):
        # platforms cut long attributes: what has no end need not be parsed to see that it has none
        value = parse_json(value) if value.rstrip().endswith(("]", "}")) else None
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        return None
    if is_numbered(value):
        return [value[key] for key in sorted(value, key=int)]
    return [value]


def attribute(attributes: dict[str, Any], name: str) -> Any:
    """The attribute with this dotted name, also inside JSON text; None where it is missing."""
    named = by_dotted_name(attributes)
    if name in named:
        return named[name]
    steps = name.split(".")
    for at in range(len(steps) - 1, 0, -1):
        holder = named.get(".".join(steps[:at]))
        if isinstance(holder, str):
            return by_dotted_name(parsed_object(holder)).get(".".join(steps[at:]))
    return None


def parsed_object(text: str) -> dict[str, Any]:
    """The JSON object that ``text`` holds; an empty one where it holds none."""
    value = parse_json(text)
    return value if isinstance(value, dict) else {}
