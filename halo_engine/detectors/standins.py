"""What a rule gets in place of what is not in hand: it is judged once it is, if it asks for it.

A trace is judged while it is in memory, when the statistics over all traces are not known yet; and
when these are known, the trace is on disk. Neither is missed by most rules.
"""

from __future__ import annotations

from typing import Any


class NotInHandError(Exception):
    """A rule asked a stand-in for what it does not have."""


class StandIn:
    """Has only what is known.

    ``is_asked`` tells whether a rule asked for more, also where the rule went on after the error.
    """

    is_asked = False

    def __getattr__(self, name: str) -> Any:
        self.is_asked = True
        raise NotInHandError(name)


class UnknownStatistics(StandIn):
    """Stands in for the statistics over all traces, of which only ``unsettled`` is known yet."""

    def __init__(self, unsettled: frozenset[str]) -> None:
        self.unsettled = unsettled


class UnreadTrace(StandIn):
    """Stands in for a trace of which only the id is in memory."""

    def __init__(self, trace_id: str) -> None:
        self.trace_id = trace_id
