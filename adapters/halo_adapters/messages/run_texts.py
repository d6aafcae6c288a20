"""What was asked of a run and what it answered, as texts, from its messages."""

from __future__ import annotations

from collections.abc import Sequence

from halo_engine.schema import Message


def request_text(messages: Sequence[Message]) -> str | None:
    """The text of the last message of the user; None where there is none."""
    texts = (m.content for m in reversed(messages) if m.role == "user" and m.content is not None)
    return next(texts, None)


def answer_text(messages: Sequence[Message]) -> str | None:
    """The text of the last message, where that is an answer.

    It is none where it calls a tool, or is the result of one: then the run ended without one.
    """
    last = messages[-1] if messages else None
    if last is None or last.role in ("tool", "user", "system") or last.tool_calls:
        return None
    return last.content
