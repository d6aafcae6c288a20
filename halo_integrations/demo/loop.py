"""``demo --loop``: two releases of the demo's agent are run, analysed and compared.

Nothing is sent anywhere: the traces of each release are a file, as an exporter of OpenTelemetry
writes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from google.protobuf.json_format import MessageToJson
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from rich.text import Text

from halo_engine.sides import ComparedIssue, Comparison
from halo_engine.statistics.difference import ChangeVerdict
from halo_integrations.cli.comparison_view import show_comparison
from halo_integrations.cli.exits import FOUND, OK
from halo_integrations.cli.progress import ProgressView
from halo_integrations.cli.terminal import Terminal
from halo_integrations.cli.texts import plain_table
from halo_integrations.demo.agent import Agent
from halo_integrations.demo.faults import FAULTS
from halo_integrations.demo.plan import Planned
from halo_integrations.demo.releases import (
    FIRST,
    NEW,
    SECOND,
    TRUTH,
    Release,
    plan_release,
)
from halo_integrations.demo.sending import SpanCount, play, tracing
from halo_integrations.options.callbacks import OnProgress, no_progress
from halo_integrations.verbs.compare import compare
from halo_integrations.verbs.issues import issues
from halo_integrations.verbs.run import run

PROJECT = "halo-demo-loop"


class FileExporter(SpanExporter):
    """Appends OTLP JSON to a file, an export a line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write ``spans``."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(MessageToJson(encode_spans(spans), indent=None) + "\n")
        return SpanExportResult.SUCCESS


class Told(NamedTuple):
    """What was told of a planted fault: verdicts of the findings that show it, and the truth."""

    fault: str
    truth: ChangeVerdict
    verdicts: tuple[ChangeVerdict, ...]

    @property
    def is_right(self) -> bool:
        """Whether it is what was planted; of what did not change, no change may be told."""
        if self.truth is ChangeVerdict.UNCHANGED:
            return not self.is_wrong
        return self.truth in self.verdicts and not self.is_wrong

    @property
    def is_wrong(self) -> bool:
        """Whether a change is told that is none, or the opposite of what it is."""
        told = [verdict for verdict in self.verdicts if verdict.is_change]
        if self.truth is ChangeVerdict.UNCHANGED:
            return bool(told)
        return any(v.is_regression != self.truth.is_regression for v in told)


def demo_loop(*, count: int, seed: int, as_json: bool) -> int:
    """Run both releases, and print what the comparison says beside what was planted."""
    terminal = Terminal(as_json=as_json)
    progress = ProgressView(terminal.err)
    with TemporaryDirectory(prefix="halo-loop-") as folder, progress:
        compared, told = play_releases(Path(folder), count, seed, progress)
        known = issues(home=Path(folder) / "home", all=True)
    if as_json:
        faults = [each._asdict() for each in told]
        terminal.json({"comparison": compared, "issues": known, "faults": faults})
    else:
        show_comparison(terminal, compared)
        terminal.issues(known)
        terminal.out.print(told_table(told))
        right = sum(each.is_right for each in told)
        terminal.out.print(f"Told right of {right} of {len(told)} planted faults.")
    return FOUND if compared.reasons_to_fail("regression") else OK


def play_releases(
    folder: Path, count: int, seed: int, on_progress: OnProgress = no_progress
) -> tuple[Comparison, list[Told]]:
    """Run both releases in ``folder``, analyse each, compare them, and see what was told."""
    runs: list[str] = []
    planted: dict[str, list[str]] = {}
    for release in (FIRST, SECOND):
        path = folder / f"release-{release.name}.jsonl"
        planned, trace_ids = record_release(release, path, count, seed, on_progress)
        for one, trace_id in zip(planned, trace_ids, strict=True):
            if one.fault:
                planted.setdefault(one.fault.name, []).append(trace_id)
        common: dict[str, Any] = {"home": folder / "home", "issue_project": PROJECT}
        done = run(str(path), no_llm=True, on_progress=on_progress, **common)
        runs.append(done.run_id)
    compared = compare(*runs, on_progress=on_progress, **common)
    return compared, told_of(compared, planted)


def record_release(
    release: Release, path: Path, count: int, seed: int, on_progress: OnProgress
) -> tuple[list[Planned], list[str]]:
    """Run ``count`` conversations with ``release``, their traces in the file at ``path``."""
    planned = plan_release(release, count, seed)
    random = Random(f"{PROJECT}/{release.name}/{seed}")  # noqa: S311 (ids and times for a demo)
    exporter = FileExporter(path)
    with tracing(exporter, PROJECT, SpanCount(), random, version=release.name) as tracer:
        return planned, play(planned, Agent(tracer, random), on_progress)


def told_of(compared: Comparison, planted: Mapping[str, Sequence[str]]) -> list[Told]:
    """What the comparison says of each fault, by the findings most of whose traces have it."""
    of_fault = {trace_id: name for name, ids in planted.items() for trace_id in ids}
    found: dict[str, list[ChangeVerdict]] = {}
    for each in compared.issues:
        name = fault_of(each, of_fault)
        if name:
            found.setdefault(name, []).append(each.verdict)
    names = [fault.name for fault in (*FAULTS, NEW)]
    return [Told(name, TRUTH[name], tuple(found.get(name, ()))) for name in names]


def fault_of(each: ComparedIssue, of_fault: Mapping[str, str]) -> str | None:
    """The fault that most traces of a finding have; None where most have none."""
    ids = {affected.trace_id for affected in each.finding.affected}
    names = Counter(of_fault.get(trace_id) for trace_id in ids)
    return names.most_common(1)[0][0] if names else None


def told_table(told: Sequence[Told]) -> Any:
    """Each fault with the truth and what was told of it."""
    table = plain_table("planted fault", "in release B", "told", "")
    for each in told:
        words = ", ".join(each.verdicts) or "not found"
        mark = Text("right", "green") if each.is_right else Text("not told", "yellow")
        table.add_row(
            each.fault, each.truth, words, Text("WRONG", "red") if each.is_wrong else mark
        )
    return table
