"""Python's own notation of objects, as instrumentations write it where they have no JSON.

``Message(role=<Role.USER: 'user'>, text='Hi')`` becomes ``{"type": "Message", "role": "user",
"text": "Hi"}``.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from halo_adapters.json_values import json_safe

# Python's parser needs far more memory than that of JSON, so longer text is not parsed.
MAX_LENGTH = 20_000
# A member of an enum: its notation is no Python, its value is.
ENUM_MEMBER = re.compile(r"<\w+\.\w+: ('\w*'|\d+)>")
OBJECT = re.compile(r"\[?\w+\(")


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
