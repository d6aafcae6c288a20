"""Rewriting of constructs that Monty lacks into equivalent ones, and hints for the others.

What has no exact equivalent is left alone; the error that it causes gets a hint. So ``del d[key]`` is
not rewritten: ``d.pop(key)`` differs from it for a ``Counter``, a ``deque`` and classes of the code.
"""

from __future__ import annotations

import ast
import re

# The maximal length of a line of source code in a traceback.
SOURCE_CHARS = 160

KEY_FUNCTIONS = frozenset({"sorted", "min", "max"})
# In Monty a method of a built-in type can be called, but is no value.
METHODS = frozenset(
    name for kind in (dict, list, str, tuple) for name in dir(kind) if not name.startswith("_")
)

HINTS = {
    r"class inheritance": "Use plain classes, dicts or functions.",
    r"'del' statement": "Use d.pop(key) or items.pop(index), or leave the name be.",
    r"yield|generator": "Return a list, or use a comprehension.",
    r"has no attribute 'get'|bound method": "Wrap it: key=lambda item: d.get(item).",
    r"type object '\w+' has no attribute": "Wrap it: key=lambda item: item.lower().",
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
    """Replaces methods of built-in types as ``key``, and generators that ``next`` is called with.

    ``replaced`` says whether there was something to replace.
    """

    replaced = False

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """``key=d.get`` becomes ``key=(lambda o_: lambda item_: o_.get(item_))(d)``.

        ``d`` is evaluated once, in its own scope and at the same time as before; its method is
        looked up for each item, which is the same for everything that has such a method.

        ``next(x for x in y)`` becomes ``next(iter(x for x in y))``: a generator is a list in Monty.
        """
        self.generic_visit(node)
        if is_next_of_generator(node):
            node.args[0] = ast.Call(ast.Name("iter", ast.Load()), [node.args[0]], [])
            self.replaced = True
        for keyword in node.keywords if takes_key(node) else ():
            value = keyword.value
            if keyword.arg == "key" and isinstance(value, ast.Attribute) and value.attr in METHODS:
                keyword.value = calling_method(value)
                self.replaced = True
        return node


def is_next_of_generator(call: ast.Call) -> bool:
    """Whether ``call`` is ``next`` of a generator expression."""
    is_next = isinstance(call.func, ast.Name) and call.func.id == "next"
    return is_next and bool(call.args) and isinstance(call.args[0], ast.GeneratorExp)


def takes_key(call: ast.Call) -> bool:
    """Whether ``call`` sorts or compares by the result of its ``key``."""
    if isinstance(call.func, ast.Name):
        return call.func.id in KEY_FUNCTIONS
    return isinstance(call.func, ast.Attribute) and call.func.attr == "sort"


def calling_method(method: ast.Attribute) -> ast.Call:
    """A function that calls ``method`` of an object that is evaluated only once."""
    of_object = ast.Attribute(ast.Name("o_", ast.Load()), method.attr, ast.Load())
    call = ast.Call(of_object, [ast.Name("item_", ast.Load())], [])
    return ast.Call(lambda_of("o_", lambda_of("item_", call)), [method.value], [])


def lambda_of(parameter: str, body: ast.expr) -> ast.Lambda:
    """``lambda parameter: body``."""
    return ast.Lambda(ast.arguments([], [ast.arg(parameter)], None, [], [], None, []), body)


def lowered(code: str) -> str:
    """``code`` rewritten; unchanged if there is nothing to rewrite or it cannot be parsed."""
    try:
        lowering = Lowering()
        tree = lowering.visit(ast.parse(code))
        return ast.unparse(ast.fix_missing_locations(tree)) if lowering.replaced else code
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return code


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
