"""The variables of a session, as the model is told of them when old turns are summarised."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

# The latest are told: a session that has more has most of them from loops and helpers.
MAX_NAMES = 60
# Written for a sandbox that has a part of Python: what is unknown there must not end the listing.
LISTING = """
try:
    _said = "{name}: " + type({name}).__name__
    try:
        _said = _said + " of " + str(len({name}))
    except Exception:
        pass
    print(_said)
except Exception:
    pass
"""


def assigned_names(code: str) -> list[str]:
    """The names that ``code`` assigns outside of functions, in order; none if it does not parse."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return []
    return list(dict.fromkeys(name for node in tree.body for name in names_in(node)))


def names_in(node: ast.AST) -> Iterator[str]:
    """The names that a statement assigns, those of functions that it defines among them."""
    if isinstance(node, ast.FunctionDef):
        yield node.name
        return
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda)):
        return
    for child in ast.iter_child_nodes(node):
        yield from names_in(child)


def listing_code(names: Iterable[str]) -> str:
    """Code that prints type and size of each of ``names`` that is still known."""
    shown = [name for name in names if not name.startswith("_")][-MAX_NAMES:]
    return "".join(LISTING.format(name=name) for name in shown)
