"""Makes a large set of traces out of a small labelled one, with modes that are rare.

python -m benchmarks.quality.enlarge EVAL/tau2_dev OUT LABELS --traces 10000 --seed 1

Each trace of the large set is a copy of a real one in other words, with other people, places, days,
amounts and ids, other timing and other small talk (see `copies`). Runs that failed have a few copies
each, so that the largest mode is shown by 3 % of all traces and the others by as much less as they
were rarer; all other traces are copies of runs that went well. Runs with a failure that is no mode
are left out, as many copies would make it one. Traces are written to OUT, labels, modes and outcomes
to LABELS, in the form of the small set, with the original of each copy. `recognition` measures which
copies can be told to be some.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import orjson

from benchmarks.quality.copies import Copy, Original, lists_of, results_in
from benchmarks.quality.renaming import Known, new_id

Row = dict[str, Any]
# The share of traces that show the largest mode, and the spread of the copies of one run.
HIGH, SPREAD = 0.03, 0.4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--traces", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for mode in enlarge(given.data, given.out, given.labels, given.traces, given.seed):
        print(f"{mode['prevalence']:7.2%}  {mode['n_traces']:5}  {mode['category']}")
    size = (given.out / "traces.jsonl").stat().st_size
    print(f"{given.traces:,} traces, {size / 1e6:,.0f} MB")


def enlarge(data: Path, out: Path, labels: Path, traces: int, seed: int) -> list[Row]:
    """Write the large set; gives its modes."""
    modes, known = read_rows(data / "modes.jsonl"), read_rows(data / "labels.jsonl")
    outcomes = read_rows(data / "outcomes.jsonl")
    drawn = drawn_originals(modes, known, outcomes, traces, seed)
    copies = write_traces(data / "traces.jsonl", out, drawn, seed)
    labels.mkdir(parents=True, exist_ok=True)
    large = [moved(mode, copies, traces) for mode in modes]
    large = sorted((m for m in large if m["n_traces"]), key=lambda m: -m["n_traces"])
    write_rows(labels / "modes.jsonl", large)
    write_rows(labels / "labels.jsonl", relabelled(known, copies))
    write_rows(labels / "outcomes.jsonl", relabelled(outcomes, copies))
    made = ((new_id(seed, t), t) for t, seeds in copies.items() for seed in seeds)
    write_rows(labels / "originals.jsonl", ({"trace_id": c, "original": t} for c, t in made))
    return large


def drawn_originals(
    modes: Sequence[Row], labels: Sequence[Row], outcomes: Sequence[Row], traces: int, seed: int
) -> list[str]:
    """The original of each trace of the large set, in random order."""
    rng = Random(seed)
    recurring = {(mode["annotator"], mode["category"]) for mode in modes}
    annotators = {mode["annotator"] for mode in modes}
    failed = {label["trace_id"] for label in labels if label["annotator"] in annotators}
    alone = {
        label["trace_id"]
        for label in labels
        if label["annotator"] in annotators
        and (label["annotator"], label["category"]) not in recurring
    }
    shown = sorted({t for mode in modes for t in mode["trace_ids"]} - alone)
    largest = max(len(set(mode["trace_ids"]) - alone) for mode in modes)
    each = HIGH * traces / largest
    drawn = [
        t for t in shown for _ in range(rounded(each * rng.uniform(1 - SPREAD, 1 + SPREAD), rng))
    ]
    fine = sorted(o["trace_id"] for o in outcomes if o["success"] and o["trace_id"] not in failed)
    while len(drawn) < traces:
        drawn += rng.sample(fine, min(len(fine), traces - len(drawn)))
    rng.shuffle(drawn)
    return drawn[:traces]


def rounded(number: float, rng: Random) -> int:
    """A whole number whose mean is ``number``."""
    return int(number) + (rng.random() < number % 1)


def write_traces(source: Path, out: Path, drawn: Sequence[str], seed: int) -> dict[str, list[str]]:
    """Write the copies one by one; gives the seeds of those of each original."""
    rows = spans_by_trace(source)
    known = Known.of(results_in(span for spans in rows.values() for span in spans))
    originals = {trace_id: Original(spans, known) for trace_id, spans in rows.items()}
    lists = lists_of(originals.values())
    copies: dict[str, list[str]] = defaultdict(list)
    out.mkdir(parents=True, exist_ok=True)
    with (out / "traces.jsonl").open("wb") as file:
        for number, trace_id in enumerate(drawn):
            copies[trace_id].append(name := f"{seed}-{number}")
            copy = Copy(originals[trace_id], name, lists)
            file.writelines(orjson.dumps(span) + b"\n" for span in copy.spans())
    return copies


def moved(mode: Row, copies: dict[str, list[str]], traces: int) -> Row:
    """A mode in the large set, with its true prevalence there."""
    members = [new_id(copy, t) for t in mode["trace_ids"] for copy in copies.get(t, ())]
    evidence = [
        [new_id(copy, trace_id), new_id(copy, span_id)]
        for trace_id, span_id in mode["evidence"]
        for copy in copies.get(trace_id, ())
    ]
    return {
        **mode,
        "trace_ids": members,
        "evidence": evidence,
        "n_traces": len(members),
        "corpus_traces": traces,
        "prevalence": len(members) / traces,
    }


def relabelled(rows: Iterable[Row], copies: dict[str, list[str]]) -> Iterator[Row]:
    """A row for every copy of what ``rows`` are about."""
    for row in rows:
        for copy in copies.get(row["trace_id"], ()):
            names = [name for name in ("trace_id", "span_id") if row.get(name)]
            yield {**row, **{name: new_id(copy, row[name]) for name in names}}


def spans_by_trace(path: Path) -> dict[str, list[Row]]:
    """The spans of each trace."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in read_rows(path):
        found[row["trace_id"]].append(row)
    return found


def read_rows(path: Path) -> list[Row]:
    """The rows of a file."""
    with path.open("rb") as file:
        return [orjson.loads(line) for line in file if line.strip()]


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Rows into a file."""
    with path.open("wb") as file:
        file.writelines(orjson.dumps(row) + b"\n" for row in rows)


if __name__ == "__main__":
    main()
