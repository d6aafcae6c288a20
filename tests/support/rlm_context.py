"""Synthetic conversations, and the parts of the model analysis over a store of them."""

from __future__ import annotations

from dataclasses import dataclass

from halo_engine.comparison import compare_corpus
from halo_engine.findings import Report
from halo_engine.llm import ModelClient
from halo_engine.rlm.checks import CheckRules
from halo_engine.rlm.conversation import Conversation
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.host import Host
from halo_engine.rlm.host.context import HostContext
from halo_engine.rlm.mapping import Mapper
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.schema import Trace
from halo_engine.store import TraceStore
from halo_integrations.testing import ScriptedModel, agent, call, llm, message, tool, trace

DECLINED, PAID = "The card was declined.", "Paid 20 EUR."
NONCE = "data-nonce"
OPENING = Conversation(system="You look for failures.", opening="Here are traces.")


def conversation(number: int) -> Trace:
    """Every third payment is declined; every second of those is reported as paid."""
    result = DECLINED if number % 3 == 0 else PAID
    answer = "All done, you have paid." if number % 2 == 0 else "It did not work."
    prompt = [message("system", "You are a clerk."), message("user", f"Please pay order {number}")]
    order = {"order": number}
    return trace(
        agent(input=f"Please pay order {number}", output=answer),
        llm(calls=[call("pay", order)], messages=prompt),
        tool("pay", order, output=result),
        llm(answer, messages=[*prompt, message("tool", result)]),
        number=number,
    )


@dataclass
class RlmContext:
    """A store with its short ids, and a client for the model that reads it."""

    store: TraceStore
    short_ids: ShortIds
    client: ModelClient

    def mapper(self, model: ScriptedModel) -> Mapper:
        return Mapper(self.client, model, self.short_ids, DataDelimiter(NONCE))

    def host(self, model: ScriptedModel) -> Host:
        signals = Report(traces=len(self.short_ids.trace_ids))
        rules = CheckRules(self.store)
        corpus = compare_corpus(self.store, signals)
        delimiter = DataDelimiter(NONCE)
        return Host(
            HostContext(rules, self.short_ids, signals, corpus, self.client, model, delimiter)
        )
