"""The prompts, each a Markdown file; their hashes are stored with every run."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib.resources import files
from pathlib import PurePath

VARIABLE = re.compile(r"\{(\w{1,20})\}")
FOLDER = files("halo_engine.rlm.prompts")


@cache
def prompt(name: str) -> str:
    """The text of a prompt, with its variables as ``{name}``."""
    return FOLDER.joinpath(f"{name}.md").read_text("utf-8").strip()


def filled(template: str, **texts: str) -> str:
    """``template`` with the variables in ``texts`` filled in; other braces are left alone.

    So are those in the texts: what looks like a variable there is none.
    """
    return VARIABLE.sub(lambda match: texts.get(match[1], match[0]), template)


def prompt_hashes() -> dict[str, str]:
    """For each prompt, by name, 12 hex digits of the SHA-256 of its text."""
    paths = (PurePath(file.name) for file in FOLDER.iterdir())
    names = sorted(path.stem for path in paths if path.suffix == ".md")
    return {name: hashlib.sha256(prompt(name).encode()).hexdigest()[:12] for name in names}
