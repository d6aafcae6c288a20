"""The taxonomy of failure modes: the names under which findings are reported.

The entries are in ``failure_modes.toml``, which also documents the fields. Two names are reserved
and are not failure modes of an agent. ``other`` is for a finding that fits no entry; it has a title
of its own and is never forced into a category. ``instrumentation`` is a gap in the recording:
orphan spans, missing content, spans without an end. It concerns the owner of the tracing and never
counts against the agent.
"""

from __future__ import annotations

import tomllib
from enum import StrEnum
from importlib.resources import files

from halo_engine.schema import FrozenModel

OTHER = "other"
INSTRUMENTATION = "instrumentation"
RESERVED = {
    OTHER: "a failure that fits none of the named modes",
    INSTRUMENTATION: "a gap in what was recorded, not a failure of the agent",
}


class Group(StrEnum):
    """The aspect of an agent's behaviour in which a failure shows."""

    TOOL = "tool"
    TRAJECTORY = "trajectory"
    TASK = "task"
    GROUNDING = "grounding"
    OUTPUT = "output"
    CONTEXT = "context"
    SYSTEM = "system"
    SECURITY = "security"


class FailureMode(FrozenModel):
    """One entry of the taxonomy.

    ``meaning`` completes "The agent ..."; ``positive`` is an example and ``negative`` a similar case
    that is not one. ``mend`` is what holds after a fix, ``keep`` what a fix must leave as it is.
    ``trail`` and ``mast`` are the categories of the published taxonomies TRAIL and
    MAST that this entry covers, wholly or in part.
    """

    slug: str
    group: Group
    meaning: str
    definition: str
    positive: str
    negative: str
    mend: str
    keep: str
    trail: tuple[str, ...]
    mast: tuple[str, ...]


def read_catalogue() -> tuple[FailureMode, ...]:
    """The entries of ``failure_modes.toml`` in file order."""
    rows = tomllib.loads(files("halo_engine").joinpath("failure_modes.toml").read_text("utf-8"))
    return tuple(FailureMode(slug=slug, **row) for slug, row in rows.items())


CATALOGUE = read_catalogue()
BY_SLUG = {mode.slug: mode for mode in CATALOGUE}
MEANINGS = RESERVED | {mode.slug: mode.meaning for mode in CATALOGUE}


def meaning_of(slug: str) -> str:
    """The meaning of ``slug`` as one capitalised line without a final period.

    A name that is not in the taxonomy (a model may coin one) is turned into words:
    ``cart_emptied_twice`` becomes "Cart emptied twice".
    """
    words = MEANINGS.get(slug) or " ".join(slug.replace("_", " ").split())
    return words[:1].upper() + words[1:]
