"""Rewriting of Python constructs that Monty lacks into equivalent ones, and hints for the others.

Constructs that may not be equivalent are left alone; the error that they cause gets a hint.
"""

from __future__ import annotations

import ast
import re
from typing import cast

# The maximal length of a line of source code in a traceback.
SOURCE_CHARS = 160

# Functions that call their ``key`` before they return, so that it may be a lambda over variables.
IMMEDIATE_CALLERS = frozenset({"sorted", "min", "max"})

HINTS = {
    r"class inheritance": "Use plain classes, dicts or functions.",
    r"'del' statement": "Use d.pop(key) or items.pop(index), or leave the name be.",
    r"yield|generator": "Return a list, or use a comprehension.",
    r"has no attribute 'get'|bound method": "Wrap it: key=lambda item: d.get(item).",
    r"ModuleNotFoundError|No module named": (
        "Modules here: re, json, math, random, itertools, collections, datetime, functools. "
        "Compute statistics yourself: sorted(), sum(), len()."
    ),
    r"KeyError: '?(trace|span)\b": (
        "Rows of sql() have trace where trace_id is selected, and span where span_id is as well."
    ),
    r"default=": "Turn values into str, int, list or dict before json.dumps.",
    r"re\.sub|repl": "Use re.finditer and join the pieces; re.sub takes no function.",
    r"PermissionError|not permitted|OSError": "There are no files and no network: only traces.",
    r"TimeoutError|time limit": "Narrow it: filter with search() or sql() on the host first.",
    r"MemoryError|memory limit": "Keep ids and counts, not texts; read in parts.",
    r"NameError: name '(re|json|math|random|itertools|collections|datetime|functools)'": (
        "Import the module first."
    ),
    r"NameError": "Host functions can only be called by name, not passed on.",
}


class Lowering(ast.NodeTransformer):
    """Replaces ``del`` of items, and methods as ``key``."""

    def visit_Delete(self, node: ast.Delete) -> ast.AST | list[ast.stmt]:
        """``del x[k]`` becomes ``x.pop(k)``: the same for a list's index and a dict's key."""
        targets = [t for t in node.targets if isinstance(t, ast.Subscript)]
        sliced = any(isinstance(t.slice, (ast.Slice, ast.Tuple)) for t in targets)
        if sliced or len(targets) < len(node.targets):
            return node
        return [
            ast.Expr(
                ast.Call(
                    ast.Attribute(cast(ast.expr, self.visit(t.value)), "pop", ctx=ast.Load()),
                    [cast(ast.expr, self.visit(t.slice))],
                    [],
                )
            )
            for t in targets
        ]

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """``key=d.get`` becomes ``key=lambda item: d.get(item)`` if it is called immediately."""
        self.generic_visit(node)
        is_immediate = isinstance(node.func, ast.Name) and node.func.id in IMMEDIATE_CALLERS
        if not is_immediate and not (
            isinstance(node.func, ast.Attribute) and node.func.attr == "sort"
        ):
            return node
        for keyword in node.keywords:
            value = keyword.value
            is_method = isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name)
            if keyword.arg == "key" and is_method:
                keyword.value = lambda_calling(value)
        return node


def lambda_calling(function: ast.expr) -> ast.Lambda:
    """``lambda item: function(item)``."""
    item = "item_"
    return ast.Lambda(
        ast.arguments([], [ast.arg(item)], None, [], [], None, []),
        ast.Call(function, [ast.Name(item, ast.Load())], []),
    )


def lowered(code: str) -> str:
    """``code`` rewritten; unchanged if there is nothing to rewrite or it does not parse."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return code
    before = ast.dump(tree)
    tree = ast.fix_missing_locations(Lowering().visit(tree))
    return code if ast.dump(tree) == before else ast.unparse(tree)


def with_hint(error: str) -> str:
    """The traceback ``error``, shortened, with a hint for what works instead if there is one.

    Long source lines are cut, and lines that only point into them removed: the model has its code.
    """
    lines = [line for line in error.splitlines() if line.strip(" ~^")]
    error = "\n".join(map(cut_source, lines))
    hint = next((hint for pattern, hint in HINTS.items() if re.search(pattern, error)), None)
    return f"{error}\nHint: {hint}" if hint else error


def cut_source(line: str) -> str:
    """A line of a traceback, cut if it is source code; messages are left whole."""
    is_source = line.startswith("    ")
    return f"{line[:SOURCE_CHARS]}..." if is_source and len(line) > SOURCE_CHARS else line
