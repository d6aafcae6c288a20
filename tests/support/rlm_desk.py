"""Made-up conversations, and all that a session over a store of them stands on."""

from __future__ import annotations

from dataclasses import dataclass

from halo_engine.findings import Report
from halo_engine.llm import ModelClient
from halo_engine.rlm.candidates import CheckRules
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.host import Host
from halo_engine.rlm.mapping import Mapper
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.schema import Trace
from halo_engine.store import TraceStore
from halo_integrations.testing import ScriptedModel, agent, call, llm, message, tool, trace

REFUSED, PAID = "The card was declined.", "Paid 20 EUR."


def conversation(number: int) -> Trace:
    """Every third payment is refused; every second of those is told as paid."""
    result = REFUSED if number % 3 == 0 else PAID
    answer = "All done, you have paid." if number % 2 == 0 else "It did not work."
    asked = [message("system", "You are a clerk."), message("user", f"Please pay order {number}")]
    order = {"order": number}
    return trace(
        agent(input=f"Please pay order {number}", output=answer),
        llm(calls=[call("pay", order)], messages=asked),
        tool("pay", order, output=result),
        llm(answer, messages=[*asked, message("tool", result)]),
        number=number,
    )


@dataclass
class Desk:
    """A store with its short names, and a model to ask about it."""

    store: TraceStore
    references: ShortIds
    calls: ModelClient

    def mapper(self, model: ScriptedModel) -> Mapper:
        return Mapper(self.calls, model, self.references, DataDelimiter("data-word"))

    def host(self, model: ScriptedModel) -> Host:
        signals = Report(traces=len(self.references.trace_ids))
        frame = DataDelimiter("data-word")
        return Host(CheckRules(self.store), self.references, signals, self.calls, model, frame)
