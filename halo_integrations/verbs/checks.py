"""Checks: whether the traces of a run show a known issue, and its check for other tools."""

from __future__ import annotations

from typing import Any

from halo_engine.detectors.runner import run_detectors
from halo_engine.errors import ConfigError, EngineError
from halo_engine.findings import Finding, Report
from halo_engine.issues import Issue
from halo_engine.issues.checked import is_rule
from halo_engine.issues.checking import check_by_rule
from halo_engine.issues.matching import matched_issues
from halo_engine.statistics.prevalence import lower_bound_prevalence, prevalence_of
from halo_engine.store import TraceStore
from halo_engine.text.redaction import Redactor
from halo_integrations.check_exports.forms import FORMS
from halo_integrations.context import Context
from halo_integrations.options.keywords import issue_verb, validated
from halo_integrations.options.run import CommonOptions, ExportOptions
from halo_integrations.protection import privacy_of, redactor_of
from halo_integrations.verbs.issues import issues_of


@issue_verb(ExportOptions)
def export_check(issue_id: str, options: ExportOptions) -> str:
    """The check of an issue as the text of a file: for Langfuse, Phoenix or pytest.

    Raises ``ConfigError`` where the form cannot hold it.
    """
    issue = issues_of(options).get(issue_id)
    return FORMS[options.form](Redactor().model(issue))


def check_issue(issue: Issue | str, run_id: str = "last", **options: Any) -> Finding:
    """What the check of an issue (or of the one with this id) finds in the traces of a run.

    ``options`` are ``home``, ``config_file`` and ``settings``, as of every verb. The result is the
    issue's finding as of that run: its prevalence, and the traces that show it, none where it holds
    nowhere. Raises ``ConfigError`` for a check that is a question to a model.
    """
    given = validated(CommonOptions, options)
    known = issues_of(given).get(issue) if isinstance(issue, str) else issue
    context = Context(given)
    run = context.run(run_id)
    reads_texts = not privacy_of(run).metadata_only
    with TraceStore(run.store_path, read_only=True) as store:
        report = run_detectors(store, context.detectors(), reads_texts=reads_texts)
        found = found_by_rule(known, store, report) if is_rule(known) else found_in(known, report)
    return redactor_of(run).model(found)


def found_by_rule(issue: Issue, store: TraceStore, report: Report) -> Finding:
    """What the rule of a model's finding finds; ``EngineError`` where it cannot be applied."""
    checked = check_by_rule([issue], store, report)
    if issue.id not in checked.findings:
        reasons = " ".join(failure.what for failure in checked.failures)
        raise EngineError(
            f"The check of {issue.id} could not be applied to these traces. {reasons}"
        )
    return checked.findings[issue.id]


def found_in(issue: Issue, report: Report) -> Finding:
    """What the detector of ``issue`` found; ``ConfigError`` where no detector has found it."""
    known = issue.finding
    if known.detector is None:
        raise ConfigError(
            f"The check of {issue.id} is a question to a model: an analysis with a model looks for "
            f"it."
        )
    if known.detector not in report.detectors:
        raise ConfigError(
            f"{issue.id} was found by the detector {known.detector}, which is not installed, or is "
            f"switched off in halo.toml."
        )
    matched = matched_issues(report.findings, [issue], {})
    found = next((finding for finding in report.findings if finding.id in matched), None)
    if found:
        return found.model_copy(update={"id": known.id, "fingerprint": known.fingerprint})
    judged = report.traces - sum(
        each.traces for each in report.not_judged if each.detector == known.detector
    )
    total = report.traces
    prevalence = prevalence_of(0, judged, total) if judged else lower_bound_prevalence(0, total)
    return known.model_copy(update={"affected": (), "prevalence": prevalence})
