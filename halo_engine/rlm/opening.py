"""The first messages to the root model: its instructions, and metadata of the store."""

from __future__ import annotations

import orjson

from halo_engine.failure_modes import MEANINGS
from halo_engine.rlm.candidates import IMPACTS, MODES
from halo_engine.rlm.conversation import Conversation
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.host import Host
from halo_engine.rlm.prompts import filled, prompt

METADATA_CHARS = 12_000


def opening_conversation(
    host: Host,
    delimiter: DataDelimiter,
    *,
    max_turns: int,
    question: str | None,
    background: str | None,
) -> Conversation:
    """The conversation before the first turn. It contains counts and signals, but no trace."""
    functions = host.functions
    metadata = {name: functions[name]() for name in ("overview", "signals", "budget")}
    parts = [
        f"The question: {question}" if question else "",
        f"About the agent, from its owner:\n{background}" if background else "",
        f"What is in the store:\n{delimiter(compact_json(metadata), METADATA_CHARS)}",
    ]
    instructions = [
        filled(prompt("analyst"), rule=delimiter.instruction, turns=str(max_turns)),
        manual(),
        prompt("code") if host.has_code else "",
    ]
    return Conversation(
        system="\n\n".join(part for part in instructions if part),
        opening="\n\n".join(part for part in parts if part),
    )


def manual() -> str:
    """The description of the host functions, with the failure modes and impacts to choose from."""
    modes = "\n".join(f"{slug}: {MEANINGS[slug]}" for slug in MODES)
    impacts = "; ".join(f'"{impact}" ({meaning})' for impact, meaning in IMPACTS.items())
    return filled(prompt("manual"), modes=modes, impacts=impacts)


def compact_json(value: object) -> str:
    """``value`` as JSON without white space."""
    return orjson.dumps(value, default=str).decode()
