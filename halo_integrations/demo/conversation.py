"""A scripted conversation: the answers of the model and the results of its tools."""

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
    """A tool call with its outcome.

    ``arguments`` is the text as the model writes it. ``result`` is the tool's result, ``error`` the
    message it fails with instead, ``passages`` what a search found (None: not a search).
    ``rejected`` is the tool message for a call that the agent cannot run at all.
    """

    name: str
    arguments: str
    result: Any = None
    error: str | None = None
    passages: tuple[Passage, ...] | None = None
    rejected: str | None = None


@dataclass(frozen=True)
class Reply:
    """One answer of the model: text, tool calls, or the error of its provider."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    finish_reason: str = "stop"
    error: str | None = None


@dataclass(frozen=True)
class Conversation:
    """A customer's request and the replies of the model.

    ``apology`` is the output if the last reply has no text; ``failure`` is the status message of the
    root span if the agent gives up. ``age`` is how many seconds ago the conversation began.
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
        """The final answer to the customer, or None if there is none."""
        return self.replies[-1].text or self.apology or None


def call(name: str, result: Any = None, **arguments: Any) -> Call:
    """A call of the tool ``name`` that returns ``result``."""
    return Call(name, json.dumps(arguments), result)


def calling(*calls: Call) -> Reply:
    """A reply of tool calls without text."""
    return Reply(calls=calls, finish_reason="tool_calls")
