"""The catalogue of failure modes: the default names under which findings are reported.

The rows are in ``failure_modes.toml``, which also says what each field means. Two names are
reserved and no failure modes of an agent. A finding is never forced into a category: what fits
none is ``other``, and has a title of its own. And ``instrumentation`` is a gap in what was
recorded: orphan spans, missing content, spans without an end. It is told to whoever owns the
tracing, and never counts against the agent.
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
    """Where a failure shows."""

    TOOL = "tool"
    TRAJECTORY = "trajectory"
    TASK = "task"
    GROUNDING = "grounding"
    OUTPUT = "output"
    CONTEXT = "context"
    SYSTEM = "system"
    SECURITY = "security"


class FailureMode(FrozenModel):
    """One way in which agents fail.

    ``positive`` is an example and ``negative`` a look-alike that is none. ``trail`` and ``mast``
    are the categories of the taxonomies TRAIL and MAST that this one covers, wholly or in part.
    """

    slug: str
    group: Group
    meaning: str
    definition: str
    positive: str
    negative: str
    trail: tuple[str, ...]
    mast: tuple[str, ...]


def read_catalogue() -> tuple[FailureMode, ...]:
    """The rows of ``failure_modes.toml`` in their order."""
    rows = tomllib.loads(files("halo_engine").joinpath("failure_modes.toml").read_text("utf-8"))
    return tuple(FailureMode(slug=slug, **row) for slug, row in rows.items())


CATALOGUE = read_catalogue()
MEANINGS = RESERVED | {mode.slug: mode.meaning for mode in CATALOGUE}


def meaning_of(slug: str) -> str:
    """What ``slug`` means in one line, capitalised and without a final period.

    A name that a run came up with is not in the catalogue and speaks for itself:
    ``cart_emptied_twice`` is "Cart emptied twice".
    """
    words = MEANINGS.get(slug) or " ".join(slug.replace("_", " ").split())
    return words[:1].upper() + words[1:]
