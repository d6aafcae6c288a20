"""What each address shows and does: the verbs of the package, in the browser."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, TypeVar

from aiohttp import web

from halo_adapters.registry import adapter_names
from halo_engine.errors import ConfigError, HaloError
from halo_engine.findings import DecisionKind, Severity
from halo_engine.issues import Issue
from halo_engine.sides.sentences import (
    METHOD,
    difference_text,
    headline,
    notes,
    sides_text,
    verdict_word,
)
from halo_engine.statistics.prevalence import percent
from halo_engine.text.redaction import redact
from halo_integrations.cli.issue_view import decision_text, issue_lines, issue_row, state_word
from halo_integrations.context import Context
from halo_integrations.options.run import CommonOptions
from halo_integrations.sources import can_annotate
from halo_integrations.state.run import Run
from halo_integrations.state.values import RunRecord, Stage
from halo_integrations.tracking import decided_report, project_of
from halo_integrations.ui.guard import REPORT_POLICY, Guard
from halo_integrations.ui.pages import page, style_sheet
from halo_integrations.verbs.annotate import annotate, preview
from halo_integrations.verbs.compare import compare
from halo_integrations.verbs.issues import (
    accept_issue,
    is_pending,
    issue,
    issues,
    mute_issue,
    reopen_issue,
)

T = TypeVar("T")

SHOWN_RUNS = 50


@dataclass
class Views:
    """The pages over one home; ``options`` are the common ones of all verbs."""

    options: dict[str, Any]
    guard: Guard
    working: asyncio.Lock = field(default_factory=asyncio.Lock)

    def routes(self) -> list[web.AbstractRouteDef]:
        """Every address with its page."""
        return [
            web.get("/", self.home),
            web.get("/ui.css", self.style),
            web.get("/favicon.ico", self.icon),
            web.get("/runs/{run}", self.run),
            web.get("/runs/{run}/report", self.report),
            web.get("/runs/{run}/annotate", self.preview),
            web.post("/runs/{run}/annotate", self.annotate),
            web.get("/issues", self.issues),
            web.get("/issues/{issue}", self.issue),
            web.post("/issues/{issue}", self.decide),
            web.get("/compare", self.compare),
        ]

    async def home(self, _: web.Request) -> web.Response:
        """The projects with their open issues, and the newest runs."""
        records = await self._in_thread(self._records)
        known = await self._in_thread(lambda: issues(all=True, **self.options))
        projects: dict[str, list[Issue]] = defaultdict(list)
        for each in known:
            projects[each.project].append(each)
        rows = [
            (name, *counted_issues(found), len(found)) for name, found in sorted(projects.items())
        ]
        return self._page("home", projects=rows, runs=records[:SHOWN_RUNS], more=len(records))

    async def style(self, _: web.Request) -> web.Response:
        """The style sheet."""
        return style_sheet()

    async def icon(self, _: web.Request) -> web.Response:
        """None: browsers ask for one of pages that name none, such as reports."""
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def run(self, request: web.Request) -> web.Response:
        """One run: what was read, its findings, and where its report is."""
        run = await self._run(request)
        record = run.record
        report = decided_report(run) if run.has_report else None
        is_ready = report is not None and record.stage is not Stage.PULLING
        return self._page(
            "run",
            run=record,
            report=report,
            project=project_of(self._context, run),
            can_annotate=is_ready and can_annotate_from(record.source),
        )

    async def report(self, request: web.Request) -> web.StreamResponse:
        """The report as it is on disk, which has no part in this site."""
        run = await self._run(request)
        path = run.report_path_of("html")
        if not path.is_file():
            raise ConfigError(f"Run {run.id} has no report yet: analyse it first.")
        return web.Response(
            body=path.read_bytes(),
            content_type="text/html",
            charset="utf-8",
            headers={"Content-Security-Policy": REPORT_POLICY},
        )

    async def preview(self, request: web.Request) -> web.Response:
        """What annotating would write, to be confirmed."""
        run = await self._run(request)
        planned = await self._in_thread(lambda: preview(run.id, **self.options))
        used = {label for labels in planned.counts.values() for label in labels}
        severities = [severity for severity in Severity if severity.value in used]
        return self._page("annotate", run=run.record, planned=planned, severities=severities)

    async def annotate(self, request: web.Request) -> web.Response:
        """Write what was previewed."""
        run = await self._run(request)
        done = await self._in_thread(lambda: annotate(run.id, **self.options))
        return self._page("annotated", run=run.record, done=done)

    async def issues(self, request: web.Request) -> web.Response:
        """The issues of one project or all, the open ones unless all are asked for."""
        project, show_all = request.query.get("project"), "all" in request.query
        given = {"issue_project": project} if project else {}
        found = await self._in_thread(lambda: issues(all=show_all, **given, **self.options))
        rows = [(issue_row(each), each) for each in found]
        return self._page("issues", rows=rows, project=project, show_all=show_all)

    async def issue(self, request: web.Request) -> web.Response:
        """One issue, and what can be decided about it."""
        name = request.match_info["issue"]
        found = await self._in_thread(lambda: issue(name, **self.options))
        return self._issue_page(found)

    async def decide(self, request: web.Request) -> web.Response:
        """Mute, accept or reopen an issue."""
        form = await request.post()
        kind = decision_of(str(form.get("decision", "")))
        reason, until = str(form.get("reason", "")), str(form.get("until", "")).strip() or None
        name = request.match_info["issue"]
        given: dict[str, Any] = {**self.options, "reason": reason}
        verb: Callable[..., Issue] = {
            DecisionKind.MUTED: mute_issue,
            DecisionKind.ACCEPTED: accept_issue,
            DecisionKind.REOPENED: reopen_issue,
        }[kind]
        if kind is DecisionKind.MUTED:
            given["until"] = until
        await self._in_thread(lambda: verb(name, **given))
        raise web.HTTPSeeOther(f"/issues/{name}")

    async def compare(self, request: web.Request) -> web.Response:
        """Two sides beside each other, once both are given."""
        base, head = (request.query.get(name, "").strip() for name in ("base", "head"))
        records = await self._in_thread(self._records)
        values: dict[str, Any] = {"runs": records[:SHOWN_RUNS], "base": base, "head": head}
        values |= {"result": None, "problem": None}
        if not (base and head):
            return self._page("compare", **values)
        try:
            found = await self._in_thread(lambda: compare(base, head, **self.options))
        except ConfigError as error:  # told beside the form, to be corrected there
            values["problem"] = redact(str(error))
            return self._page("compare", HTTPStatus.BAD_REQUEST, **values)
        values["result"] = {
            "sides": sides_text(found),
            "headline": headline(found),
            "rows": [
                {
                    "verdict": verdict_word(each.difference),
                    "is_regression": each.verdict.is_regression,
                    "is_change": each.verdict.is_change,
                    "issue": each.finding.issue,
                    "severity": each.finding.severity.value,
                    "title": each.finding.title,
                    "base": percent(each.base.share),
                    "head": percent(each.head.share),
                    "points": difference_text(each.difference),
                }
                for each in found.issues
            ],
            "notes": list(notes(found)),
            "method": METHOD,
        }
        return self._page("compare", **values)

    # -- parts -----------------------------------------------------------------------------------

    @property
    def _context(self) -> Context:
        return Context(CommonOptions(**self.options))

    def _records(self) -> list[RunRecord]:
        return [record for _, record in self._context.runs.readable()]

    async def _run(self, request: web.Request) -> Run:
        return await self._in_thread(lambda: self._context.run(request.match_info["run"]))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """What ``work`` returns; the verbs block, and a process opens a store once at a time."""
        async with self.working:
            return await asyncio.to_thread(work)

    def _issue_page(self, found: Issue) -> web.Response:
        decisions = [decision_text(decision) for decision in found.decisions]
        return self._page(
            "issue",
            issue=found,
            lines=list(issue_lines(found)),
            state=state_word(found),
            decisions=decisions,
            is_decided=found.decision(datetime.now(UTC)) is not None,
        )

    def _page(
        self, template: str, status: HTTPStatus = HTTPStatus.OK, **values: Any
    ) -> web.Response:
        return page(template, {"form_token": self.guard.form_token, **values}, status)


def can_annotate_from(adapter: str) -> bool:
    """Whether annotations can be written; a run is shown also where its adapter is not installed."""
    return adapter in adapter_names() and can_annotate(adapter)


def decision_of(name: str) -> DecisionKind:
    """The decision that a button of the form is for; ``ConfigError`` for another."""
    try:
        return DecisionKind(name)
    except ValueError as error:
        raise ConfigError("Choose what to do: Mute, Accept or Reopen.") from error


def counted_issues(found: list[Issue]) -> tuple[int, int]:
    """How many issues are open, and how many of these are critical or high."""
    pending = [each for each in found if is_pending(each)]
    return len(pending), sum(each.finding.severity.at_least(Severity.HIGH) for each in pending)


@web.middleware
async def told_errors(
    request: web.Request, handler: Callable[[web.Request], Any]
) -> web.StreamResponse:
    """Show errors that are for the user as a page, and of others no more than that there was one."""
    try:
        response: web.StreamResponse = await handler(request)
        return response
    except web.HTTPException:
        raise
    except HaloError as error:
        text, status = redact(str(error)), HTTPStatus.BAD_REQUEST
    except Exception as error:  # noqa: BLE001 - a page, and the cause for whoever reports it
        text = (
            f"{type(error).__name__}: {redact(str(error))}. This is a fault of halo-integrations."
        )
        status = HTTPStatus.INTERNAL_SERVER_ERROR
    return page("error", {"text": text, "form_token": ""}, status)
