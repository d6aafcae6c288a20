"""The run: an agent asks a model four times, and calls the tool ``stock`` three times in vain.

The arguments of its calls are the same. Its attributes are those of OpenInference, one flat value
each, as every exporter can carry them; tracers with forms of their own have it in these.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

Row = dict[str, Any]

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPANS = (
    *("00f067aa0ba902b7", "1a2b3c4d5e6f7081", "2b3c4d5e6f708192", "3c4d5e6f708192a3"),
    *("4d5e6f708192a3b4", "5e6f708192a3b4c5", "6f708192a3b4c5d6", "708192a3b4c5d6e7"),
)
START = datetime(2026, 1, 1, tzinfo=UTC)
QUESTION = "How many green lamps are left?"
ARGUMENTS = '{"item":"green lamp"}'
ERROR = "ConnectionError: stock service refused the connection"
ANSWER = "I could not find out."
SERVICE = "lamp-shop"
USAGE = (("prompt", 100), ("completion", 20), ("total", 120))


def call(number: int) -> Row:
    """The tool call that the model makes in this turn, as OpenAI writes it."""
    return {
        "id": f"c{number}",
        "type": "function",
        "function": {"name": "stock", "arguments": ARGUMENTS},
    }


def answer(turn: int) -> Row:
    """What the model answers in this turn."""
    if turn == 3:
        return {"role": "assistant", "content": ANSWER}
    return {"role": "assistant", "content": None, "tool_calls": [call(turn)]}


def steps() -> Iterator[Row]:
    """The spans of the run, their content apart from how any tracer writes it."""
    yield step(0, None, "agent", "AGENT", 0, 9, given=QUESTION, returned=ANSWER)
    for turn in range(4):
        at = 2 * turn
        messages = [{"role": "user", "content": QUESTION}]
        yield step(at + 1, 0, "ChatCompletion", "LLM", at + 1, at + 2, messages, answer(turn))
        if turn < 3:
            yield step(at + 2, 0, "stock", "TOOL", at + 2, at + 3, ARGUMENTS, ERROR, error=ERROR)


def step(
    number: int,
    parent: int | None,
    name: str,
    kind: str,
    start: int,
    end: int,
    given: Any,
    returned: Any,
    error: str | None = None,
) -> Row:
    return {
        "trace_id": TRACE,
        "span_id": SPANS[number],
        "parent_span_id": None if parent is None else SPANS[parent],
        "name": name,
        "kind": kind,
        "start": START + timedelta(seconds=start),
        "end": START + timedelta(seconds=end),
        "given": given,
        "returned": returned,
        "error": error,
    }


RUN = tuple(steps())


def attributes(step: Row) -> Row:
    """The attributes of a step as OpenInference has them, item by item."""
    found: Row = {"openinference.span.kind": step["kind"]}
    if step["kind"] != "LLM":
        found |= {"input.value": step["given"], "output.value": step["returned"]}
        return found | ({"tool.name": "stock"} if step["kind"] == "TOOL" else {})
    found |= {"llm.model_name": "test-model", "input.value": QUESTION}
    found |= {f"llm.token_count.{side}": count for side, count in USAGE}
    for side, messages in (("input", step["given"]), ("output", [step["returned"]])):
        for number, message in enumerate(messages):
            place = f"llm.{side}_messages.{number}.message"
            found[f"{place}.role"] = message["role"]
            if message["content"]:
                found[f"{place}.content"] = message["content"]
            for at, made in enumerate(message.get("tool_calls", ())):
                inner = f"{place}.tool_calls.{at}.tool_call"
                found[f"{inner}.id"] = made["id"]
                found[f"{inner}.function.name"] = made["function"]["name"]
                found[f"{inner}.function.arguments"] = made["function"]["arguments"]
    return found


def nano(moment: datetime) -> int:
    return round(moment.timestamp()) * 10**9


def iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
