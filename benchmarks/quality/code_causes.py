"""How many causes of an agent's failures are found in its source code, by file and line.

python -m benchmarks.quality.code_causes --model NAME [--model-url URL --price IN,OUT]
    [--budget USD | --token-budget N] [--count N] [--home FOLDER]

The agent of the demo plays its conversations with the instructions and the tools of `assistant`, a
folder beside this file, in which each of twelve causes stands in one line. The analysis gets the
traces and a copy of the folder, without its history. A cause is found if a finding that shows half
of the traces of its failure, and not mostly others, names that line. Where the instructions ask for
what goes wrong, the line is that rule; else it is the setting or the statement to be changed. Where
two lines make the failure together, either is right.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

import halo_integrations as halo
from benchmarks.quality.assistant.prompts import INSTRUCTIONS
from benchmarks.quality.assistant.tools import TOOLS
from halo_engine.findings import Finding, FindingGroup, Report
from halo_integrations.demo.agent import Agent
from halo_integrations.demo.plan import plan
from halo_integrations.demo.sending import SpanCount, play, tracing
from halo_integrations.demo.truth import Planted, PlantedFault, traces_of, truth_of
from halo_integrations.options.callbacks import no_progress

ASSISTANT = Path(__file__).parent / "assistant"
PROJECT = "assistant"
COUNT, SEED = 300, 0
TOKEN_BUDGET = 3_000_000
SHOWN_SHARE, OWN_SHARE = 0.5, 0.5


@dataclass(frozen=True)
class PlantedLine:
    """The line of the file ``path`` with the ``words``, which no other line has."""

    path: str
    words: str

    @property
    def line(self) -> int:
        """The number of the line."""
        lines = (ASSISTANT / self.path).read_text("utf-8").splitlines()
        (number,) = (n for n, text in enumerate(lines, start=1) if self.words in text)
        return number

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True)
class PlantedCause:
    """What causes ``fault``: a line, or one of those of ``also`` that make it together with that."""

    fault: str
    place: PlantedLine
    also: tuple[PlantedLine, ...] = ()


IN_PROMPTS = partial(PlantedLine, "prompts.py")
PLANTED_CAUSES = (
    PlantedCause("identical call loop", IN_PROMPTS("Read the order once more after each step")),
    PlantedCause("unchanged retry", IN_PROMPTS("send the same call again")),
    PlantedCause("swallowed error", IN_PROMPTS("do not trouble customers with errors")),
    PlantedCause("unknown tool", IN_PROMPTS("the tool issue_store_credit")),
    PlantedCause(
        "wrong argument type",
        PlantedLine("tools.py", "IN_WORDS = "),
        (PlantedLine("tools.py", "AMOUNT = "), PlantedLine("tools.py", "QUANTITY = ")),
    ),
    PlantedCause("broken JSON", PlantedLine("model.py", "if piece.is_last_of_call:")),
    PlantedCause(
        "empty retrieval",
        PlantedLine("search.py", "except TimeoutError:"),
        (PlantedLine("settings.py", "SEARCH_TIMEOUT = "),),
    ),
    PlantedCause("truncated answer", PlantedLine("settings.py", "MAX_TOKENS = 600")),
    PlantedCause("empty answer", PlantedLine("loop.py", "or NOT_UNDERSTOOD")),
    PlantedCause("no final answer", PlantedLine("settings.py", "MAX_STEPS = 7")),
    PlantedCause("rate-limit burst", PlantedLine("model.py", "except RateLimitError as error:")),
    PlantedCause(
        "leaked key",
        PlantedLine("tools.py", 'record["payment"] = '),
        (PlantedLine("backend.py", "return asdict(account)"),),
    ),
)
# Of a statement of a few lines each can be named; the rules of the prompt stand further apart.
TOLERANCE = 2


@dataclass(frozen=True)
class CauseResult:
    """What was found of a planted cause: the findings of its failure, and one that names the line."""

    cause: PlantedCause
    findings: tuple[Finding, ...]

    @property
    def named(self) -> list[str]:
        """The places that the findings name."""
        return list(dict.fromkeys(str(place) for f in self.findings for place in f.code_causes))

    @property
    def located(self) -> Finding | None:
        """A finding that names the line."""
        return next((f for f in self.findings if is_located(f, self.cause)), None)


def is_located(finding: Finding, cause: PlantedCause) -> bool:
    """Whether ``finding`` names the line of ``cause``."""
    return any(
        named.path == planted.path and abs(named.line - planted.line) <= TOLERANCE
        for planted in (cause.place, *cause.also)
        for named in finding.code_causes
    )


def cause_results(planted: Planted, report: Report) -> list[CauseResult]:
    """What ``report`` says of each planted cause."""
    faults = {fault.name: fault for fault in planted.faults}
    return [
        CauseResult(
            cause,
            tuple(
                finding
                for group in report.groups
                if is_about(group, faults[cause.fault], planted)
                for finding in group.parts
            ),
        )
        for cause in PLANTED_CAUSES
    ]


def is_about(group: FindingGroup, fault: PlantedFault, planted: Planted) -> bool:
    """Whether a group shows half of the traces of ``fault``, and not mostly those of others."""
    shown = frozenset().union(*map(traces_of, group.parts))
    others = frozenset().union(*(f.trace_ids for f in planted.faults)) - fault.trace_ids
    own = len(shown & fault.trace_ids)
    is_shown = own >= SHOWN_SHARE * len(fault.trace_ids)
    return is_shown and own >= OWN_SHARE * (own + len(shown & others))


class FileExporter(SpanExporter):
    """Writes spans as OTLP JSON, a line for each export."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Append ``spans``."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(MessageToDict(encode_spans(spans))) + "\n")
        return SpanExportResult.SUCCESS


def record(path: Path, count: int) -> Planted:
    """Play ``count`` conversations of the assistant into a file of traces."""
    planned, random, counter = plan(count, SEED), Random(SEED), SpanCount()
    with tracing(FileExporter(path), PROJECT, counter, random) as tracer:
        agent = Agent(tracer, random, INSTRUCTIONS, TOOLS)
        trace_ids = play(planned, agent, no_progress)
    return truth_of(planned, trace_ids, spans=counter.of_trace.total())


def copy_of_code(folder: Path) -> Path:
    """A copy of the assistant's source in ``folder``, as its owner has it."""
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(ASSISTANT, folder / "assistant", ignore=ignored))


def result_lines(results: Sequence[CauseResult]) -> list[str]:
    """A table of the causes, and how many were found."""
    lines = ["| failure | planted at | named | found | change |", "|---|---|---|---|---|"]
    for result in results:
        cause, located = result.cause, result.located
        named = ", ".join(result.named) or ("nothing" if result.findings else "no finding")
        change = "proposed, applies" if located and located.proposed_fix else "-"
        verdict = "found" if located else "missed"
        lines.append(f"| {cause.fault} | {cause.place} | {named} | {verdict} | {change} |")
    found = [result.located for result in results if result.located]
    changes = sum(finding.proposed_fix is not None for finding in found)
    lines.append(
        f"\n{len(found)} of {len(results)} planted causes found by file and line; for {changes} of "
        f"them a change is proposed that applies to the files."
    )
    return lines


def cost_lines(report: Report) -> Iterator[str]:
    """What the analysis took, and what it could not look up."""
    costs = report.analysis.costs if report.analysis else ()
    for cost in costs:
        tokens = cost.prompt_tokens + cost.completion_tokens
        yield f"{cost.purpose}: {cost.calls} calls, {tokens:,} tokens"
    for failure in report.failures:
        yield f"{failure.stage}, {failure.where}: {failure.what}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Play, analyse, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--model-url")
    parser.add_argument("--price")
    parser.add_argument("--budget", type=float)
    parser.add_argument("--token-budget", type=int)
    parser.add_argument("--window", type=int)
    parser.add_argument("--call-timeout", type=float, help="seconds that one answer may take")
    parser.add_argument("--count", type=int, default=COUNT, help="conversations [%(default)s]")
    parser.add_argument("--home", type=Path, help="where the run is kept [a temporary folder]")
    given = vars(parser.parse_args(arguments))
    count, home = given.pop("count"), given.pop("home")
    options = {name: value for name, value in given.items() if value is not None}
    if not {"price", "budget", "token_budget"} & options.keys() and "model_url" in options:
        options["token_budget"] = TOKEN_BUDGET  # the price of a server of one's own is not known
    with tempfile.TemporaryDirectory() as folder:
        traces = Path(folder, "traces.jsonl")
        planted = record(traces, count)
        code = copy_of_code(Path(folder))
        done = halo.run(str(traces), home=home or Path(folder, "home"), code=code, **options)
        print("\n".join(result_lines(cause_results(planted, done.report))))
        print("\n".join(cost_lines(done.report)))


if __name__ == "__main__":
    main()
