"""Regular expressions in the code mean the same on every supported Python."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path
    for package in ("halo_engine", "adapters/halo_adapters", "halo_integrations")
    for path in (ROOT / package).rglob("*.py")
)
# A group that a possessive quantifier repeats. CPython 3.11.2, the Python of Debian 12, lets it
# consume the beginning of an iteration that fails: r"\d+(?:,\d+)*+" matches the comma of "1, 2".
# A possessive quantifier of one character or one set is right there.
POSSESSIVE_GROUP = re.compile(r"\)(?:[*+?]|\{\d*,?\d*\})\+")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_possessive_quantifier_repeats_a_group(path: Path) -> None:
    assert POSSESSIVE_GROUP.findall(path.read_text(encoding="utf-8")) == []


def test_the_rule_finds_such_a_quantifier() -> None:
    assert POSSESSIVE_GROUP.search(r"\d+(?:,\d+)*+")
    assert not POSSESSIVE_GROUP.search(r"[\w-]{20,}+ (?:a)+ x++")
