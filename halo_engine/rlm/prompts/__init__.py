"""The prompts, each a text file; a run keeps their hashes."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

NAMES = ("analyst", "manual", "map", "review", "judge", "root_cause", "compact", "code")


@cache
def prompt(name: str) -> str:
    """The text of a prompt; what is to be filled in stands in it as ``{name}``."""
    return files("halo_engine.rlm.prompts").joinpath(f"{name}.md").read_text("utf-8").strip()


def filled(template: str, **texts: str) -> str:
    """``template`` with every ``{name}`` of ``texts`` filled in; other braces stay."""
    for name, text in texts.items():
        template = template.replace(f"{{{name}}}", text)
    return template


def hashes() -> dict[str, str]:
    """The name of every prompt and 12 hex digits of the SHA-256 of its text."""
    return {name: hashlib.sha256(prompt(name).encode()).hexdigest()[:12] for name in NAMES}
