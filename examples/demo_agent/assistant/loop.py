"""The loop of model and tools that answers a customer."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

from .model import Model, ModelAnswer, ModelCall, RateLimitError
from .prompts import INSTRUCTIONS
from .settings import MAX_STEPS, RESULT_CHARS
from .shop import OrderLocked, ServiceError
from .tools import TOOLS, Toolbox
from .tracing import Tracing

log = logging.getLogger(__name__)
BUSY = "Our assistant is very busy right now (429). Please try again in a few minutes."
NOT_UNDERSTOOD = "Sorry, I did not get that. Could you say it in other words?"


class StoppedError(Exception):
    """The assistant gave up."""


class Assistant:
    """Answers customers with ``model`` and the tools of ``toolbox``."""

    def __init__(self, model: Model, toolbox: Toolbox, tracing: Tracing) -> None:
        self.model = model
        self.toolbox = toolbox
        self.tracing = tracing

    def answer(self, request: str, customer: str) -> str | None:
        """The answer to a customer; None when there is none."""
        with self.tracing.agent(request, customer) as span:
            try:
                answer = self.converse(request)
            except RateLimitError as error:
                self.tracing.failed(span, f"the model could not be reached: {error}")
                answer = BUSY
            except StoppedError as error:
                self.tracing.failed(span, str(error))
                return None
            self.tracing.returned(span, answer)
        return answer

    def converse(self, request: str) -> str:
        """Call the model and run the tools that it calls, until it answers."""
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": INSTRUCTIONS},
            {"role": "user", "content": request},
        ]
        for _ in range(MAX_STEPS):
            answer = self.model.answer(messages, declared_tools())
            if not answer.calls:
                return answer.text.strip() or NOT_UNDERSTOOD
            messages += self.results(answer)
        raise StoppedError(f"stopped without an answer: max_steps ({MAX_STEPS}) reached")

    def results(self, answer: ModelAnswer) -> list[dict[str, Any]]:
        """The answer and the results of its calls, as messages."""
        calls = [
            {"id": call.id, "function": {"name": call.name, "arguments": call.arguments}}
            for call in answer.calls.values()
        ]
        results = [
            {"role": "tool", "tool_call_id": call.id, "content": self.result(call)}
            for call in answer.calls.values()
        ]
        return [{"role": "assistant", "content": answer.text, "tool_calls": calls}, *results]

    def result(self, call: ModelCall) -> str:
        """The result of a call as text, or why it cannot be run."""
        if call.name not in self.toolbox.functions:
            return f"There is no tool called {call.name}."
        try:
            arguments = json.loads(call.arguments)
        except ValueError:
            return "The arguments are not valid JSON."
        try:
            result = self.toolbox.run(call.name, call.id, arguments)
        except OrderLocked as error:
            return f"Error: {error}"
        except ServiceError as error:
            # The queue of the service takes it up later.
            log.warning("%s: %s", call.name, error)
            return json.dumps({"accepted": True})
        return "" if result is None else json.dumps(result)[:RESULT_CHARS]


def declared_tools() -> Sequence[dict[str, Any]]:
    """The tools as the provider wants them declared."""
    return [
        {"type": "function", "function": {"name": name, **declared}}
        for name, declared in TOOLS.items()
    ]
