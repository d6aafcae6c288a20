"""What the analyst sees of its own past: all of it, until that grows too long for the model."""

from __future__ import annotations

from collections.abc import Sequence

from halo_engine.llm import ChatMessage, assistant, system, user
from halo_engine.llm.chat import likely_tokens
from halo_engine.rlm.host import Notebook
from halo_engine.schema import FrozenModel

# Share of the model's window from which on old turns are put into few words.
FULL = 0.6
KEPT_TURNS = 4


class Turn(FrozenModel):
    """What the model wrote, and what it got back."""

    answer: str
    reply: str


class Conversation(FrozenModel):
    """The conversation: it only grows at its end, so that a provider's prompt cache hits."""

    system: str
    opening: str
    memory: str = ""
    turns: tuple[Turn, ...] = ()

    def messages(self, notebook: Notebook) -> list[ChatMessage]:
        """The conversation as messages; what is pinned stands after what was shortened."""
        opening = self.opening
        if self.memory:
            opening = f"{opening}\n\n{self.memory}\n\n{pinned(notebook)}"
        turns = [m for t in self.turns for m in (assistant(t.answer), user(t.reply))]
        return [system(self.system), user(opening), *turns]

    def is_full(self, notebook: Notebook, window: int) -> bool:
        """Whether old turns have to be shortened, and there are some."""
        tokens = sum(likely_tokens(m.content) for m in self.messages(notebook))
        return tokens > window * FULL and len(self.turns) > KEPT_TURNS

    def with_turn(self, answer: str, reply: str) -> Conversation:
        """One turn more."""
        return self.model_copy(update={"turns": (*self.turns, Turn(answer=answer, reply=reply))})

    @property
    def old(self) -> Sequence[Turn]:
        """The turns that are shortened first."""
        return self.turns[:-KEPT_TURNS]

    def shortened(self, memory: str) -> Conversation:
        """Without the old turns, and with ``memory`` of them."""
        return self.model_copy(update={"memory": memory, "turns": self.turns[-KEPT_TURNS:]})


def pinned(notebook: Notebook) -> str:
    """What is never forgotten."""
    findings = [f"- {c.id} ({c.failure_mode}): {c.title}" for c in notebook.candidates]
    notes = [f"- {note}" for note in notebook.notes]
    return "\n".join(["Submitted:", *(findings or ["- nothing"]), "Notes:", *(notes or ["- none"])])
