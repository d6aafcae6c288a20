"""Scripted models behind an OpenAI-compatible endpoint on loopback."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from claim_readers import claim_rows, is_review
from loopback import Answer, Loopback, Request, serving

Messages = list[dict[str, str]]
Respond = Callable[[Messages], str]

PROMPT_PRICE, COMPLETION_PRICE = 3.0, 15.0


def code(*lines: str) -> str:
    return "I look at it.\n```python\n" + "\n".join(lines) + "\n```"


SUBMIT = (
    "submit_finding(title='Orders stay unknown', failure_mode='wrong_result', summary='s', "
    "cause='c', recommendation='r', impact='wrong_outcome', evidence={evidence}, check={check})"
)


def submit(evidence: str, check: str) -> str:
    return "print(" + SUBMIT.format(evidence=evidence, check=check) + ")"


@dataclass
class Analyst:
    """A model for all roles: as the root it answers with ``turns`` and then with ``after``.

    As the sub-model it confirms every claim, and reports the ``finding`` in each trace that contains
    ``symptom``.
    """

    turns: list[str]
    symptom: str = "unknown"
    finding: str = "F1"
    after: str = code("finish('done')")

    def __call__(self, messages: Messages) -> str:
        instruction, text = messages[0]["content"], messages[-1]["content"]
        if instruction.startswith("You look for"):
            done = sum(m["role"] == "assistant" for m in messages)
            return self.turns[done] if done < len(self.turns) else self.after
        if instruction.startswith("Below are the older turns"):
            return "I have looked at some traces."
        if is_review(instruction):
            return json.dumps(claim_rows(text, lambda *_: {"shows": True}))
        if is_survey(instruction):
            return rows(text, lambda _: {"faults": []})
        if "for certain failures" in instruction:
            return rows(text, self._judged)
        return rows(text, lambda _: {"ok": True}) if "## Trace" in text else "fine"

    def _judged(self, trace: str) -> dict[str, Any]:
        match = re.search(rf"^\[(T[\d.]+[a-z]*)\].*?(\S*{self.symptom}\S*)", trace, re.MULTILINE)
        named = {"finding": self.finding, "why": "seen"}
        hit = {**named, "span": match[1], "quote": match[2]} if match else {}
        return {"shows": [hit] if hit else []}


def is_survey(instruction: str) -> bool:
    """Whether a prompt with this instruction is one of the survey."""
    return "to say what went wrong in each" in instruction


def rows(text: str, row: Callable[[str], dict[str, Any]]) -> str:
    """The JSON of a row for each trace on the page in ``text``."""
    parts = re.split(r"^## Trace (T\d+)$", text, flags=re.MULTILINE)[1:]
    pairs = zip(parts[::2], parts[1::2], strict=True)
    empty = {"earlier_cause": None}
    return json.dumps([{"trace": name, **empty, **row(body)} for name, body in pairs])


@dataclass
class Endpoint:
    """The endpoint: its address, its requests, and the token counts of its answers.

    ``thinking`` are the tokens of hidden reasoning of each answer. ``requests`` and ``prompts`` are
    those that follow the survey, whose requests are in ``surveyed``.
    """

    loopback: Loopback
    thinking: int = 0
    requests: list[Request] = field(default_factory=list)
    surveyed: list[Request] = field(default_factory=list)
    billed: list[tuple[int, int]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.loopback.url}/v1"

    @property
    def prompts(self) -> list[Messages]:
        return [json.loads(request.body)["messages"] for request in self.requests]

    @property
    def all_prompts(self) -> list[Messages]:
        """The prompts, with those of the survey."""
        return [json.loads(request.body)["messages"] for request in self.loopback.requests]

    @property
    def usd(self) -> float:
        return sum(p * PROMPT_PRICE + c * COMPLETION_PRICE for p, c in self.billed) / 1e6


@contextmanager
def endpoint(
    respond: Respond,
    before: Callable[[int], Answer | None] | None = None,
    *,
    thinking: int = 0,
    has_survey: bool = False,
) -> Iterator[Endpoint]:
    """Serve ``respond`` as a model; ``before`` may answer the n-th request instead.

    ``before`` is not asked about the survey, unless ``has_survey`` counts its requests, too. An
    answer is cut where it is longer than the request allows, with its hidden reasoning.
    """
    made: list[Endpoint] = []

    def handle(request: Request) -> Answer:
        body = json.loads(request.body)
        is_counted = has_survey or not is_survey(body["messages"][0]["content"])
        asked = made[0].requests if is_counted else made[0].surveyed
        asked.append(request)
        instead = before(len(asked)) if before and is_counted else None
        if instead is not None:
            return instead
        text, limit = respond(body["messages"]), body["max_tokens"]
        needed = made[0].thinking + len(text) // 4 + 1
        usage = len(request.body) // 4, min(needed, limit)
        made[0].billed.append(usage)
        if needed <= limit:
            return completion(text, *usage)
        visible = text[: 4 * max(0, limit - made[0].thinking)]
        return completion(visible, *usage, finish_reason="length")

    with serving(handle) as loopback:
        made.append(Endpoint(loopback, thinking))
        yield made[0]


def completion(
    text: str | None,
    prompt: Any = 10,
    answer: Any = 10,
    *,
    finish_reason: str | None = "stop",
    **changes: Any,
) -> Answer:
    message = {"role": "assistant", "content": text}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": 0},
    }
    return Answer(body={**body, **changes})


def refusal(status: int, message: str, **headers: str) -> Answer:
    return Answer(status=status, body={"error": {"message": message}}, headers=headers)
