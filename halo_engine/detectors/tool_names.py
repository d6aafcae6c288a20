"""What the name of a tool tells of it, where nothing else does."""

from __future__ import annotations

import re
from functools import lru_cache


def vocabulary(words: str) -> frozenset[str]:
    """The set of blank-separated ``words``."""
    return frozenset(words.split())


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
# Doing it again is a new act, or gives a new result by design.
REPEATS = vocabulary(
    "click scroll press key keys type tap swipe drag next back forward step move turn roll "
    "random generate sample draw screenshot snapshot now time clock page navigate"
)
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


@lru_cache(maxsize=4096)
def words(tool: str) -> tuple[str, ...]:
    """The words of a tool's name: ``getOrder_details`` has three."""
    return tuple(word.lower() for word in WORD.findall(tool))


def reads_only(tool: str) -> bool:
    """Whether a tool's name says that it changes nothing. An unknown name says no such thing."""
    parts = words(tool)
    if parts and parts[0] in READS and not {"and", "or"} & set(parts):
        return True
    return bool(READS & set(parts)) and not CHANGES & set(parts)


def changes_state(tool: str) -> bool:
    """Whether a tool's name says that it changes something."""
    return bool(CHANGES & set(words(tool))) and not reads_only(tool)


def repeats_by_design(tool: str) -> bool:
    """Whether calling the tool again and again is its use: polls, clicks, dice."""
    return not (POLLS | REPEATS).isdisjoint(words(tool))
