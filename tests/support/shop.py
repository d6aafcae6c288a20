"""Runs of agents of a shop, to be compared with each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from halo_engine.comparison import ComparedCorpus, compare_corpus
from halo_engine.findings import Report
from halo_engine.schema import Trace
from halo_engine.store import TraceStore
from halo_integrations.testing import agent, call, llm, message, tool, trace

Step = tuple[str, Any, Any]

INSTRUCTIONS = "You are a clerk of a shop."


def shop_run(
    number: int,
    asked: str,
    *steps: Step,
    answer: str = "Done.",
    name: str = "clerk",
    instructions: str = INSTRUCTIONS,
    model: str = "small",
) -> Trace:
    """A run that was ``asked`` something; ``steps`` are tools with their arguments and results."""
    prompt = [message("system", instructions), message("user", asked)]
    spans = [agent(name, input=asked, output=answer, agent_name=name)]
    for used, arguments, result in steps:
        spans.append(llm(calls=[call(used, arguments)], messages=prompt, model_name=model))
        spans.append(tool(used, arguments, output=result))
    spans.append(llm(answer, messages=prompt, model_name=model))
    return trace(*spans, number=number)


def look_up(order: str, **found: Any) -> Step:
    return "get_order", {"order_id": order}, {"order_id": order, **found}


def cancel(order: str, reason: str = "no longer needed", **more: Any) -> Step:
    return "cancel_order", {"order_id": order, "reason": reason, **more}, {"status": "cancelled"}


@contextmanager
def shop_store(path: Path, runs: Iterable[Trace]) -> Iterator[TraceStore]:
    """A store of ``runs``, opened for reading."""
    with TraceStore(path) as store:
        store.ingest(runs)
    with TraceStore(path, read_only=True) as store:
        yield store


def compared(path: Path, *runs: Trace) -> ComparedCorpus:
    """The comparison of ``runs``."""
    with shop_store(path / "traces", runs) as store:
        return compare_corpus(store, Report(traces=len(runs)))


def trace_id(number: int) -> str:
    return f"{number:032x}"
