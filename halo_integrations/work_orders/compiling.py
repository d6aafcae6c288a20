"""Compiling a brief: from what an issue keeps, and from the traces of the run that last found it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from halo_adapters.base import FollowUpKind
from halo_engine.errors import EngineError
from halo_engine.findings import Finding
from halo_engine.issues import Issue
from halo_engine.schema import Span, Trace
from halo_engine.statistics.sampling import sample_ids
from halo_engine.store import TraceStore
from halo_engine.store.earlier_file import has_store
from halo_engine.store.views import TraceFilter
from halo_engine.text.redaction import Redactor
from halo_integrations.protection import privacy_of, redactor_of
from halo_integrations.state.home import Runs
from halo_integrations.state.run import Run
from halo_integrations.state.values import FollowUpState
from halo_integrations.work_orders.brief import (
    Brief,
    CaseInput,
    OtherIssue,
    SameCause,
    priority_of,
)
from halo_integrations.work_orders.causes import of_one_cause, why_together
from halo_integrations.work_orders.examples import Seen, quoted_traces, seen_in, with_steps
from halo_integrations.work_orders.proof import code_command, proof_of

# Inputs of traces that show it, and of those that are right.
MOST_SHOWN, MOST_RIGHT = 100, 20
GONE = (
    "The traces of run {run} are no longer there. The quotes are those that the issue keeps; there "
    "are no steps around them, no inputs to reproduce it, and nothing to compare with. A new run "
    "over traces of the same time brings them back."
)
METADATA_ONLY = (
    "The run kept no texts (--metadata-only): quotes are placeholders, and there are no inputs. A "
    "run without --metadata-only has them."
)
NO_INPUT = "{number} of the traces that show it record no input, so they cannot be replayed."
ASKS_MODEL = (
    "Its check is a question to a model, so `compare` cannot look for it: an analysis with a model "
    "does, and `issues show` then says how it stands."
)


def work_orders_of(issues: Sequence[Issue], known: Sequence[Issue], runs: Runs) -> list[Brief]:
    """The work orders of ``issues``, the most urgent first; ``known`` are all that are open.

    Issues of one run and one project that probably have one cause are one order, which has the name
    of the most urgent among them.
    """
    of_run: dict[tuple[str, str], list[Issue]] = {}
    for issue in issues:
        of_run.setdefault((issue.run_id, issue.project), []).append(issue)
    orders = []
    for (_, project), found in of_run.items():
        run = run_of(found[0], runs)
        findings = last_found(found, run)
        same_project = [issue for issue in known if issue.project == project]
        for ids in of_one_cause(findings):
            parts = [(issue, findings[issue.id]) for issue in found if issue.id in ids]
            parts.sort(key=lambda part: priority_of(*part))
            orders.append(compiled(parts, same_project, run, runs.home))
    return sorted(orders, key=lambda order: order.priority)


def work_order_of(issue: Issue, known: Sequence[Issue], runs: Runs) -> Brief:
    """Everything for the fix of ``issue``, and of those of one cause with it.

    ``known`` are the open issues of its project.
    """
    run = run_of(issue, runs)
    others = [other for other in known if other.run_id == issue.run_id and other.id != issue.id]
    findings = last_found([issue, *others], run)
    ids = next(group for group in of_one_cause(findings) if issue.id in group)
    parts = [(each, findings[each.id]) for each in [issue, *others] if each.id in ids]
    return compiled(parts, known, run, runs.home)


def compiled(
    parts: Sequence[tuple[Issue, Finding]], known: Sequence[Issue], run: Run | None, home: Path
) -> Brief:
    """The work order for ``parts``, issues with what was last found of each, the first named."""
    ids = {issue.id for issue, _ in parts}
    others = [other for other in known if other.id not in ids]
    findings = [finding for _, finding in parts]
    together = tuple(
        SameCause(issue=issue, finding=f, why=why_together(f, [o for o in findings if o is not f]))
        for issue, f in parts[1:]
    )
    brief = Brief(
        issue=parts[0][0],
        finding=parts[0][1],
        together=together,
        others=len(others),
        nearby=tuple(with_tools_of(findings, others)),
        proof=proof_of(parts, run, home, len(others) + len(parts)),
        code_command=None if was_read(run) else code_command(parts[0][0], run, home),
        missing=tuple(missing_from(parts, run)),
    )
    seen = seen_in({issue.id: finding for issue, finding in parts})
    if run is None:
        quoted = tuple(quoted_traces(seen, {}, run))
        return Redactor().model(brief.model_copy(update={"quoted": quoted}))
    return redactor_of(run).model(with_traces(brief, seen, run))


def with_tools_of(findings: Sequence[Finding], issues: Sequence[Issue]) -> Iterator[OtherIssue]:
    """Those of ``issues`` that are about a tool that one of ``findings`` is about."""
    tools = {finding.tool for finding in findings if finding.tool}
    for issue in issues:
        found = issue.finding
        if found.tool in tools:
            yield OtherIssue(id=issue.id, title=found.title, prevalence=found.prevalence)


def run_of(issue: Issue, runs: Runs) -> Run | None:
    """The run that last found ``issue``; None where it, its report or its traces are gone."""
    run = next((run for run in runs.all() if run.id == issue.run_id), None)
    if run is None or not run.has_report or not has_store(run.store_path):
        return None
    try:
        run.stored_traces()
    except EngineError:  # a store that cannot be read
        return None
    return run


def last_found(issues: Sequence[Issue], run: Run | None) -> dict[str, Finding]:
    """What was last found of ``issues``, by their ids, with all it affects where the report is."""
    found = {f.issue.id: f for f in (run.report.findings if run else ()) if f.issue}
    return {issue.id: found.get(issue.id, issue.finding) for issue in issues}


def was_read(run: Run | None) -> bool:
    """Whether ``run`` looked into the agent's code: some of its findings then have places there."""
    findings = run.report.findings if run else ()
    return any(finding.defined_at or finding.code_causes for finding in findings)


def missing_from(parts: Sequence[tuple[Issue, Finding]], run: Run | None) -> Iterator[str]:
    """What cannot be given, and what would bring it."""
    if run is None:
        yield GONE.format(run=parts[0][0].run_id)
    elif privacy_of(run).metadata_only:
        yield METADATA_ONLY
    checks = [finding.portable_check for _, finding in parts if finding.detector is None]
    if any(check is not None and check.question for check in checks):
        yield ASKS_MODEL


# -- from the traces -----------------------------------------------------------------------------


def with_traces(brief: Brief, seen: Seen, run: Run) -> Brief:
    """``brief`` with what the traces of ``run`` add: quotes in their place, inputs, tools."""
    report = run.report
    has_texts = not privacy_of(run).metadata_only
    with TraceStore(run.store_path, read_only=True) as store:
        failures = (finding for finding in report.findings if not finding.is_recording_gap)
        right = store.trace_ids() - {a.trace_id for f in failures for a in f.affected}
        sample = sample_ids(right, MOST_RIGHT, seed=0)
        inputs = case_inputs([*list(seen)[:MOST_SHOWN], *sample], seen, store) if has_texts else []
        quoted = quoted_traces(seen, {each.trace_id: each.input for each in inputs}, run)
        ids = tuple(each.trace_id for each in quoted)
        shown = {trace.trace_id: trace for trace in store.traces(TraceFilter(ids=ids))}
    tools = dict.fromkeys(name for trace in shown.values() for name in declared_in(trace))
    without = min(len(seen), MOST_SHOWN) - sum(each.shows_it for each in inputs)
    missing = (NO_INPUT.format(number=f"{without:,}"),) if without and has_texts else ()
    changes = {
        "quoted": tuple(with_steps(each, shown.get(each.trace_id), has_texts) for each in quoted),
        "tools": tuple(tools),
        "right": len(right),
        "traces": report.traces,
        "inputs": tuple(inputs),
        "datasets": datasets_of(seen, run),
        "missing": (*brief.missing, *missing),
    }
    return brief.model_copy(update=changes)


def declared_in(trace: Trace) -> Iterator[str]:
    """The names of the tools that are declared to the model of an agent."""
    return (tool.name for span in trace.spans for tool in span.tools if tool.name)


def case_inputs(trace_ids: Sequence[str], seen: Seen, store: TraceStore) -> list[CaseInput]:
    """What the agent was given in traces, as far as they record it, with what ``seen`` there."""
    spans = store.root_spans(trace_ids)
    given = {trace_id: text for trace_id, span in spans.items() if (text := text_given(span))}
    return [
        CaseInput(
            trace_id=trace_id,
            span_id=spans[trace_id].span_id,
            input=given[trace_id],
            shows_it=trace_id in seen,
            failures={issue_id: affected.reason for issue_id, affected in seen.get(trace_id, ())},
        )
        for trace_id in trace_ids
        if trace_id in given
    ]


def text_given(root: Span) -> str:
    """What an agent was given: the input of its root, or else what a user wrote there."""
    said = (m.content for m in reversed(root.input_messages) if m.role == "user" and m.content)
    return root.input or next(said, "")


def datasets_of(seen: Seen, run: Run) -> tuple[str, ...]:
    """The datasets of the platform that ``run`` put inputs of traces that it affects into."""
    return tuple(
        dict.fromkeys(
            receipt.follow_up.place
            for receipt in run.follow_ups()
            if receipt.follow_up.kind is FollowUpKind.DATASET_ITEM
            and receipt.state is FollowUpState.MADE
            and receipt.follow_up.trace_id in seen
        )
    )
