"""Synthetic conversations of any number, always the same: for load, not for findings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

Row = dict[str, Any]

START = datetime(2026, 1, 1, tzinfo=UTC)
POOL = " ".join(
    f"order {n} of customer {n * 7} has a broken blue parcel; please refund voucher {n * 13} today"
    for n in range(300)
)


def conversations(count: int, seed: int = 1) -> Iterator[Row]:
    """The spans of ``count`` traces: an agent with four model calls and four tool calls each."""
    random = Random(seed)
    for number in range(count):
        yield from conversation(number, random)


def conversation(number: int, random: Random) -> Iterator[Row]:
    trace_id = f"{random.getrandbits(128):032x}"
    ids = [f"{random.getrandbits(64):016x}" for _ in range(9)]

    def text(length: int) -> str:
        at = random.randrange(len(POOL) - length)
        return POOL[at : at + length]

    def span(position: int, kind: str, name: str, attributes: Row) -> Row:
        start = START + timedelta(seconds=60 * number + position)
        always = {"openinference.span.kind": kind, "session.id": f"session-{number // 3}"}
        return {
            "trace_id": trace_id,
            "span_id": ids[position],
            "parent_span_id": ids[0] if position else "",
            "name": name,
            "start_time": start.isoformat(),
            "end_time": (start + timedelta(seconds=30 if position == 0 else 1)).isoformat(),
            "status": {"code": "STATUS_CODE_OK"},
            "attributes": {**always, **attributes},
        }

    yield span(0, "AGENT", "agent", {"input.value": text(120), "output.value": text(200)})
    for turn in range(4):
        prompt, answer = text(600), text(250)
        call = "llm.output_messages.0.message.tool_calls.0.tool_call"
        model = {
            "input.value": prompt,
            "output.value": answer,
            "llm.model_name": "synthetic",
            "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.content": prompt,
            "llm.output_messages.0.message.role": "assistant",
            f"{call}.id": f"call-{number}-{turn}",
            f"{call}.function.name": "look_up",
            f"{call}.function.arguments": f'{{"q": "{text(30)}"}}',
            "llm.token_count.prompt": random.randrange(200, 4000),
            "llm.token_count.completion": random.randrange(20, 300),
        }
        yield span(1 + 2 * turn, "LLM", "chat", model)
        tool = {
            "tool.name": "look_up",
            "input.value": f'{{"q": "{text(30)}"}}',
            "output.value": f'{{"success": true, "data": "{text(500)}"}}',
        }
        yield span(2 + 2 * turn, "TOOL", "look_up", tool)
