"""What MkDocs calls while it builds the site."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from docsite.detectors import detectors_page
from docsite.failure_modes import failure_modes_page
from docsite.options import commands_page, settings_page
from docsite.verbs import verbs_page

# What takes the place of `<!-- generated: NAME -->` in a page.
GENERATED: Mapping[str, Callable[[], str]] = {
    "commands": commands_page,
    "detectors": detectors_page,
    "failure modes": failure_modes_page,
    "settings": settings_page,
    "verbs": verbs_page,
}
MARKER = re.compile(r"<!-- generated: (?:example (\S+)|([\w ]+)) -->")
EXAMPLES = Path(__file__).parents[1] / "examples"
# A link to a file of the repository, which is not on the site: its text stays.
LINK_OUT_OF_DOCS = re.compile(r"\[([^\]]+)\]\(\.\./[^)]*\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Unlink what the site does not hold, and fill in what is generated."""
    own = LINK_OUT_OF_DOCS.sub(r"\1", markdown)
    return MARKER.sub(filled, own)


def filled(marker: re.Match[str]) -> str:
    """What takes the place of a marker: a file of the examples, or a part that is generated."""
    path, name = marker.groups()
    if path:
        return f"```python\n{(EXAMPLES / path).read_text(encoding='utf-8')}```"
    return GENERATED[name]()
