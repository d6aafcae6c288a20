"""A dialect of your own: traces of the (made-up) ACME instrumentation become spans.

ACME records these attributes on its spans; a span may also have those of other families.

    acme.step        "model", "tool" or "run"
    acme.request     what went in: text, for a model call JSON
                     {"turns": [{"speaker": "customer", "text": "Where is my order?"}]}
    acme.reply       what came out, in the same form; a turn may hold "actions":
                     [{"ref": "c1", "action": "get_order", "arguments": {"id": "A-17"}}]
    acme.model       the model's name
    acme.tokens_in   and acme.tokens_out: numbers of tokens
    acme.thread      the id of the session

The span of a tool's run has the name of the tool: no attribute holds it.

To write a dialect, copy this file, and name the class in the pyproject.toml of your package:

    [project.entry-points."halo_integrations.dialects"]
    acme = "acme_dialect:Acme"

Once the package is installed, every command and every source (files, Phoenix, Langfuse) uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halo_adapters.attributes import parsed_object
from halo_adapters.dialects.base import Dialect, RawSpan, SpanField, only_for
from halo_adapters.json_values import integer_of, name_of
from halo_engine.fields import as_text
from halo_engine.schema import SpanKind

KINDS = {"model": SpanKind.LLM, "tool": SpanKind.TOOL, "run": SpanKind.AGENT}
ROLES = {"customer": "user", "bot": "assistant", "rules": "system"}


# A reader gets the value of an attribute, of any JSON type, and returns the value of the field, or
# None where it cannot: then the field is read from the next attribute, or in the next dialect.


def read_kind(value: Any) -> SpanKind | None:
    """The span kind of an ACME step."""
    return KINDS.get(value) if isinstance(value, str) else None


def read_turns(value: Any) -> list[dict[str, Any]] | None:
    """The turns of a model's request or reply as messages in OpenAI's format.

    Messages may be returned in any format that ``halo_adapters.messages.decode`` reads.
    """
    conversation = parsed_object(value) if isinstance(value, str) else value
    turns = conversation.get("turns") if isinstance(conversation, dict) else None
    return [message_of_turn(turn) for turn in objects_in(turns)] or None


def message_of_turn(turn: dict[str, Any]) -> dict[str, Any]:
    """One turn as a message."""
    speaker = name_of(turn.get("speaker"))
    return {
        "role": ROLES.get(speaker or "", speaker),
        "content": turn.get("text"),
        "tool_calls": [
            {"id": call.get("ref"), "name": call.get("action"), "arguments": call.get("arguments")}
            for call in objects_in(turn.get("actions"))
        ],
    }


def objects_in(value: Any) -> list[dict[str, Any]]:
    """The JSON objects in a list; none where ``value`` is something else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


class Acme(Dialect):
    """Attributes named ``acme.*``."""

    name = "acme"
    # Lower ranks are trusted more. OpenInference has 100, OpenTelemetry GenAI 200, OpenLLMetry 300,
    # HALO's export 400. Below 100 your attributes come first; above 400 they only fill gaps.
    rank = 50
    fields = (
        SpanField("kind", read_kind, ("acme.step",)),
        SpanField("input", as_text, ("acme.request",)),
        SpanField("output", as_text, ("acme.reply",)),
        SpanField("input_messages", read_turns, ("acme.request",)),
        SpanField("output_messages", read_turns, ("acme.reply",)),
        SpanField("model_name", name_of, ("acme.model",)),
        SpanField("prompt_tokens", integer_of, ("acme.tokens_in",)),
        SpanField("completion_tokens", integer_of, ("acme.tokens_out",)),
        SpanField("session_id", name_of, ("acme.thread",)),
    )

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Every span of ACME has its kind of step.

        Without this method, a span with any attribute of the table would be read in this dialect.
        """
        return "acme.step" in attributes

    @only_for(SpanKind.TOOL)
    def derived_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The name of the tool, which is that of the span; only where no attribute names one."""
        return {"tool_name": span.name}
