"""Analyses by a scripted model of many roles, in real sandboxes."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from halo_engine.findings import Report
from halo_engine.llm import Budget, ChatMessage, Completion, Ledger, Limits, ModelClient, Price
from halo_engine.rlm.events import AnalysisEvent
from halo_engine.rlm.investigation import Investigation
from halo_engine.rlm.sandbox.base import Sandbox
from halo_engine.rlm.sandbox.monty import MontySandbox
from halo_engine.store import TraceStore
from halo_integrations.testing import ScriptedModel
from model_endpoint import Analyst, code, is_survey

Messages = Sequence[ChatMessage]
Turn = str | Callable[[], str]

FINISH = code("finish('all said')")


@dataclass
class Tree:
    """A model for all roles: the root and the investigations of segments answer with their turns.

    ``survey`` answers about each trace of the survey, by its name and its text on the page.
    ``ends_at`` is the number of the call of a root or investigation that is interrupted.
    """

    root: Sequence[Turn] = ()
    parts: dict[str, Sequence[Turn]] = field(default_factory=dict)
    survey: Callable[[str, str], dict[str, Any]] = lambda _name, _text: {"faults": []}
    ends_at: int = 0
    asked: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.model = ScriptedModel(self.answer, price=Price(prompt=1.0, completion=1.0))
        self._reader = Analyst([])
        self._lock = threading.Lock()

    def answer(self, messages: Messages) -> str | Completion:
        if is_survey(messages[0].content):
            pages = re.split(r"^## Trace (T\d+)$", messages[1].content, flags=re.MULTILINE)[1:]
            named = zip(pages[::2], pages[1::2], strict=True)
            return json.dumps([{"trace": n, **self.survey(n, text)} for n, text in named])
        if not messages[0].content.startswith("You look for"):
            return self._reader([{"role": m.role, "content": m.content} for m in messages])
        part = re.search(r"You investigate segment (S\d+)", messages[1].content)
        segment = part[1] if part else ""
        done = sum(m.role == "assistant" for m in messages)
        with self._lock:
            self.asked.append((segment, done))
            if len(self.asked) == self.ends_at:
                raise KeyboardInterrupt
        turns = self.parts.get(segment, []) if segment else self.root
        turn = turns[done] if done < len(turns) else FINISH
        return turn if isinstance(turn, str) else turn()

    def prompts(self, segment: str = "") -> list[Messages]:
        """The prompts of the root, or of an investigation of ``segment``."""
        words = f"You investigate segment {segment}"
        return [
            messages
            for messages in self.model.requests
            if messages[0].content.startswith("You look for")
            and (words in messages[1].content) == bool(segment)
        ]

    @property
    def survey_prompts(self) -> list[Messages]:
        """The prompts of the survey."""
        return [messages for messages in self.model.requests if is_survey(messages[0].content)]

    def replies(self, segment: str = "") -> str:
        """All that the code of the root, or of an investigation, printed."""
        return "\n".join(
            m.content
            for prompt in self.prompts(segment)[-1:]
            for m in prompt[2:]
            if m.role == "user"
        )


@dataclass
class Analysis:
    """Analyses of one store with one ledger, as of one run."""

    store: TraceStore
    ledger: Ledger
    events: list[AnalysisEvent] = field(default_factory=list)
    concurrency: int = 16

    def run(
        self,
        tree: Tree,
        limits: Limits | None = None,
        new_sandbox: Callable[[], Sandbox] = MontySandbox,
    ) -> Report:
        budget = Budget(limits or Limits(usd=50))
        client = ModelClient(budget, self.ledger, concurrency=self.concurrency, retry_timeout=0)
        sandbox = MontySandbox()
        try:
            return Investigation(
                self.store,
                Report(traces=len(self.store.trace_ids())),
                client,
                tree.model,
                tree.model,
                sandbox,
                on_event=self.events.append,
                new_sandbox=new_sandbox,
            ).run()
        finally:
            sandbox.close()
