"""Classification of tools by the words of their names: reads, changes state, is repeated."""

from __future__ import annotations

import re
from functools import lru_cache

from halo_engine.text.vocabulary import vocabulary

READS = vocabulary(
    "get list search find read fetch lookup look query view show describe retrieve count "
    "calculate calc compute think reason inspect ls cat grep glob head select summarize "
    "translate convert validate verify check load resolve explain details history info weather"
)
CHANGES = vocabulary(
    "create update delete remove set add insert write edit modify cancel send post put patch "
    "book buy purchase pay transfer refund issue return exchange upload move rename submit "
    "approve reject schedule apply replace save store register login logout authenticate grant "
    "revoke deploy restart start stop execute exec run commit push merge close assign reserve "
    "invite publish notify email reply charge withdraw deposit activate deactivate enable "
    "disable"
)
POLLS = vocabulary(
    "status state poll polling wait await ping progress health heartbeat monitor watch tail job "
    "queue sleep"
)
# Actions whose repetition is a new action or returns a new result.
REPEATS = vocabulary(
    "click scroll press key keys type tap swipe drag next back forward step move turn roll "
    "random generate sample draw screenshot snapshot now time clock page navigate"
)
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


@lru_cache(maxsize=4096)
def name_words(tool: str) -> tuple[str, ...]:
    """The words of a tool's name: ``getOrder_details`` has three."""
    return tuple(word.lower() for word in WORD.findall(tool))


@lru_cache(maxsize=4096)
def reads_only(tool: str) -> bool:
    """Whether a tool's name marks it as reading only; a name without a known word does not."""
    parts = name_words(tool)
    if parts and parts[0] in READS and not {"and", "or"} & set(parts):
        return True
    return bool(READS & set(parts)) and not CHANGES & set(parts)


@lru_cache(maxsize=4096)
def changes_state(tool: str) -> bool:
    """Whether a tool's name marks it as changing state."""
    return bool(CHANGES & set(name_words(tool))) and not reads_only(tool)


@lru_cache(maxsize=4096)
def repeats_by_design(tool: str) -> bool:
    """Whether the tool is meant to be called repeatedly, such as to poll, to click or to sample."""
    return not (POLLS | REPEATS).isdisjoint(name_words(tool))


def is_same_tool(tool: str, other: str) -> bool:
    """Whether two names are those of one tool: runtimes put a plugin's or a server's before it.

    Semantic Kernel runs ``Orders-get_order`` where the model calls ``get_order``.
    """
    longer, shorter = sorted((tool, other), key=len, reverse=True)
    return tool == other or longer.endswith(tuple(f"{mark}{shorter}" for mark in "-./:"))
