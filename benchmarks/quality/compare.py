"""Compares our analysis with simpler uses of the same model on the same traces.

python -m benchmarks.quality.compare EVAL/tau_retail --model NAME [--model-url URL
    --price IN,OUT] [--budget USD] [--sample N] [--only ours judge window ideal]

- ours: the analysis of this package.
- judge: every trace (or N at random) judged alone, hits with the same failure mode being a finding.
- window: as many whole traces as fit into the context window of the model, in one prompt.
- ideal: the labels of the traces that the judge reads: an upper bound for any judge of them.

Each has the same budget and the same rule for evidence: a hit whose quote is not found is dropped.
All are scored strictly, see `table`; the findings of each are written to HOME/NAME.jsonl.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import halo_integrations as halo
from benchmarks.quality.labelled import read_labelled, rows
from benchmarks.quality.shapes import floors, shapes_of
from benchmarks.quality.systems import Cost, System, cost_of, findings_of, row_of
from benchmarks.quality.table import ROUNDS, report
from halo_engine.errors import EngineError
from halo_engine.failure_modes import MEANINGS
from halo_engine.llm import Budget, ChatModel, Ledger, ModelClient, system, user
from halo_engine.rlm.answers import parse_rows
from halo_engine.rlm.candidates import MODES
from halo_engine.rlm.delimiter import DataDelimiter, new_nonce
from halo_engine.rlm.judging import evidence_of_hit
from halo_engine.rlm.pages.page import Transcript, TranscriptPage
from halo_engine.rlm.prompts import filled
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.statistics.intervals import wilson_interval
from halo_engine.statistics.sampling import seeded_order
from halo_engine.store import TraceStore
from halo_integrations.model_setup import chat_model, limits_of
from halo_integrations.options.model import ModelSettings

Row = dict[str, Any]

ANSWER_TOKENS = 4000
PASSAGE_CHARS = 10_000
WINDOW_SHARE = 0.8
CHARS_PER_TOKEN = 4

TASK = """You examine recorded runs ("traces") of an AI agent for its failures. {rule}

{ask}
"failure_mode" is one of:
{modes}
Quotes are copied letter by letter from one line of the trace, without its [name]. Answer with a
JSON list and nothing else; [] where there is none.
"""
ONE = (
    "Which failures does this trace show? One object for each: "
    '{"failure_mode", "span", "quote", "why"}.'
)
ALL = (
    "Which failures recur in several of these traces? One object for each: "
    '{"title", "failure_mode", "hits": [{"span", "quote"}, ...]} with a hit for every trace.'
)


@dataclass
class Side:
    """The findings, reads and costs of one method."""

    name: str
    rows: list[Row]
    read: int
    costs: list[Cost] = field(default_factory=list)
    dropped: int = 0


@dataclass
class Bench:
    """The traces, a model, and its budget."""

    store: TraceStore
    short_ids: ShortIds
    client: ModelClient
    model: ChatModel
    delimiter: DataDelimiter

    def ask(self, task: str, page: str) -> list[Row]:
        """The JSON objects that the model returns for a page."""
        modes = "\n".join(f"{slug}: {MEANINGS[slug]}" for slug in MODES)
        instruction = filled(TASK, rule=self.delimiter.instruction, ask=task, modes=modes)
        messages = [system(instruction), user(self.delimiter(page, len(page)))]
        answer = self.client.complete(self.model, "compare", messages, max_tokens=ANSWER_TOKENS)
        return parse_rows(answer.text)

    def page(self, trace_id: str) -> Transcript:
        """A trace on a page of its own."""
        name = self.short_ids.name(trace_id)
        return TranscriptPage(PASSAGE_CHARS).transcript(name, self.short_ids.trace(trace_id))

    def verified(self, hit: Any, trace_id: str | None) -> tuple[str, str] | None:
        """Trace and span of a hit; None if its quote is not found."""
        if not isinstance(hit, dict) or not {"span", "quote"} <= set(hit):
            return None
        place = self.short_ids.span(hit["span"], trace_id)
        where = trace_id or (place.trace_id if place else None)
        proof = evidence_of_hit(where, hit, self.short_ids) if where else None
        return (proof.trace_id, proof.span_id) if proof else None


def judge(bench: Bench, trace_ids: Sequence[str]) -> Side:
    """Judge each trace on its own."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    side = Side("judge", [], 0)

    def one(trace_id: str) -> tuple[str, list[Row]] | None:
        try:
            return trace_id, bench.ask(ONE, bench.page(trace_id).text)
        except EngineError:
            return None

    for answer in bench.client.map(one, trace_ids):
        if answer is None:
            continue
        side.read += 1
        for hit in answer[1]:
            place = bench.verified(hit, answer[0])
            if place and hit.get("failure_mode") in MODES:
                found[hit["failure_mode"]].append(place)
            else:
                side.dropped += 1
    side.rows = [prediction_row(mode, mode, places, side.read) for mode, places in found.items()]
    return side


def window(bench: Bench, trace_ids: Sequence[str]) -> Side:
    """Judge as many whole traces as fit into the context window in one prompt."""
    room = bench.model.window * CHARS_PER_TOKEN * WINDOW_SHARE
    pages: list[str] = []
    side = Side("window", [], 0)
    for trace_id in trace_ids:
        pages.append(bench.page(trace_id).text)
        if sum(map(len, pages)) > room:
            pages.pop()
            break
        side.read += 1
    for number, row in enumerate(bench.ask(ALL, "\n".join(pages)), start=1):
        named = row.get("hits")
        hits = named if isinstance(named, list) else []
        places = [place for hit in hits if (place := bench.verified(hit, None))]
        side.dropped += len(hits) - len(places)
        if places:
            side.rows.append(prediction_row(str(number), str(row.get("title")), places, side.read))
    return side


def ideal(data: Path, trace_ids: Sequence[str]) -> Side:
    """The labelled failure modes that at least one of these traces shows."""
    read = set(trace_ids)
    side = Side("ideal", [], len(read))
    for mode in rows(data / "modes.jsonl"):
        places = [(trace_id, span_id) for trace_id, span_id in mode["evidence"] if trace_id in read]
        if places:
            side.rows.append(prediction_row(mode["mode_id"], mode["category"], places, side.read))
    return side


def prediction_row(id: str, title: str, places: Sequence[tuple[str, str]], read: int) -> Row:
    """A finding as it is scored, with its prevalence among the traces that were read."""
    traces = sorted({trace_id for trace_id, _ in places})
    interval = wilson_interval(len(traces), read)
    return {
        "finding_id": id,
        "title": title,
        "trace_ids": traces,
        "prevalence_interval": interval,
    }


def ours(data: Path, options: dict[str, Any], home: Path) -> Side:
    """The analysis of this package."""
    found = halo.run(str(data / "traces.jsonl"), home=home, **options).report
    report = found.model_dump(mode="json")
    analysis = report["analysis"] or {"costs": (), "quotes_not_found": 0}
    side = Side("ours", [row_of(f) for f in report["findings"] if f["model"]], report["traces"])
    side.costs = [cost_of(cost) for cost in analysis["costs"]]
    side.dropped = analysis["quotes_not_found"]
    return side


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--model-url")
    parser.add_argument("--price")
    parser.add_argument("--window", type=int)
    parser.add_argument("--budget", type=float, default=5.0)
    parser.add_argument("--max-turns", type=int, default=40)
    parser.add_argument("--call-timeout", type=float, help="seconds that one answer may take")
    parser.add_argument("--sample", type=int, help="traces that the judge reads [all]")
    parser.add_argument("--only", nargs="+", default=["ours", "judge", "window"])
    parser.add_argument(
        "--home", type=Path, help="where runs are kept, so that they can be resumed"
    )
    given = parser.parse_args(arguments)
    home = given.home or Path(tempfile.mkdtemp(prefix="halo-quality-"))
    names = ("model", "model_url", "price", "window", "budget", "max_turns", "call_timeout")
    options = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
    sides = [ours(given.data, options, home)] if "ours" in given.only else []
    if set(given.only) - {"ours"}:
        sides += simpler(given, home, ModelSettings(**options))
    show(given.data, home, sides)


def simpler(given: argparse.Namespace, home: Path, settings: ModelSettings) -> Iterator[Side]:
    """The other methods, each with its own budget."""
    store_path = halo.pull(str(given.data / "traces.jsonl"), home=home).folder / "traces"
    with TraceStore(store_path, read_only=True) as store:
        short_ids = ShortIds(store)
        order = seeded_order(short_ids.trace_ids, 0)[: given.sample]
        if "ideal" in given.only:
            yield ideal(given.data, order)
        for name, method in (("judge", judge), ("window", window)):
            if name not in given.only:
                continue
            client = ModelClient(Budget(limits_of(settings)), Ledger(home / f"{name}.sqlite"))
            model = chat_model(given.model, settings)
            delimiter = DataDelimiter(client.ledger.get_or_set("delimiter", new_nonce()))
            side = method(Bench(store, short_ids, client, model, delimiter), order)
            spent = client.budget.spent
            side.costs = [Cost("all", spent.calls, spent.tokens, spent.usd)]
            yield side


def show(data: Path, home: Path, sides: Sequence[Side]) -> None:
    """Write the findings of each method, and print how they compare."""
    labelled = read_labelled(data)
    systems = []
    for side in sides:
        lines = [json.dumps(row) + "\n" for row in side.rows]
        (home / f"{side.name}.jsonl").write_text("".join(lines), encoding="utf-8")
        print(f"{side.name} read {side.read:,} traces, {side.dropped} hits dropped")
        systems.append(System(side.name, findings_of(side.rows, labelled), tuple(side.costs)))
    trivial = floors(list(shapes_of(rows(data / "traces.jsonl"))), labelled)
    print("\n".join(report(labelled, systems, trivial, ROUNDS)))


if __name__ == "__main__":
    main()
