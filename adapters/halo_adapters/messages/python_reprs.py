"""Python's own notation of values, as instrumentations write it where they have no JSON.

Literals become the same in JSON: ``{'q': None}`` becomes ``{"q": null}``. So do objects, which need
Python's parser: ``Message(role=<Role.USER: 'user'>, text='Hi')`` becomes ``{"type": "Message",
"role": "user", "text": "Hi"}``.
"""

from __future__ import annotations

import ast
import re
from typing import Any

import orjson

from halo_adapters.json_values import json_safe, parse_json

# Python's parser needs far more memory than that of JSON, so longer text is not parsed.
MAX_LENGTH = 20_000
# A member of an enum: its notation is no Python, its value is.
ENUM_MEMBER = re.compile(r"<\w+\.\w+: ('\w*'|\d+)>")
OBJECT = re.compile(r"\[?\w+\(")
# The tokens of Python's notation that JSON writes in another way: texts, also one that does not end,
# constants, tuples, and a comma before a closing bracket.
PYTHON_TOKEN = re.compile(
    r"""'(?P<single>(?:[^'\\]|\\.)*)'|"(?P<double>(?:[^"\\]|\\.)*)"|(?P<open>['"].*)"""
    r"""|\b(?:None|True|False)\b|[()]|,(?=\s*[\])}])""",
    re.DOTALL,
)
ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "'": "'", '"': '"'}
NO_JSON = "'"
JSON_TOKENS = {"None": "null", "True": "true", "False": "false", "(": "[", ")": "]"}


def python_literal(text: str) -> Any:
    """The JSON-safe value of a literal in Python's notation; None where ``text`` is none.

    It is written as JSON, token by token, and then parsed: Python's own parser needs far more
    memory. What JSON has not, as a set, or an object with a key that is no text, is none.
    """
    return parse_json(PYTHON_TOKEN.sub(json_token, text))


def json_token(found: re.Match[str]) -> str:
    """A token of Python's notation in that of JSON."""
    if found.lastgroup is None:
        return JSON_TOKENS.get(found[0], "")
    if found.lastgroup == "open":
        return NO_JSON
    text = found[found.lastgroup]
    try:
        return orjson.dumps(ESCAPE.sub(unescaped, text) if "\\" in text else text).decode()
    except (ValueError, TypeError):  # a character that there is not, or half of one
        return NO_JSON


def unescaped(found: re.Match[str]) -> str:
    """The character that an escape of Python's stands for; an unknown one stands for itself."""
    escape = found[1]
    return chr(int(escape[1:], 16)) if len(escape) > 1 else ESCAPES.get(escape, found[0])


def object_of_repr(text: str) -> Any:
    """The JSON-safe value that ``text`` is the notation of; None where it is none."""
    if len(text) > MAX_LENGTH or not OBJECT.match(text):
        return None
    try:
        tree = ast.parse(ENUM_MEMBER.sub(r"\1", text), mode="eval")
        return json_safe(value_of(tree.body))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def value_of(node: ast.expr) -> Any:
    """The value of an expression that calls classes by keywords; raises ``ValueError`` for others."""
    match node:
        case ast.Call(func=ast.Name(id=name), keywords=keywords):
            fields = {word.arg: value_of(word.value) for word in keywords if word.arg}
            return {"type": name, **fields}
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [value_of(item) for item in items]
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return {value_of(key): value_of(value) for key, value in pairs if key}
        case _:
            return ast.literal_eval(node)
