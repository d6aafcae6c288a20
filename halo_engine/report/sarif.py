"""Findings as SARIF 2.1.0, for code scanning: those whose place in the agent's code is known.

Only what GitHub reads of the format is written, and what others need to understand it (OASIS,
"Static Analysis Results Interchange Format (SARIF) Version 2.1.0", with Errata 01). A result needs a
location there, so that findings without one are left out, and counted in a notification.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from halo_engine.failure_modes import meaning_of
from halo_engine.findings import CodeLine, Finding, Report, Severity
from halo_engine.report.linked_ids import counted, safe_name
from halo_engine.report.renderer import RunInfo
from halo_engine.report.view import TEXT_CHARS, TITLE_CHARS, failure_view
from halo_engine.schema import Failure
from halo_engine.text.sanitize import escape_invisible, safe_line, safe_url

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
TOOL = "halo-integrations"
LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
}
# The name of our fingerprints, which the format asks to be versioned.
FINGERPRINT = "haloFinding/v1"
WITHOUT_PLACE = (
    "left out: no place in the agent's code is known. `run --code FOLDER` looks for it, as does "
    "`compare --code FOLDER`."
)

Json = dict[str, Any]


class Located(NamedTuple):
    """A finding for a log: what is said of it, the page of an example (None: none), and how it
    compares with a baseline, in the words of the format (None: with none).
    """

    finding: Finding
    text: str
    page: str | None = None
    baseline: str | None = None


def render_sarif(report: Report, run: RunInfo) -> bytes:
    """The failures in ``report`` as SARIF; gaps in the recording are no matter of the code."""
    results = [
        Located(finding, str(finding.prevalence), page_of(finding, run))
        for finding in report.findings
        if not finding.is_recording_gap
    ]
    return sarif_log(results, "halo-report/", report.failures)


def page_of(finding: Finding, run: RunInfo) -> str | None:
    """The page of the first trace or span that ``finding`` affects."""
    first = finding.affected[0] if finding.affected else None
    return run.url(first.trace_id, first.span_id) if first else None


def sarif_log(results: Iterable[Located], category: str, failures: Sequence[Failure]) -> bytes:
    """A log of one run; ``category`` tells it from those of other analyses of the same code."""
    everything = list(results)
    located = [each for each in everything if places_of(each.finding)]
    modes = sorted({each.finding.failure_mode for each in located})
    log = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": TOOL, "rules": list(map(reporting_rule, modes))}},
                "automationDetails": {"id": category},
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [
                            *left_out(len(everything) - len(located)),
                            *map(failure_notification, failures),
                        ],
                    }
                ],
                "results": [sarif_result(each, modes) for each in located],
            }
        ],
    }
    return f"{escape_invisible(json.dumps(log, indent=1, ensure_ascii=False))}\n".encode()


def reporting_rule(mode: str) -> Json:
    """A failure mode as a rule."""
    meaning = safe_line(f"The agent {meaning_of(mode)}.", TITLE_CHARS)
    return {
        "id": safe_name(mode),
        "shortDescription": {"text": meaning},
        "fullDescription": {"text": meaning},
        "help": {"text": f"{meaning} What to do is said of each finding."},
        "properties": {"tags": ["ai-agent"]},
    }


def sarif_result(each: Located, modes: Sequence[str]) -> Json:
    """A finding as a result, at the first of its places; the others are related to it."""
    finding = each.finding
    first, *others = places_of(finding)
    is_gone = each.baseline == "absent"
    result: Json = {
        "ruleId": safe_name(finding.failure_mode),
        "ruleIndex": modes.index(finding.failure_mode),
        "kind": "pass" if is_gone else "fail",
        "level": "none" if is_gone else LEVELS[finding.severity],
        "message": {"text": finding_message(each)},
        "locations": [location_of(first)],
        "partialFingerprints": {FINGERPRINT: finding.fingerprint},
        "properties": {"severity": finding.severity.value, "finding": safe_name(finding.id)},
    }
    if others:
        result["relatedLocations"] = [
            {"id": number, **location_of(line), "message": {"text": "See also here."}}
            for number, line in enumerate(others, start=1)
        ]
    if finding.issue:
        result["properties"]["issue"] = safe_name(finding.issue.id)
    if not finding.is_open:
        result["suppressions"] = [{"kind": "external", "status": "accepted"}]
    if each.baseline:
        result["baselineState"] = each.baseline
    if page := safe_url(each.page):
        result["hostedViewerUri"] = page
    return result


def places_of(finding: Finding) -> list[CodeLine]:
    """The places of a finding in the agent's code, each once: its causes, then definitions."""
    by_place = {(c.path, c.line): c for c in reversed((*finding.code_causes, *finding.defined_at))}
    return list(reversed(by_place.values()))


def location_of(line: CodeLine) -> Json:
    """A line of code; its path is that below the folder that ``--code`` named."""
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(line.path)},
            "region": {
                "startLine": line.line,
                "snippet": {"text": safe_line(line.text, TITLE_CHARS)},
            },
        }
    }


def finding_message(each: Located) -> str:
    """What a finding says, in one text."""
    finding = each.finding
    cause = [f"Probable cause: {finding.cause}"] if finding.cause else []
    parts = [finding.title, finding.summary, each.text, *cause, finding.recommendation]
    sentences = (safe_line(part, TEXT_CHARS) for part in parts if part)
    return " ".join(s if s.endswith((".", "!", "?", "…")) else f"{s}." for s in sentences)


def left_out(number: int) -> Iterator[Json]:
    """A notification of how many findings are not in the log, if any."""
    if number:
        text = f"{counted(number, 'finding')} {WITHOUT_PLACE}"
        yield {"level": "note", "message": {"text": text}}


def failure_notification(failure: Failure) -> Json:
    """What could not be done."""
    shown = failure_view(failure)
    return {"level": "warning", "message": {"text": f"{shown.stage}: {shown.where}: {shown.what}"}}
