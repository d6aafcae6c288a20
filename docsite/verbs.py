"""The verbs of the Python interface. Their keyword arguments are those of their options models.

They are read from the functions themselves: a decorator gives them their signature, which a static
reader does not see.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import halo_integrations as halo
from docsite.markdown import code, plain, table

VERBS: tuple[Callable[..., Any], ...] = tuple(
    found
    for name in halo.__all__
    if inspect.isfunction(found := getattr(halo, name)) and "Options:" in (found.__doc__ or "")
)


def verbs_page() -> str:
    """Every verb with what it takes, does and returns."""
    return "\n\n".join(map(section_of_verb, VERBS))


def section_of_verb(verb: Callable[..., Any]) -> str:
    """One verb."""
    text, _, options = inspect.cleandoc(verb.__doc__ or "").partition("\nOptions:\n")
    rows = [keyword_row(line) for line in options.splitlines()]
    return "\n\n".join(
        [
            f"### halo.{verb.__name__} {{#{verb.__name__}}}",
            f"```python\n{call_of(verb)}\n```",
            text.strip(),
            folded(verb.__name__, table(["keyword", "meaning"], rows)),
        ]
    )


def call_of(verb: Callable[..., Any]) -> str:
    """How it is called, without its keyword arguments."""
    signature = inspect.signature(verb)
    subjects = [
        name if parameter.default is inspect.Parameter.empty else f"{name}={parameter.default!r}"
        for name, parameter in signature.parameters.items()
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    ]
    returned = signature.return_annotation
    shown = returned if isinstance(returned, str) else getattr(returned, "__name__", str(returned))
    return f"halo.{verb.__name__}({', '.join([*subjects, '**options'])}) -> {shown}"


def keyword_row(line: str) -> list[str]:
    """One option out of the docstring."""
    name, _, meaning = line.strip().partition(": ")
    return [code(name), plain(meaning)]


def folded(name: str, text: str) -> str:
    """A part that is opened by its reader."""
    body = "\n".join(f"    {line}" for line in text.splitlines())
    return f'??? note "Keyword arguments of {name}"\n\n{body}'
