"""The host function that shows what agents were told: their instructions and their tools."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from halo_engine.comparison.run_facts import INSTRUCTION_ROLES
from halo_engine.comparison.tables import segment_name
from halo_engine.rlm.host.arguments import Count, Name
from halo_engine.rlm.host.context import HostContext
from halo_engine.rlm.pages.declared_tools import tools_text
from halo_engine.rlm.sandbox.base import HostFunction
from halo_engine.schema import Trace
from halo_engine.text.sanitize import strip_invisible

MAX_PROMPTS = 50
PROMPT_CHARS, MAX_PROMPT_CHARS, TOOLS_CHARS = 8_000, 50_000, 4_000


class InstructionsShown:
    """The host function about instructions."""

    def __init__(self, context: HostContext) -> None:
        self._context = context
        self._corpus = context.corpus

    def functions(self) -> tuple[HostFunction, ...]:
        """The functions that code can call."""
        return (self.prompts,)

    def prompts(
        self, segment: Name | None = None, chars: Count = PROMPT_CHARS
    ) -> list[dict[str, Any]]:
        """The distinct instructions, those of most runs first, with the tools that were declared.

        Instructions that differ in ids, numbers and times only are the same. Warns if some are left
        out.
        """
        runs: dict[tuple[str, str], list[str]] = defaultdict(list)
        for trace_id, run in self._corpus.runs.items():
            name = segment_name(self._corpus.segments[trace_id])
            if segment in (None, name):
                runs[name, run.instructions].append(trace_id)
        ordered = sorted(runs.items(), key=lambda item: -len(item[1]))
        shown = self._context.first_rows("prompts", ordered, MAX_PROMPTS, argument="segment")
        return [
            self._row(name, trace_ids, min(chars, MAX_PROMPT_CHARS))
            for (name, _), trace_ids in shown
        ]

    def _row(self, segment: str, trace_ids: list[str], chars: int) -> dict[str, Any]:
        """The instructions of a segment as the first of ``trace_ids`` records them."""
        trace = self._context.short_ids.trace(trace_ids[0])
        told = "\n\n".join(instructions_in(trace))
        declared = next((span.tools for span in trace.spans if len(span.tools) > 1), ())
        called = ", ".join(self._corpus.runs[trace_ids[0]].tools)
        return {
            "segment": segment,
            "runs": len(trace_ids),
            "trace": self._context.short_ids.name(trace_ids[0]),
            "instructions": strip_invisible(told)[:chars],
            "chars": len(told),
            "tools": strip_invisible(tools_text(declared) or f"called: {called}")[:TOOLS_CHARS],
        }


def instructions_in(trace: Trace) -> Iterator[str]:
    """The instructions of the first model call that records some."""
    for span in trace.spans:
        told = [m.content for m in span.input_messages if m.role in INSTRUCTION_ROLES and m.content]
        if told:
            yield from told
            return
