"""What people see: progress on standard error, results on standard output."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from math import ceil
from types import TracebackType
from typing import Self

import click
import orjson
from pydantic import BaseModel
from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bars,
)
from rich.table import Table
from rich.text import Text

from halo_adapters.base import HealthCheck, HealthStatus
from halo_engine.findings import Finding, ModelAnalysis, Report, Severity
from halo_engine.schema import Failure
from halo_engine.text.sanitize import safe_line
from halo_integrations.annotations import FollowUpOptions, Preview
from halo_integrations.options.model import Analyst, Estimate
from halo_integrations.options.resolve import SettingValue
from halo_integrations.pipeline import Annotated, FollowedUp, Link, Progress, Undone
from halo_integrations.runs import Run, RunRecord

PLAIN_SECONDS = 5.0
LINKED_FINDINGS = 5
LISTED_FAILURES = 10
TITLE_CHARS = 200

STYLES = {
    Severity.CRITICAL: "bold red",
    Severity.HIGH: "red",
    Severity.MEDIUM: "yellow",
    Severity.LOW: "cyan",
}
MARKS = {
    HealthStatus.OK: ("ok", "green"),
    HealthStatus.WARNING: ("warning", "yellow"),
    HealthStatus.FAILED: ("failed", "bold red"),
}


class CountColumn(ProgressColumn):
    """``done/total unit``; bytes in MB."""

    def render(self, task: Task) -> Text:
        """The counts of ``task``."""
        return Text(counts(int(task.completed), task.total, task.fields["unit"]))


def every_field(value: object) -> object:
    """Let orjson write our values, with the fields that are None: a program looks for them."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(type(value).__name__)


def plural(number: int, noun: str) -> str:
    """``number`` of something."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def counts(done: int, total: float | None, unit: str) -> str:
    """``done`` of ``total`` in words."""
    if unit == "bytes":
        return f"{decimal(done)} of {decimal(int(total or 0))}"
    return f"{done:,} of {int(total):,} {unit}" if total is not None else f"{done:,} {unit}"


class ProgressView:
    """Shows steps as bars on a terminal, and as a line now and then elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Bars(
            TextColumn("{task.description:<15}"),
            BarColumn(bar_width=None),
            CountColumn(),
            TimeRemainingColumn(),
            console=console,
            expand=False,
            transient=True,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._told: dict[str, float] = {}  # when a step was last told of

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def __call__(self, progress: Progress) -> None:
        """Show how far a step is."""
        if self._console.is_terminal:
            self._move(progress)
        elif self._is_due(progress):
            line = counts(progress.done, progress.total, progress.unit)
            self._console.print(f"{progress.step}: {line}", soft_wrap=True)

    def _move(self, progress: Progress) -> None:
        if progress.step not in self._tasks:
            self._tasks[progress.step] = self._bars.add_task(
                progress.step, total=progress.total, unit=progress.unit
            )
        self._bars.update(self._tasks[progress.step], completed=progress.done, total=progress.total)

    def _is_due(self, progress: Progress) -> bool:
        now = time.monotonic()
        silent_for = now - self._told.setdefault(progress.step, now)
        due = progress.done == progress.total or silent_for > PLAIN_SECONDS
        if due:
            self._told[progress.step] = now
        return due

    def waiting(self, reason: str, seconds: float) -> None:
        """Say that a platform makes us wait."""
        self._console.print(f"Waiting {ceil(seconds)} s: {reason}", style="yellow", soft_wrap=True)


class Terminal:
    """Results on standard output (as JSON, if asked), everything else on standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self.out = Console(highlight=False, quiet=as_json)
        self.err = Console(stderr=True, highlight=False)

    @property
    def can_ask(self) -> bool:
        """Whether there is somebody to answer a question."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def say(self, text: str, style: str | None = None) -> None:
        """A sentence for the user, beside the result."""
        self.err.print(text, style=style, soft_wrap=True, markup=False)

    def confirm(self, question: str) -> bool:
        """Ask for a yes."""
        return click.confirm(question, default=False, err=True)

    def json(self, value: object) -> None:
        """The result for machines, when that was asked for."""
        if self._as_json:
            click.echo(orjson.dumps(value, default=every_field, option=orjson.OPT_INDENT_2))

    def pulled(self, record: RunRecord) -> None:
        """What was read."""
        self.json(record)
        traces, spans = plural(record.traces, "trace"), plural(record.spans, "span")
        self.out.print(f"{traces}, {spans} in run {record.id}.")

    def analyst(self, analyst: Analyst) -> None:
        """Which model sees the traces, and what it may cost at most."""
        limits = analyst.settings.limits
        caps = {"USD": limits.usd, "tokens": limits.tokens, "calls": limits.calls}
        most = ", ".join(f"{most:,} {name}" for name, most in caps.items() if most is not None)
        self.say(f"Traces go to {analyst.destination}; at most {most}.")

    def estimate(self, estimate: Estimate) -> None:
        """What a model would cost."""
        self.json(estimate)
        money = "price unknown" if estimate.usd is None else f"about {estimate.usd:,.2f} USD"
        self.out.print(
            f"Exploring and reading all {estimate.traces:,} traces once: {money}, about "
            f"{estimate.tokens:,} tokens in {estimate.calls:,} calls."
        )
        if estimate.reached < estimate.traces:
            self.out.print(
                f"Within the limits about {estimate.reached:,} of them can be read one by one: "
                f"counts then come from a random sample, and from rules over all."
            )

    def preview(self, preview: Preview) -> None:
        """What would be written where."""
        table = Table("annotation", *(s.value for s in Severity), box=None, pad_edge=False)
        for name, labels in preview.counts.items():
            table.add_row(name, *(str(labels.get(s.value, "")) for s in Severity))
        self.say(
            f"\nTo write: {plural(preview.total, 'annotation')} on "
            f"{plural(preview.traces, 'trace')}, to {preview.destination}"
        )
        self.err.print(table)
        if preview.cost:
            self.say(preview.cost)

    def report(self, report: Report, link: Link) -> None:
        """The findings as a table that fits 80 columns, and where to look."""
        traces, spans = plural(report.traces, "trace"), plural(report.spans, "span")
        self.out.print(f"{traces}, {spans} analysed.")
        if report.analysis:
            self.analysis(report.analysis)
        if not report.findings:
            self.out.print(nothing_found(report))
            return
        self.out.print(findings_table(report.findings))
        for number, finding in enumerate(report.findings[:LINKED_FINDINGS], start=1):
            first = finding.affected[0]
            url = link(first.trace_id, first.span_id)
            if url:
                self.out.print(f"{number}. {url}", soft_wrap=True, markup=False)

    def analysis(self, analysis: ModelAnalysis) -> None:
        """How the model's part ended, and what it took."""
        tokens = sum(c.prompt_tokens + c.completion_tokens for c in analysis.costs)
        known = [c.usd for c in analysis.costs if c.usd is not None]
        money = f", {sum(known):.2f} USD" if len(known) == len(analysis.costs) else ""
        turns = plural(analysis.turns, "turn")
        self.say(
            safe_line(
                f"{analysis.model}: {turns}, {tokens:,} tokens{money}; {analysis.ending}", 600
            ),
            style=None if analysis.is_complete else "yellow",
        )

    def failures(self, failures: Sequence[Failure]) -> None:
        """The items that failed, the first ones by name."""
        if failures:
            self.say(f"\n{plural(len(failures), 'item')} failed:", style="yellow")
        for failure in failures[:LISTED_FAILURES]:
            self.say(safe_line(f"  {failure.stage}: {failure.where}: {failure.what}", 400))
        if len(failures) > LISTED_FAILURES:
            self.say(f"  and {len(failures) - LISTED_FAILURES} more, in the report.")

    def annotated(self, annotated: Annotated) -> None:
        """How much was written and read back."""
        everything = annotated.confirmed == annotated.total
        self.say(
            f"Written: {annotated.confirmed} of {annotated.total} annotations read back as sent.",
            style="green" if everything else "yellow",
        )

    def wish(self, wish: FollowUpOptions) -> None:
        """What is made beside annotations."""
        if wish.comment:
            self.say("And a comment per finding and trace, which no undo can delete.")
        if wish.queue:
            self.say(f"And the affected traces into the review queue {wish.queue!r}.")
        if wish.dataset:
            self.say(f"And their inputs into the dataset {wish.dataset!r}.")

    def followed_up(self, followed_up: FollowedUp) -> None:
        """How much was made beside annotations."""
        self.say(f"Followed up: {followed_up.made} made, {followed_up.there} were there.")

    def end(self, run: Run, report: Report, annotated: Annotated | None) -> None:
        """Where everything is; for machines, everything."""
        if annotated:
            self.say(f"Undo: halo-integrations undo {run.id}")
        self.say(f"Report: {run.html_path}")
        self.json({"run": run.record, "report": report, "annotated": annotated})

    def undone(self, undone: Undone) -> None:
        """What was taken back."""
        self.json(undone)
        self.out.print(
            f"Removed {undone.removed}, restored {undone.restored}; left alone "
            f"{undone.superseded} that a later run replaced; {undone.gone} were gone already."
        )
        if undone.left:
            self.say(f"{plural(len(undone.left), 'comment')} stay: {undone.left[0].what}")

    def runs(self, records: Sequence[RunRecord]) -> None:
        """All runs, newest first."""
        self.json(records)
        table = Table("run", "source", "stage", "traces", "findings", box=None, pad_edge=False)
        for record in records:
            row = (record.id, record.source, record.stage.value)
            table.add_row(*row, f"{record.traces:,}", str(record.findings))
        self.out.print(table)

    def check(self, check: HealthCheck) -> None:
        """One line of ``doctor``, and what to do."""
        word, style = MARKS[check.status]
        line = Text.assemble((f"{word:<8}", style), f"{check.what}: {check.found}")
        self.out.print(line, soft_wrap=True)
        if check.fix:
            self.out.print(f"        {check.fix}", soft_wrap=True, markup=False)

    def values(self, values: Sequence[SettingValue]) -> None:
        """Settings and where they came from."""
        self.json(values)
        table = Table("setting", "value", "from", box=None, pad_edge=False)
        for value in values:
            table.add_row(f"{value.section}.{value.name}", Text(value.text), Text(value.origin))
        self.out.print(table)


def findings_table(findings: Sequence[Finding]) -> Table:
    """One row per finding: number, severity, title, affected of judged traces, share."""
    table = Table(box=None, pad_edge=False)
    for name in ("#", "severity", "finding"):
        table.add_column(name)
    for name in ("traces", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    for number, finding in enumerate(findings, start=1):
        prevalence = finding.prevalence
        table.add_row(
            str(number),
            Text(finding.severity.value, style=STYLES[finding.severity]),
            Text(safe_line(finding.title, TITLE_CHARS)),
            f"{prevalence.affected}/{prevalence.analysed or '?'}",
            f"{prevalence.share:.1%}" if prevalence.analysed else "not counted",
        )
    return table


def nothing_found(report: Report) -> str:
    """What to say when there is no finding."""
    if not report.traces:
        return (
            "There are no traces in this window. Widen it with --since, and check --project "
            "and the filters."
        )
    return "No detector found anything."
