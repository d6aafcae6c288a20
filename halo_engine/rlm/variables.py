"""The variables of a session, as the model is told of them when old turns are summarised."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

# The latest are told: a session that has more has most of them from loops and helpers.
MAX_NAMES = 60
# For a sandbox that has a part of Python: a name that is gone, a type without a name and a value
# without a length must not end the listing.
LISTING = """
try:
    _said = "{name}: " + type({name}).__name__
    try:
        _said = _said + " of " + str(len({name}))
    except TypeError:
        pass
    print(_said)
except (NameError, AttributeError):
    pass
"""
# What has names of its own.
OWN_NAMES = (
    *(ast.FunctionDef, ast.ClassDef, ast.Lambda),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)


def assigned_names(code: str) -> list[str]:
    """The names that ``code`` assigns outside of functions, in order; none if it does not parse."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return list(dict.fromkeys(names_in(tree)))


def names_in(tree: ast.Module) -> Iterator[str]:
    """The names that ``tree`` assigns, those of functions and classes that it defines among them."""
    # A model wrote it: it may be nested more deeply than functions can call themselves.
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        if not isinstance(node, OWN_NAMES):
            pending += reversed(list(ast.iter_child_nodes(node)))


def listing_code(names: Iterable[str]) -> str:
    """Code that prints type and size of each of ``names`` that is still known."""
    shown = [name for name in names if not name.startswith("_")][-MAX_NAMES:]
    return "".join(LISTING.format(name=name) for name in shown)
