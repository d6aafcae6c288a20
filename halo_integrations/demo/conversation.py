"""A scripted conversation: all that the model will say, and what its tools will answer."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Self


@dataclass(frozen=True)
class Passage:
    """A passage of the help centre, with the similarity (0 to 1) that the search gave it."""

    id: str
    text: str
    score: float


@dataclass(frozen=True)
class Call:
    """A tool call with what becomes of it.

    ``arguments`` is the text as the model writes it. ``result`` is the tool's answer, ``error`` the
    message it fails with instead, ``passages`` what a search brought (None: not a search).
    ``rejected`` is what the agent tells the model about a call that it cannot carry out at all.
    """

    name: str
    arguments: str
    result: Any = None
    error: str | None = None
    passages: tuple[Passage, ...] | None = None
    rejected: str | None = None


@dataclass(frozen=True)
class Reply:
    """One answer of the model: text, calls, or the error of a provider that gave none."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    finish_reason: str = "stop"
    error: str | None = None


@dataclass(frozen=True)
class Conversation:
    """One customer's request and all that follows.

    ``apology`` is what the customer reads when the model gave nothing to show; ``failure`` is what
    the agent itself reports when it gives up. ``age`` is how many seconds ago it began.
    """

    intent: str
    customer: str
    email: str
    channel: str
    request: str
    replies: tuple[Reply, ...]
    age: float
    apology: str = ""
    failure: str | None = None

    def with_replies(self, *replies: Reply) -> Self:
        """The same conversation with other replies."""
        return replace(self, replies=replies)

    def with_reply(self, index: int, reply: Reply) -> Self:
        """The same conversation with the reply at ``index`` replaced; -1 is the last."""
        changed = list(self.replies)
        changed[index] = reply
        return self.with_replies(*changed)

    @property
    def output(self) -> str | None:
        """What the customer reads at the end, or None when nothing came."""
        return self.replies[-1].text or self.apology or None


def call(name: str, result: Any = None, **arguments: Any) -> Call:
    """A call of the tool ``name`` that is answered with ``result``."""
    return Call(name, json.dumps(arguments), result)


def using(*calls: Call) -> Reply:
    """A reply that only calls tools."""
    return Reply(calls=calls, finish_reason="tool_calls")
