"""Times a model analysis without the model: its answers are scripted and come at once.

python benchmarks/rlm_bench.py RUN_FOLDER    (one that `halo-integrations pull` has filled)

Printed with the time of the deterministic detectors over the same traces as the reference.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from halo_engine.detectors import load_detectors
from halo_engine.detectors.runner import run_detectors
from halo_engine.findings import Report
from halo_engine.llm import Budget, ChatMessage, Ledger, Limits, ModelClient
from halo_engine.llm.chat import estimated_tokens
from halo_engine.rlm.brief import InvestigationBrief
from halo_engine.rlm.investigation import Investigation
from halo_engine.rlm.sandbox.monty import MontySandbox
from halo_engine.store import TraceStore
from halo_integrations.testing import ScriptedModel

TURNS = 30
TRACE = re.compile(r"^## Trace (T\d+)(?:\nClaims: (.+))?$", re.MULTILINE)
SUBMIT = """h = search({text!r}, limit=4)
print(submit_finding(title={text!r}, failure_mode='other', summary='s', cause='c',
    recommendation='r', impact='degraded', check={check},
    evidence=[{{'span': x['span'], 'quote': x['snippet'][20:60]}} for x in h]))"""


def block(code: str) -> str:
    return f"```python\n{code}\n```"


def script(judged: bool) -> list[str]:
    looks = ["print(overview())", "print(find(order='errors', limit=5))", "print(sample(5))"]
    looks += [f"x = {n}\nprint(read('T{n + 1}')[:300])" for n in range(TURNS - 6)]
    rules = [
        SUBMIT.format(text=text, check=f"{{'pattern': {text!r}}}") for text in ("error", "timeout")
    ]
    asked = [SUBMIT.format(text="order", check="{'question': 'Is it?'}")] if judged else []
    return [block(code) for code in (*looks, *rules, *asked, "finish('done')")]


def fine_row(name: str, claims: str) -> dict[str, Any]:
    """An answer about a trace that shows all claims that are asked about it, and nothing else."""
    shown = {"shows": True, "harm": None, "put_right": False, "earlier_cause": None, "why": None}
    answers = [{"claim": claim, **shown} for claim in re.findall(r"\bF\d+\b", claims)]
    return {"trace": name, "shows": [], "faults": [], "claims": answers}


class ScriptedAnswers:
    """A model that follows a script as the root model and finds nothing as the sub-model."""

    def __init__(self, turns: Sequence[str]) -> None:
        self._turns = iter(turns)
        self.fixed = 0

    def __call__(self, messages: Sequence[ChatMessage]) -> str:
        instruction = messages[0].content
        if instruction.startswith("You look for"):
            self.fixed = estimated_tokens(instruction)
            return next(self._turns)
        names = TRACE.findall(messages[-1].content)
        return json.dumps([fine_row(name, claims) for name, claims in names])


def timed(store: TraceStore, signals: Report, *, judged: bool) -> tuple[float, float, int]:
    """Seconds of a whole run, milliseconds of a turn, tokens of the fixed prompt."""
    answers, turns = ScriptedAnswers(script(judged)), list[float]()
    model = ScriptedModel(answers)
    with tempfile.TemporaryDirectory() as folder:
        client = ModelClient(Budget(Limits()), Ledger(Path(folder) / "ledger.sqlite"))
        sandbox = MontySandbox()
        start = time.perf_counter()
        Investigation(
            store,
            signals,
            client,
            model,
            model,
            sandbox,
            InvestigationBrief(),
            lambda event: turns.append(time.perf_counter()) if event.kind == "ran" else None,
        ).run()
        seconds = time.perf_counter() - start
        sandbox.close()
    steps = [b - a for a, b in pairwise(turns)]
    return seconds, statistics.median(steps) * 1000, answers.fixed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    with TraceStore(parser.parse_args().run / "traces", read_only=True) as store:
        start = time.perf_counter()
        signals = run_detectors(store, load_detectors())
        detectors = time.perf_counter() - start
        print(f"{signals.traces:,} traces, {signals.spans:,} spans")
        print(f"  detectors                  {detectors:6.2f} s")
        for name, judged in (("checks by rule", False), ("and one judged by a model", True)):
            runs = [timed(store, signals, judged=judged) for _ in range(3)]
            seconds = statistics.median(run[0] for run in runs)
            print(
                f"  {name:26} {seconds:6.2f} s  {seconds / detectors:4.1f} x the detectors, "
                f"{statistics.median(run[1] for run in runs):5.1f} ms a turn, "
                f"fixed prompt {runs[0][2]:,} tokens"
            )


if __name__ == "__main__":
    main()
