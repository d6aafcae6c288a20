"""Output: results on standard output, messages on standard error."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson
from pydantic import BaseModel
from rich.text import Text

from halo_adapters.base import FollowUpKind, HealthCheck, HealthStatus, TraceQuery
from halo_engine.detectors.base import Detector
from halo_engine.detectors.settings import DetectorSettings
from halo_engine.errors import HaloError
from halo_engine.findings import ModelAnalysis, Report, Severity
from halo_engine.issues import Issue
from halo_engine.report.billing import billing_sentences
from halo_engine.report.privacy import NOTHING_MASKED, privacy_line
from halo_engine.report.renderer import UrlBuilder
from halo_engine.report.unread import (
    infrastructure_sentence,
    unknown_sentence,
)
from halo_engine.schema import Failure
from halo_engine.text.redaction import redact
from halo_engine.text.sanitize import escape_invisible, safe_line
from halo_integrations.cli.issue_view import issue_lines, issue_row
from halo_integrations.cli.report_view import (
    findings_table,
    line_without_findings,
    measured_rules,
    places_in_code,
    unchecked_lines,
    unsettled_sentence,
    verdicts_of_people,
)
from halo_integrations.cli.streams import encoded
from halo_integrations.cli.texts import console, plain_table, plural
from halo_integrations.cli.watch_view import changed_rows, watch_notes
from halo_integrations.options.callbacks import Notice
from halo_integrations.options.resolve import SettingValue
from halo_integrations.options.run import FollowUpOptions
from halo_integrations.report_annotations import Preview
from halo_integrations.state.run import Run
from halo_integrations.state.values import RunRecord

if TYPE_CHECKING:
    from halo_integrations.verbs.annotate import Annotated
    from halo_integrations.verbs.follow_up import FollowedUp
    from halo_integrations.verbs.model_analysis import Estimate
    from halo_integrations.verbs.undo import DeletionStatus, Undone
    from halo_integrations.verbs.watch import Watched
    from halo_integrations.work_orders import Brief

LINKED_FINDINGS = 5
LISTED_FAILURES = 10
TITLE_CHARS = 200

MARKS = {
    HealthStatus.OK: ("ok", "green"),
    HealthStatus.WARNING: ("warning", "yellow"),
    HealthStatus.FAILED: ("failed", "bold red"),
}


def every_field(value: object) -> object:
    """Let orjson write models, with the fields that are None: programs look them up."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(type(value).__name__)


def deletions_text(run_id: str, status: DeletionStatus) -> str:
    """How far a platform is with deletions, and how long the rest takes."""
    if not status.accepted:
        return f"No deletion of what run {run_id} wrote was left to the platform."
    done = f"The platform has deleted {status.gone:,} of {plural(status.accepted, 'annotation')}"
    if not status.waiting:
        return f"{done}."
    rest = "The others are accepted"
    if status.seconds_left:
        rest += f" and take about {timedelta(seconds=round(status.seconds_left))} more at this pace"
    later = f"`halo-integrations undo {run_id} --status` tells how many are gone"
    return f"{done}. {rest}; {later}. {status.note}"


class Terminal:
    """Results on standard output, as JSON where requested; everything else on standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self.out = console(quiet=as_json)
        self.err = console(stderr=True)

    @property
    def can_ask(self) -> bool:
        """Whether questions can be answered."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def info(self, text: str, style: str | None = None) -> None:
        """Print a sentence for the user, apart from the result."""
        self.err.print(text, style=style, soft_wrap=True, markup=False)

    def say(self, text: str) -> None:
        """Print a sentence that is a result, in one line wherever it goes."""
        self.out.print(text, soft_wrap=True, markup=False)

    def notice(self, notice: Notice) -> None:
        """Print a note, or a warning, of a verb."""
        if notice.is_warning:
            self.info(f"Warning: {notice.text}", style="yellow")
        else:
            self.info(notice.text)

    def confirm(self, question: str) -> bool:
        """Ask a question that can be answered with yes."""
        return click.confirm(question, default=False, err=True)

    def json(self, value: object) -> None:
        """Print the result as JSON where that was requested."""
        if self._as_json:
            content = orjson.dumps(value, default=every_field, option=orjson.OPT_INDENT_2)
            self.content(f"{escape_invisible(content.decode())}\n".encode(), "json")

    def content(self, content: bytes, file_format: str) -> None:
        """Print the content of a file in this format, byte for byte where the encoding allows."""
        if self.out.is_terminal and not content.endswith(b"\n"):
            content += b"\n"  # nothing is added to what is piped into a file
        click.echo(encoded(content, file_format, self.out.encoding), nl=False)

    def pulled(self, record: RunRecord) -> None:
        """Print what was read."""
        self.json(record)
        traces, spans = plural(record.traces, "trace"), plural(record.spans, "span")
        where = f"the lake {record.lake}" if record.lake else f"run {record.id}"
        self.say(f"{traces}, {spans} in {where}.")

    def estimate(self, estimate: Estimate) -> None:
        """Print what a model would cost."""
        self.json(estimate)
        money = "price unknown" if estimate.usd is None else f"about {estimate.usd:,.2f} USD"
        self.say(
            f"Exploring and reading all {estimate.traces:,} traces once: {money}, about "
            f"{estimate.tokens:,} tokens in {estimate.calls:,} calls."
        )
        if estimate.reached < estimate.traces:
            self.say(
                f"Within the limits about {estimate.reached:,} of them can be read one by one: "
                f"counts then come from a random sample, and from rules over all."
            )

    def preview(self, preview: Preview) -> None:
        """Print what would be written, and where."""
        used = [s.value for s in Severity if any(s.value in c for c in preview.counts.values())]
        table = plain_table("annotation", *used)
        for name, labels in preview.counts.items():
            table.add_row(name, *(str(labels.get(label, "")) for label in used))
        self.info(
            f"\nTo write: {plural(preview.total, 'annotation')} on "
            f"{plural(preview.traces, 'trace')}, to {preview.destination}"
        )
        self.err.print(table)
        if preview.cost:
            self.info(preview.cost)

    def report(self, report: Report, url_of: UrlBuilder, query: TraceQuery | None = None) -> None:
        """Print what was analysed, and what was found as a table that fits 80 columns.

        ``query`` is what the traces were asked for with.
        """
        traces, spans = plural(report.traces, "trace"), plural(report.spans, "span")
        self.say(f"{traces}, {spans} analysed.")
        if report.analysis:
            self.analysis(report.analysis)
        if report.privacy and (line := privacy_line(report.privacy)) != NOTHING_MASKED:
            self.info(line)
        if sentence := unknown_sentence(report.unread):
            self.info(sentence, style="yellow")
        if sentence := infrastructure_sentence(report.unread):
            self.info(sentence)
        if sentence := unsettled_sentence(report):
            self.info(sentence)
        if nothing := line_without_findings(report, query or TraceQuery()):
            self.say(nothing)
        if report.findings:
            self.findings(report, url_of)
        for line in unchecked_lines(report.unchecked_issues):
            self.info(line, style="yellow")

    def findings(self, report: Report, url_of: UrlBuilder) -> None:
        """Print the findings, and links to the first ones."""
        self.out.print(findings_table(report.groups))
        for number, group in enumerate(report.groups[:LINKED_FINDINGS], start=1):
            first = group.affected[0]
            url = url_of(first.trace_id, first.span_id)
            if url:
                self.say(f"{number}. {url}")
        groups = report.groups
        notes = verdicts_of_people(groups), measured_rules(groups), places_in_code(groups)
        for line in chain(*notes):
            self.info(line)

    def analysis(self, analysis: ModelAnalysis) -> None:
        """Print how the analysis by a model ended, and what it used."""
        tokens = sum(c.prompt_tokens + c.completion_tokens for c in analysis.costs)
        known = [c.usd for c in analysis.costs if c.usd is not None]
        money = f", {sum(known):.2f} USD" if len(known) == len(analysis.costs) else ""
        turns = plural(analysis.turns, "turn")
        self.info(
            safe_line(
                f"{analysis.model}: {turns}, {tokens:,} tokens{money}; {analysis.ending_detail}",
                600,
            ),
            style=None if analysis.is_complete else "yellow",
        )
        for sentence in billing_sentences(analysis.billing):
            self.info(sentence, style="yellow" if analysis.billing.passed else None)

    def failures(self, failures: Sequence[Failure]) -> None:
        """Print how many items failed, and the first of them."""
        if failures:
            self.info(f"\n{plural(len(failures), 'item')} failed:", style="yellow")
        for failure in failures[:LISTED_FAILURES]:
            self.info(safe_line(f"  {failure.stage}: {failure.where}: {failure.what}", 400))
        if len(failures) > LISTED_FAILURES:
            self.info(f"  and {len(failures) - LISTED_FAILURES} more, in the report.")

    def annotated(self, annotated: Annotated) -> None:
        """Print how much was written and read back."""
        if annotated.is_complete and not (annotated.total or annotated.withdrawn):
            self.info("There is nothing to write.")
            return
        self.info(
            f"Written: {annotated.confirmed} of {annotated.total} annotations read back as sent.",
            style="green" if annotated.is_complete else "yellow",
        )
        if annotated.pending:
            marks = plural(annotated.pending, "annotation")
            text = f"On their way: {marks} accepted and not shown yet; `annotate` looks again."
            self.info(f"{text} {annotated.pending_note}".strip())
        if annotated.kept:
            self.info(f"Kept: {plural(annotated.kept, 'annotation')} that people had edited.")
        if annotated.withdrawn:
            marks = plural(annotated.withdrawn, "earlier annotation")
            self.info(f"Taken back: {marks} that no longer hold.")

    def follow_ups(self, options: FollowUpOptions, permanent: frozenset[FollowUpKind]) -> None:
        """Print what is created besides annotations; ``permanent`` kinds cannot be deleted."""
        comments = "a comment per finding and trace" if options.comment else None
        queue = f"the affected traces in the annotation queue {options.queue!r}"
        dataset = f"their inputs in the dataset {options.dataset!r}"
        for kind, text in (
            (FollowUpKind.COMMENT, comments),
            (FollowUpKind.QUEUE_ITEM, queue if options.queue else None),
            (FollowUpKind.DATASET_ITEM, dataset if options.dataset else None),
        ):
            note = ", which undo cannot delete" if kind in permanent else ""
            if text:
                self.info(f"Also: {text}{note}.")

    def followed_up(self, followed_up: FollowedUp) -> None:
        """Print how many follow-ups were created."""
        self.info(f"Followed up: {followed_up.made} made, {followed_up.there} were there.")

    def failed_pass(self, error: HaloError) -> None:
        """Print why a pass failed; the next one is made nevertheless."""
        at = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
        for text in (f"{at}: this pass failed: {error}", *getattr(error, "__notes__", ())):
            self.info(redact(text), style="yellow")

    def watched(self, watched: Watched) -> None:
        """Print what changed in one pass, and what was not looked for."""
        self.json(watched)
        report = watched.report
        at = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
        read = f"{plural(report.traces, 'trace')}, {plural(report.spans, 'span')} read"
        self.say(f"{at}: {read}.")
        rows = list(changed_rows(watched.changed))
        if rows:
            table = plain_table("", "issue", "severity", "what", "traces")
            for column in (0, 1, 4):
                table.columns[column].no_wrap = True
            for row in rows:
                table.add_row(*map(Text, row))
            self.out.print(table)
        else:
            self.say("No issue is new, worse, back or resolved.")
        for note in watch_notes(watched):
            self.say(note)
        if watched.annotated:
            self.annotated(watched.annotated)
        elif watched.preview and watched.preview.total:
            marks = plural(watched.preview.total, "annotation")
            self.info(f"Not written: {marks}; with --yes a watch writes what it finds.")

    def end(self, run: Run, report: Report, annotated: Annotated | None) -> None:
        """Print where everything is; as JSON, everything."""
        if annotated:
            self.info(f"Undo: halo-integrations undo {run.id}")
        self.info(f"Report: {run.report_path_of('html')}")
        self.json({"run": run.record, "report": report, "annotated": annotated})

    def undone(self, run_id: str, undone: Undone) -> None:
        """Print what was undone."""
        self.json(undone)
        self.say(
            f"Removed {undone.removed}, restored {undone.restored}; left alone "
            f"{undone.superseded} that a later run replaced; {undone.gone} were gone already."
        )
        if undone.deletions.waiting:
            self.say(deletions_text(run_id, undone.deletions))
        if undone.kept:
            self.say(f"Kept: {plural(undone.kept, 'annotation')} that people had edited.")
        if undone.left:
            items = plural(len(undone.left), "item")
            self.info(f"Left: {items}. {undone.left[0].where}: {undone.left[0].what}")

    def deletions(self, run_id: str, status: DeletionStatus) -> None:
        """Print how far the platform is with deletions."""
        self.json(status)
        self.say(deletions_text(run_id, status))

    def runs(self, records: Sequence[RunRecord]) -> None:
        """Print all runs, newest first."""
        self.json(records)
        table = plain_table("run", "source", "stage", "traces", "findings")
        table.columns[0].no_wrap = True  # to be copied into the next command
        for record in records:
            source = Text(record.what_was_read)
            row = (record.id, source, record.stage.value)
            table.add_row(*row, f"{record.traces:,}", str(record.findings))
        self.out.print(table)

    def issues(self, issues: Sequence[Issue]) -> None:
        """Print issues as a table."""
        self.json(issues)
        if not issues:
            self.say("No open issues. `run` finds them; --all lists the others.")
            return
        table = plain_table("issue", "state", "severity", "what", "traces", "share", "last seen")
        for column in (0, 1, 4, 6):
            table.columns[column].no_wrap = True
        for issue in issues:
            table.add_row(*map(Text, issue_row(issue)))
        self.out.print(table)

    def issue(self, issue: Issue) -> None:
        """Print everything that is known of an issue."""
        self.json(issue)
        for line in issue_lines(issue):
            self.say(line)

    def link(self, url: str) -> None:
        """Print an address."""
        self.json({"url": url})
        self.say(url)

    def brief(self, brief: Brief) -> None:
        """Print a brief as Markdown."""
        self.json(brief)
        self.plain(brief.markdown)

    def plain(self, text: str) -> None:
        """Print a text as it is."""
        self.out.print(text, end="", soft_wrap=True, markup=False)

    def written(self, briefs: Sequence[Brief], files: Sequence[Path]) -> None:
        """Print where briefs were written."""
        self.json({"briefs": briefs, "files": [str(path) for path in files]})
        for path in files:
            self.say(str(path))

    def detectors(
        self, detectors: Sequence[Detector], settings: Mapping[str, DetectorSettings]
    ) -> None:
        """Print the installed detectors with their settings."""
        rows = [detector_row(d, settings.get(d.name, DetectorSettings())) for d in detectors]
        self.json(rows)
        table = plain_table("id", "detector", "severity", "finds", "threshold")
        for row, detector in zip(rows, detectors, strict=True):
            severity = row["severity"] if row["enabled"] else "off"
            finds = Text(detector.title_for("a tool", "..."))
            threshold = "" if row["threshold"] is None else f"{row['threshold']} {row['counts']}"
            table.add_row(row["id"], row["name"], severity, finds, Text(threshold))
        self.out.print(table)

    def check(self, check: HealthCheck) -> None:
        """Print one line of ``doctor``, and what to do."""
        word, style = MARKS[check.status]
        line = Text.assemble((f"{word:<8}", style), f"{check.what}: {check.found}")
        self.out.print(line, soft_wrap=True)
        if check.fix:
            self.say(f"        {check.fix}")

    def values(self, values: Sequence[SettingValue]) -> None:
        """Print settings and where they came from."""
        self.json(values)
        table = plain_table("setting", "value", "from")
        for value in values:
            table.add_row(f"{value.section}.{value.name}", Text(value.text), Text(value.origin))
        self.out.print(table)


def detector_row(detector: Detector, settings: DetectorSettings) -> dict[str, Any]:
    """One detector with its settings, for display and for JSON."""
    threshold = detector.threshold
    value = threshold.default if threshold and settings.threshold is None else settings.threshold
    return {
        "id": detector.id,
        "name": detector.name,
        "failure_mode": detector.failure_mode,
        "enabled": settings.enabled,
        "severity": (settings.severity or detector.severity).value,
        "threshold": value,
        "counts": f"{threshold.counts} ({threshold.unit})" if threshold else None,
        "title": detector.title,
    }
