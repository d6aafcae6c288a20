"""What a rule gets in place of what is not in hand: it is judged once it is, if it asks for it.

A trace is judged while it is in memory, when the statistics over all traces are not known yet; and
when these are known, the trace is on disk. Neither is missed by most rules.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from halo_engine.detectors.base import Corpus


class NotInHandError(Exception):
    """A rule asked a stand-in for what it does not have."""


class UnknownStatistics(Corpus):
    """Stands in for the statistics over all traces of which only ``unsettled`` is known yet.

    ``is_asked`` tells whether a rule asked for another one, also where the rule went on after the
    error.
    """

    is_asked: bool

    def __init__(self, unsettled: frozenset[str]) -> None:
        self.__dict__.update(unsettled=unsettled, is_asked=False)

    def __getattribute__(self, name: str) -> Any:
        if name in STATISTICS:
            self.__dict__["is_asked"] = True
            raise NotInHandError(name)
        return super().__getattribute__(name)


STATISTICS = {each.name for each in fields(Corpus)} - {"unsettled"}


class UnreadTrace:
    """Stands in for a trace of which only the id is in memory.

    ``is_asked`` tells whether a rule asked for more, also where the rule went on after the error.
    """

    def __init__(self, trace_id: str) -> None:
        self.trace_id = trace_id
        self.is_asked = False

    def __getattr__(self, name: str) -> Any:
        self.is_asked = True
        raise NotInHandError(name)
