"""The loop of model and tools that answers a customer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .backend import ToolError
from .model import Model, ModelAnswer, ModelCall, RateLimitError
from .prompts import INSTRUCTIONS
from .settings import MAX_STEPS
from .tools import TOOLS, Toolbox

BUSY = "Our assistant is very busy right now (429). Please try again in a few minutes."
NOT_UNDERSTOOD = "Sorry, I did not get that. Could you say it in other words?"


class StoppedError(Exception):
    """The assistant gave up."""


class Assistant:
    """Answers customers with ``model`` and the tools of ``toolbox``."""

    def __init__(self, model: Model, toolbox: Toolbox) -> None:
        self.model = model
        self.functions = toolbox.functions()

    def answer(self, request: str) -> str:
        """The answer to a customer; raises ``StoppedError`` when there is none."""
        messages = [
            {"role": "system", "content": INSTRUCTIONS},
            {"role": "user", "content": request},
        ]
        for _ in range(MAX_STEPS):
            try:
                answer = self.model.answer(messages, declared_tools())
            except RateLimitError:
                return BUSY
            if not answer.calls:
                return answer.text.strip() or NOT_UNDERSTOOD
            messages += self.results(answer)
        raise StoppedError(f"stopped without an answer: max_steps ({MAX_STEPS}) reached")

    def results(self, answer: ModelAnswer) -> list[dict[str, Any]]:
        """The answer and the results of its calls, as messages."""
        results = [
            {"role": "tool", "tool_call_id": str(number), "content": self.result(call)}
            for number, call in answer.calls.items()
        ]
        return [{"role": "assistant", "content": answer.text}, *results]

    def result(self, call: ModelCall) -> str:
        """The result of a call as text, or why it cannot be run."""
        if call.name not in self.functions:
            return f"There is no tool called {call.name}."
        try:
            arguments = json.loads(call.arguments)
        except ValueError:
            return "The arguments are not valid JSON."
        try:
            return json.dumps(self.functions[call.name](**arguments))
        except ToolError as error:
            return f"Error: {error}"


def declared_tools() -> Sequence[dict[str, Any]]:
    """The tools as the provider wants them declared."""
    return [
        {"type": "function", "function": {"name": name, **declared}}
        for name, declared in TOOLS.items()
    ]
