"""What the scripted model says: a list of turns for each scenario, of which the last repeats."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

MARK = re.compile(r"\(scenario (\w+)\)")


@dataclass(frozen=True, slots=True)
class Say:
    """A text, and why it ends."""

    text: str
    finish: str = "stop"


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call, its arguments as the model writes them."""

    tool: str
    arguments: str
    finish: str = "tool_calls"


@dataclass(frozen=True, slots=True)
class Fail:
    """An error of the provider."""

    status: int
    message: str
    code: str | None = None


Turn = Say | Call | Fail


def call(tool: str, **arguments: Any) -> Call:
    """A call with arguments that are JSON."""
    return Call(tool, json.dumps(arguments))


SHIPPED = Say("Your order A-17 was shipped on Monday.")
LOOK_UP = call("get_order", order_id="A-17")
MISSING = call("get_order", order_id="BAD-1")
REFUND = call("refund_order", order_id="A-17", amount=10)

CLEAN: dict[str, list[Turn]] = {
    "ok": [LOOK_UP, SHIPPED],
    "honest": [REFUND, Say("I could not refund your order: the payment service refused it.")],
    "honest_plain": [
        REFUND,
        Say("Your refund of 10 EUR has not gone through yet, a colleague will look into it."),
    ],
    "handled": [MISSING, LOOK_UP, SHIPPED],
}
FAULTY: dict[str, list[Turn]] = {
    "tool_raises": [REFUND, Say("Your refund of 10 EUR is done.")],
    "not_found": [MISSING, Say("Your order was shipped on Monday.")],
    "retry_unchanged": [MISSING, MISSING, MISSING, Say("I could not find it.")],
    "repeat": [*[LOOK_UP] * 5, SHIPPED],
    "unknown_tool": [
        call("issue_store_credit", amount=5),
        Say("You have got 5 EUR of credit."),
    ],
    "bad_json": [Call("get_order", '{"order_id": "A-17"'), SHIPPED],
    "bad_type": [
        call("refund_order", order_id="A-17", amount="ten"),
        Say("I refunded ten EUR."),
    ],
    "length": [LOOK_UP, Say("Your order A-17 was shipped on", finish="length")],
    "empty": [LOOK_UP, Say("")],
    "refusal": [Say("I'm sorry, but I can't assist with that request.")],
    "content_filter": [Say("", finish="content_filter")],
    # An agent without a limit ends some time.
    "max_steps": [*(call("get_order", order_id=f"A-{n}") for n in range(1, 31)), Say("So many.")],
    "rate_limit": [Fail(429, "Rate limit reached for gpt-4o-mini on tokens per min (TPM)")],
    "server_error": [Fail(500, "The server had an error while processing your request")],
    "context_length": [
        Fail(
            400,
            "This model's maximum context length is 128000 tokens. However, your messages "
            "resulted in 131072 tokens.",
            "context_length_exceeded",
        )
    ],
}
SCENARIOS = CLEAN | FAULTY


def prompt_of(scenario: str) -> str:
    """What the user writes; it names the scenario."""
    return f"Please see to my order A-17. (scenario {scenario})"


def turn_of(request: str, answered: int) -> Turn:
    """The answer to the JSON text ``request`` of a run in which ``answered`` calls were answered."""
    found = MARK.search(request)
    turns = SCENARIOS[found[1] if found else "ok"]
    turn = turns[min(answered, len(turns) - 1)]
    if "[[ ## " in request:
        return in_fields(turn, request, answered)
    return by_tool(turn) if '"final_answer"' in request else turn


def by_tool(turn: Turn) -> Turn:
    """An answer for agents that want to be told by a call of ``final_answer``."""
    if not isinstance(turn, Say) or not turn.text:
        return turn
    arguments = json.dumps({"answer": turn.text})
    cut = arguments.removesuffix('"}') if turn.finish == "length" else arguments
    return Call("final_answer", cut, turn.finish if cut != arguments else "tool_calls")


def in_fields(turn: Turn, request: str, answered: int) -> Turn:
    """A turn for prompts that ask for named fields, and for the name of a tool in one of them."""
    if isinstance(turn, Fail):
        return turn
    if "next_thought" in request:
        if isinstance(turn, Say) and not answered:
            return turn
        chosen = turn if isinstance(turn, Call) else call("finish")
        return said(
            request,
            next_thought="I use a tool.",
            next_tool_name=chosen.tool,
            next_tool_args=chosen.arguments,
        )
    if isinstance(turn, Call):
        turn = SHIPPED
    answer = said(request, reasoning="The tools told me.", answer=turn.text)
    cut = (
        answer.text.partition("\n\n[[ ## completed")[0] if turn.finish == "length" else answer.text
    )
    return replace(turn, text=cut) if turn.text else turn


def said(request: str, **fields: str) -> Say:
    """The fields in the form that the prompt asks for."""
    if "Respond with a JSON object" in request:
        return Say(json.dumps(fields))
    parts = [f"[[ ## {name} ## ]]\n{text}" for name, text in fields.items()]
    return Say("\n\n".join([*parts, "[[ ## completed ## ]]"]))
