"""Python that the sandbox does not know, rewritten where the meaning provably stays the same.

Whatever is not certain is left alone: the error that it then gives names the way that works.
"""

from __future__ import annotations

import ast
import re
from typing import cast

# Of a line of code in a traceback.
SOURCE_CHARS = 160

CALLED_AT_ONCE = frozenset({"sorted", "min", "max"})

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
    """The rewriting itself."""

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
        """``key=d.get`` becomes ``key=lambda item: d.get(item)`` where it is called at once."""
        self.generic_visit(node)
        at_once = isinstance(node.func, ast.Name) and node.func.id in CALLED_AT_ONCE
        if not at_once and not (isinstance(node.func, ast.Attribute) and node.func.attr == "sort"):
            return node
        for keyword in node.keywords:
            value = keyword.value
            plain = isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name)
            if keyword.arg == "key" and plain:
                keyword.value = called_with_one(value)
        return node


def called_with_one(function: ast.expr) -> ast.Lambda:
    """``lambda item: function(item)``."""
    item = "item_"
    return ast.Lambda(
        ast.arguments([], [ast.arg(item)], None, [], [], None, []),
        ast.Call(function, [ast.Name(item, ast.Load())], []),
    )


def lowered(code: str) -> str:
    """``code`` with what can be rewritten; as it is where nothing can, or it does not parse."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return code
    before = ast.dump(tree)
    tree = ast.fix_missing_locations(Lowering().visit(tree))
    return code if ast.dump(tree) == before else ast.unparse(tree)


def with_hint(error: str) -> str:
    """``error`` in few words, with the way that works, where there is one.

    The model knows its code: long lines of it are cut, and lines of signs that point into it go.
    """
    lines = [line for line in error.splitlines() if line.strip(" ~^")]
    error = "\n".join(map(shortened, lines))
    hint = next((hint for pattern, hint in HINTS.items() if re.search(pattern, error)), None)
    return f"{error}\nHint: {hint}" if hint else error


def shortened(line: str) -> str:
    """A line of a traceback as far as it is needed to know it again; messages stay whole."""
    is_source = line.startswith("    ")
    return f"{line[:SOURCE_CHARS]}..." if is_source and len(line) > SOURCE_CHARS else line
