"""The tools that read: runs, traces, findings, known issues, and checks on the traces of a run.

They use the functions that the model of an analysis has (``halo_engine.rlm.host``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from halo_engine.errors import ConfigError
from halo_engine.findings import FindingCheck
from halo_engine.issues import Issue
from halo_engine.issues.checking import DERIVED
from halo_engine.report.linked_ids import counted
from halo_engine.rlm.checks import check_of
from halo_engine.rlm.host.explore import Explore
from halo_engine.rlm.host.query import CELL_CHARS, Query
from halo_engine.rlm.host.read import Read
from halo_engine.rlm.host.rule_examples import RuleExamples
from halo_engine.sides.sentences import METHOD, headline, notes, sides_text
from halo_engine.store.database import derived_path
from halo_engine.text.redaction import Redactor
from halo_integrations.cli.issue_view import issue_lines
from halo_integrations.context import Context
from halo_integrations.mcp import arguments as arg
from halo_integrations.mcp.answers import Answers, json_lines
from halo_integrations.mcp.opened import MAX_CHARS, OpenRun, opened_run
from halo_integrations.mcp.rows import (
    compared_issue,
    example_rows,
    finding_rows,
    listed_finding,
    listed_issue,
    listed_run,
)
from halo_integrations.options.callbacks import OnProgress, no_progress
from halo_integrations.options.run import ProjectOptions
from halo_integrations.protection import redactor_of, report_of
from halo_integrations.verbs.briefs import brief as brief_of_issue
from halo_integrations.verbs.compare import compare as compare_runs
from halo_integrations.verbs.issues import issue as known_issue
from halo_integrations.verbs.issues import issues as known_issues

ToolFunction = Callable[..., str]

SHOWN_RUNS = 20
ONE_CHECK = "Give either an issue, or a pattern or an SQL query (or both: both must hold)."


class ReadingTools:
    """The tools that read the home of ``options``."""

    def __init__(self, options: ProjectOptions, answers: Answers) -> None:
        self._home: dict[str, Any] = {"home": options.home, "config_file": options.config_file}
        self._project = options.issue_project
        self._context = Context(options)
        self._answers = answers

    def functions(self) -> tuple[ToolFunction, ...]:
        """The tools, in the order in which they are listed."""
        traces = self.overview, self.search, self.sql, self.read, self.read_span
        found = self.runs, self.findings, self.issues, self.brief, self.compare
        return *found, *traces, self.run_check

    # -- what was found --------------------------------------------------------------------------

    def runs(self) -> str:
        """List the newest runs: what was read, when, and how much was found."""
        records = [record for _, record in self._context.runs.readable()]
        said = [f"{counted(len(records), 'run')}, the newest first."]
        if not records:
            said = ["There is no run here yet: `halo-integrations run SOURCE` makes one."]
        if len(records) > SHOWN_RUNS:
            said.append(f"Only the newest {SHOWN_RUNS} are shown.")
        return self._answers.rows(said, list(map(listed_run, records[:SHOWN_RUNS])), Redactor())

    def findings(
        self,
        run: arg.AnyRun = "last",
        finding: arg.FindingName | None = None,
        limit: arg.Limit = 30,
        offset: arg.Offset = 0,
    ) -> str:
        """List the findings of a run, or show all of one finding: cause, evidence, what to do.

        A finding is a failure that recurs: its share of the traces has a 95 % interval.
        """
        found = self._context.run(run)
        known = report_of(found).findings
        if finding is None:
            return self._listed(
                f"Run {found.id}: {counted(len(known), 'finding')}, failures of the agent first.",
                list(map(listed_finding, known)),
                limit,
                offset,
                redactor_of(found),
            )
        one = next((f for f in known if f.id == finding), None)
        if one is None:
            raise ConfigError(
                f"Run {found.id} has no finding {finding!r}: findings(run={found.id!r}) lists them."
            )
        said = [f"Run {found.id}, finding {one.id}:"]
        return self._answers.rows(said, list(finding_rows(one)), redactor_of(found))

    def issues(
        self,
        issue: arg.IssueName | None = None,
        closed: bool = False,
        limit: arg.Limit = 30,
        offset: arg.Offset = 0,
    ) -> str:
        """List known issues, failures that live over runs, or show all that is known of one.

        The list has those that are open; with `closed` also those resolved, muted or accepted.
        """
        if issue is not None:
            return self._issue_page(self._issue(issue))
        found = known_issues(all=closed, issue_project=self._project, **self._home)
        rows = list(map(listed_issue, found))
        kind = "known" if closed else "open"
        return self._listed(
            f"{counted(len(rows), f'{kind} issue')}.", rows, limit, offset, Redactor()
        )

    def brief(
        self, issue: arg.IssueName, start: arg.Start = 0, chars: arg.Chars = MAX_CHARS
    ) -> str:
        """Get the work order for the fix of a known issue: evidence, what must change and what not.

        It ends with the commands that prove the fix.
        """
        order = brief_of_issue(issue, **self._home)
        said = (
            f"The work order of {order.name}, for a user who wants it fixed; `halo-integrations "
            f"brief {order.name} --out FOLDER` writes the inputs that it names"
        )
        return self._part(said, order.markdown, start, chars, Redactor())

    def compare(
        self,
        base: arg.SideName,
        head: arg.SideName = "last",
        on_progress: OnProgress = no_progress,
    ) -> str:
        """Compare two runs, releases or time windows: which failures are new, worse, better, gone.

        The same checks are applied to all traces of both sides, which can take a minute. A verdict
        of "too little data" says nothing: neither that something is mended, nor that it is not.
        """
        given = {"issue_project": self._project, "on_progress": on_progress, **self._home}
        compared = compare_runs(base, head, **given)
        rows = [*map(compared_issue, compared.issues), *({"note": n} for n in notes(compared))]
        said = [sides_text(compared), headline(compared), METHOD]
        return self._answers.rows(said, rows, Redactor())

    # -- traces ----------------------------------------------------------------------------------

    def overview(self, run: arg.AnyRun = "last") -> str:
        """Count what a run holds: traces, spans, failed spans, the commonest names and tools."""
        with opened_run(self._context, run) as found:
            said = f"{found.traces:,} traces, T1 to T{found.traces}."
            return self._rows(found, [Explore(found.context).overview()], said)

    def search(
        self,
        pattern: arg.Expression,
        run: arg.AnyRun = "last",
        field: arg.FieldName | None = None,
        ignore_case: bool = True,
        has_error: bool | None = None,
        tool: arg.ToolName | None = None,
        limit: arg.Limit = 20,
    ) -> str:
        """Search the texts of all spans of a run; gives the first match of each text.

        `has_error` and `tool` keep only traces in which a span failed, or this tool ran.
        """
        with opened_run(self._context, run) as found:
            where = {"has_error": has_error, "tool": tool}
            hits = Explore(found.context).search(
                pattern, field, limit=limit, ignore_case=ignore_case, **where
            )
            return self._rows(found, hits)

    def sql(
        self,
        query: arg.Query,
        run: arg.AnyRun = "last",
        limit: arg.Limit = 50,
        chars: arg.CellChars = CELL_CHARS,
    ) -> str:
        """Query the traces of a run with SQL, read-only, for at most 10 seconds."""
        with opened_run(self._context, run) as found:
            return self._rows(found, Query(found.context).sql(query, limit, chars))

    def read(
        self,
        trace: arg.TraceName,
        run: arg.AnyRun = "last",
        start: arg.Start = 0,
        chars: arg.Chars = MAX_CHARS,
        digest: bool = False,
    ) -> str:
        """Read a trace as a page: a line for each message and call, [T3.5] names its span.

        `digest` shows what user and agent say, what is changed and errors, and little of the rest.
        """
        with opened_run(self._context, run) as found:
            page = Read(found.context).transcript(trace, digest=digest)
            return self._part(f"Run {found.run.id}", page, start, chars, found.redactor)

    def read_span(
        self,
        span: arg.SpanName,
        run: arg.AnyRun = "last",
        trace: arg.TraceName | None = None,
        field: arg.SpanField | None = None,
        start: arg.Start = 0,
        chars: arg.Chars = MAX_CHARS,
    ) -> str:
        """Read the texts of one span by field, or one field from `start` on.

        A full span id needs its `trace` too.
        """
        with opened_run(self._context, run) as found:
            named = found.span_name(span, trace)
            texts = Read(found.context).read_span(named, field, start, chars)
            return self._rows(found, [{"field": f, "text": text} for f, text in texts.items()])

    def run_check(
        self,
        run: arg.AnyRun = "last",
        issue: arg.IssueName | None = None,
        pattern: arg.Expression | None = None,
        field: arg.FieldName | None = None,
        sql: arg.Query | None = None,
        examples: arg.Examples = 5,
    ) -> str:
        """Count the traces of a run in which a rule holds, with random examples and near misses.

        The rule is that of a known issue, or a pattern, or SQL that selects trace_id and span_id.
        """
        given = {"pattern": pattern, "field": field, "sql": sql}
        if (issue is None) == (pattern is None and sql is None):
            raise ConfigError(ONE_CHECK)
        with opened_run(self._context, run) as found:
            check = rule_of(self._issue(issue)) if issue else checked_rule(given, found)
            require_tables(check, found)
            result = RuleExamples(found.context).of(check, (), examples)
            said = f"The rule holds in {result['holds_in']:,} of {found.traces:,} traces."
            return self._rows(found, list(example_rows(result)), said)

    # -- shared ----------------------------------------------------------------------------------

    def _issue(self, issue_id: str) -> Issue:
        return known_issue(issue_id, **self._home)

    def _issue_page(self, known: Issue) -> str:
        """All that is known of an issue, and the finding as it was last made."""
        said = f"Issue {known.id}, last found in run {known.run_id}, which has the traces below."
        page = [*issue_lines(known), *json_lines(finding_rows(known.finding))]
        return self._answers.text([said], "\n".join(page), Redactor())

    def _listed(
        self,
        heading: str,
        rows: Sequence[Mapping[str, Any]],
        limit: int,
        offset: int,
        redactor: Redactor,
    ) -> str:
        """A part of a list, with how it goes on."""
        part, end = rows[offset : offset + limit], offset + limit
        said = [heading]
        if len(rows) > len(part):
            more = f"; offset={end} goes on" if end < len(rows) else ""
            said.append(f"These are {len(part):,} of them, after the first {offset:,}{more}.")
        return self._answers.rows(said, part, redactor)

    def _part(self, heading: str, text: str, start: int, chars: int, redactor: Redactor) -> str:
        """A part of a page, with how it goes on."""
        end = min(len(text), start + chars)
        more = f"; start={end} goes on" if end < len(text) else ""
        said = f"{heading}: characters {start:,} to {end:,} of {len(text):,}{more}."
        return self._answers.text([said], text[start:end], redactor)

    def _rows(self, found: OpenRun, rows: Sequence[Mapping[str, Any]], said: str = "") -> str:
        """Rows of a run, with what its functions warned of."""
        heading = f"Run {found.run.id}: {said or counted(len(rows), 'row')}"
        return self._answers.rows([heading, *found.context.warnings], rows, found.redactor)


def rule_of(known: Issue) -> FindingCheck:
    """The rule of an issue; ``ConfigError`` where no rule tells which traces show it."""
    finding, check = known.finding, known.finding.portable_check
    if check and check.has_rule:
        return check
    if finding.detector:
        raise ConfigError(
            f"{known.id} was found by the detector {finding.detector}, which judges whole runs: "
            "findings() of a run lists what it found there."
        )
    raise ConfigError(
        f"The check of {known.id} is a question that a model is asked: "
        "`halo-integrations analyze RUN --model NAME` puts it. A rule of yours can be tried here."
    )


def require_tables(check: FindingCheck, found: OpenRun) -> None:
    """Raise ``ConfigError`` for a rule over tables that no analysis has made for this run."""
    if DERIVED.search(check.sql or "") and not derived_path(found.run.store_path).is_file():
        raise ConfigError(
            "The rule reads tables that an analysis makes (runs, calls, words, departures): "
            f"`halo-integrations analyze {found.run.id}` first."
        )


def checked_rule(given: Mapping[str, str | None], found: OpenRun) -> FindingCheck:
    """The rule that an agent wrote; ``ConfigError`` says what is wrong with it."""
    check, problems = check_of(given, found.context.short_ids)
    if check is None:
        raise ConfigError(" ".join(problems))
    return check
