"""The conversation with the root model, compacted when it approaches the context window."""

from __future__ import annotations

from collections.abc import Sequence

from halo_engine.llm import ChatMessage, Completion, assistant, system, user
from halo_engine.llm.chat import estimated_tokens
from halo_engine.rlm.candidates import Candidate
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.host import Notebook
from halo_engine.schema import FrozenModel

# Share of the context window above which old turns are compacted.
FULL_SHARE = 0.6
# The latest turns, which are never compacted.
KEPT_TURNS = 4
# Replies are sent again with every turn. When so many are in full, all but the latest are shortened
# at once: between that, the conversation only grows at its end.
FULL_REPLIES, KEPT_REPLIES = 4, 2
SHORT_REPLY_CHARS = 600
OLDER = "Your older turns in short, your findings and your notes:"


class Turn(FrozenModel):
    """An answer of the model and the reply to it; an answer with calls is kept as ``origin``."""

    answer: str
    reply: str
    origin: Completion | None = None


class Conversation(FrozenModel):
    """The conversation; between compactions it only grows at its end, so that prompt caches hit.

    ``memory`` is the summary of the turns that were compacted; the first ``shortened`` of ``turns``
    are sent with the beginning of their replies only.
    """

    system: str
    opening: str
    memory: str = ""
    turns: tuple[Turn, ...] = ()
    shortened: int = 0

    def messages(self, notebook: Notebook, delimiter: DataDelimiter) -> list[ChatMessage]:
        """The conversation as messages; after compaction memory and notebook follow the opening.

        Both may repeat what the traces say, so that they are delimited as data.
        """
        opening = self.opening
        if self.memory:
            kept = f"{self.memory}\n\n{notebook_text(notebook)}"
            opening = f"{opening}\n\n{OLDER}\n{delimiter(kept, len(kept) + len(delimiter.nonce))}"
        replies = [
            short_reply(turn.reply, delimiter) if n < self.shortened else turn.reply
            for n, turn in enumerate(self.turns)
        ]
        turns = [
            message
            for turn, reply in zip(self.turns, replies, strict=True)
            for message in (assistant(turn.answer, turn.origin), user(reply))
        ]
        return [system(self.system), user(opening), *turns]

    def is_full(self, notebook: Notebook, delimiter: DataDelimiter, window: int) -> bool:
        """Whether it should be compacted for a context of ``window`` tokens, and can be."""
        messages = self.messages(notebook, delimiter)
        tokens = sum(estimated_tokens(message.content) for message in messages)
        return tokens > window * FULL_SHARE and len(self.turns) > KEPT_TURNS

    def with_turn(self, answer: str, reply: str, origin: Completion | None = None) -> Conversation:
        """The conversation with one more turn."""
        turns = (*self.turns, Turn(answer=answer, reply=reply, origin=origin))
        is_long = len(turns) - self.shortened > FULL_REPLIES
        shortened = len(turns) - KEPT_REPLIES if is_long else self.shortened
        return self.model_copy(update={"turns": turns, "shortened": shortened})

    @property
    def old_turns(self) -> Sequence[Turn]:
        """The turns that a compaction replaces by a summary."""
        return self.turns[:-KEPT_TURNS]

    def compacted(self, memory: str) -> Conversation:
        """The conversation with ``memory`` in place of the old turns."""
        turns = self.turns[-KEPT_TURNS:]
        return self.model_copy(update={"memory": memory, "turns": turns, "shortened": 0})


def short_reply(reply: str, delimiter: DataDelimiter) -> str:
    """The beginning of a reply, still delimited as data."""
    if len(reply) <= SHORT_REPLY_CHARS:
        return reply
    shown = reply[:SHORT_REPLY_CHARS].removeprefix(delimiter.opening)
    return delimiter(f"{shown}\n[the rest of this older output is not sent again]", len(reply))


def listed(candidate: Candidate) -> str:
    """How many traces a finding lists, if it does."""
    number = len(candidate.check.traces)
    return f", {number:,} traces" if number else ""


def notebook_text(notebook: Notebook) -> str:
    """The submitted findings and the notes, as text for the model."""
    findings = [f"- {c.id} ({c.failure_mode}{listed(c)}): {c.title}" for c in notebook.candidates]
    notes = [f"- {note}" for note in notebook.notes]
    return "\n".join(["Submitted:", *(findings or ["- nothing"]), "Notes:", *(notes or ["- none"])])
