"""Compiling a brief: from what an issue keeps, and from the traces of the run that last found it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set

from halo_adapters.base import FollowUpKind
from halo_engine.errors import EngineError
from halo_engine.findings import Affected, Finding
from halo_engine.issues import Issue
from halo_engine.report.excerpts import excerpt_of
from halo_engine.schema import Span, Trace
from halo_engine.statistics.sampling import sample_ids
from halo_engine.store import TraceStore
from halo_engine.store.views import TraceFilter
from halo_engine.text.redaction import Redactor
from halo_integrations.protection import privacy_of, redactor_of
from halo_integrations.state.home import Runs
from halo_integrations.state.run import Run
from halo_integrations.state.values import FollowUpState
from halo_integrations.work_orders.brief import Brief, CaseInput, OtherIssue, QuotedTrace
from halo_integrations.work_orders.proof import proof_of

# Traces that are quoted; inputs of those that show it, and of those that are right.
MOST_QUOTED, MOST_SHOWN, MOST_RIGHT = 3, 100, 20
NO_CODE = (
    "No line of the agent's code is named. `halo-integrations analyze {run} --code FOLDER` looks up "
    "where what is named here is defined and, with a model, which lines cause it."
)
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


def work_order_of(issue: Issue, known: Sequence[Issue], runs: Runs) -> Brief:
    """Everything for the fix of ``issue``; ``known`` are the open issues of its project."""
    run = run_of(issue, runs)
    finding = finding_of(issue, run)
    others = tuple(
        OtherIssue(id=other.id, title=other.finding.title, prevalence=other.finding.prevalence)
        for other in known
        if other.id != issue.id
    )
    brief = Brief(
        issue=issue,
        finding=finding,
        quoted=tuple(quoted_trace(affected, run) for affected in traces_to_quote(finding)),
        others=others,
        alike=tuple(other.id for other in known if is_alike(issue, other)),
        proof=proof_of(issue, finding, run, runs.home, len(others) + 1),
        missing=tuple(missing_from(issue, finding, run)),
    )
    if run is None:
        return Redactor().model(brief)
    return redactor_of(run).model(with_traces(brief, run))


def is_alike(issue: Issue, other: Issue) -> bool:
    """Whether ``other`` is the same failure with another tool."""
    a, b = issue.finding, other.finding
    is_same = (a.detector, a.failure_mode) == (b.detector, b.failure_mode)
    return (
        issue.id != other.id and is_same and bool(a.group_title) and a.group_title == b.group_title
    )


def run_of(issue: Issue, runs: Runs) -> Run | None:
    """The run that last found ``issue``; None where it, its report or its traces are gone."""
    run = next((run for run in runs.all() if run.id == issue.run_id), None)
    if run is None or not run.has_report or not run.store_path.is_file():
        return None
    try:
        run.stored_traces()
    except EngineError:  # a store that cannot be read
        return None
    return run


def finding_of(issue: Issue, run: Run | None) -> Finding:
    """What was last found of ``issue``, with all that it affects where the report is there."""
    findings = run.report.findings if run else ()
    same = (f for f in findings if f.issue and f.issue.id == issue.id)
    return next(same, issue.finding)


def traces_to_quote(finding: Finding) -> list[Affected]:
    """The first traces that it affects, each once; those with quotes before others."""
    quoted = sorted(finding.affected, key=lambda affected: not affected.evidence)
    return list({a.trace_id: a for a in reversed(quoted)}.values())[::-1][:MOST_QUOTED]


def quoted_trace(affected: Affected, run: Run | None) -> QuotedTrace:
    """A trace with its quotes."""
    links = run.record.links if run else None
    url = links.url(affected.trace_id, affected.span_id) if links else None
    return QuotedTrace(
        trace_id=affected.trace_id, url=url, reason=affected.reason, evidence=affected.evidence
    )


def missing_from(issue: Issue, finding: Finding, run: Run | None) -> Iterator[str]:
    """What cannot be given, and what would bring it."""
    if run is None:
        yield GONE.format(run=issue.run_id)
    elif privacy_of(run).metadata_only:
        yield METADATA_ONLY
    if not (finding.code_causes or finding.defined_at):
        yield NO_CODE.format(run=issue.run_id if run else "RUN")
    check = finding.portable_check
    if finding.detector is None and check is not None and check.question:
        yield ASKS_MODEL


# -- from the traces -----------------------------------------------------------------------------


def with_traces(brief: Brief, run: Run) -> Brief:
    """``brief`` with what the traces of ``run`` add: steps around quotes, inputs, tools."""
    report = run.report
    with TraceStore(run.store_path, read_only=True) as store:
        shown = {trace.trace_id: trace for trace in examples_in(store, brief)}
        failures = (finding for finding in report.findings if not finding.is_recording_gap)
        right = store.trace_ids() - {a.trace_id for f in failures for a in f.affected}
        tools = dict.fromkeys(name for trace in shown.values() for name in declared_in(trace))
        changes = {"tools": tuple(tools), "right": len(right), "traces": report.traces}
        brief = brief.model_copy(update={**changes, "datasets": datasets_of(brief.finding, run)})
        if privacy_of(run).metadata_only:
            return brief
        quoted = tuple(with_steps(each, shown.get(each.trace_id)) for each in brief.quoted)
        return with_inputs(brief.model_copy(update={"quoted": quoted}), store, right)


def examples_in(store: TraceStore, brief: Brief) -> Iterator[Trace]:
    """The quoted traces, whole."""
    return store.traces(TraceFilter(ids=tuple(each.trace_id for each in brief.quoted)))


def declared_in(trace: Trace) -> Iterator[str]:
    """The names of the tools that are declared to the model of an agent."""
    return (tool.name for span in trace.spans for tool in span.tools if tool.name)


def with_steps(quoted: QuotedTrace, trace: Trace | None) -> QuotedTrace:
    """``quoted`` with the steps around its quotes."""
    excerpt = excerpt_of(trace, quoted.evidence) if trace else None
    return quoted.model_copy(update={"excerpt": excerpt})


def with_inputs(brief: Brief, store: TraceStore, right: Set[str]) -> Brief:
    """``brief`` with inputs of traces that show the failure, and of a sample of those ``right``."""
    shown = dict.fromkeys(affected.trace_id for affected in brief.finding.affected)
    wanted = [*list(shown)[:MOST_SHOWN], *sample_ids(right, MOST_RIGHT, seed=0)]
    spans = store.root_spans(wanted)
    inputs = tuple(
        CaseInput(trace_id=t, span_id=spans[t].span_id, input=text, shows_it=t in shown)
        for t in wanted
        if t in spans and (text := text_given(spans[t]))
    )
    without = len(list(shown)[:MOST_SHOWN]) - sum(each.shows_it for each in inputs)
    missing = (NO_INPUT.format(number=f"{without:,}"),) if without else ()
    return brief.model_copy(update={"inputs": inputs, "missing": (*brief.missing, *missing)})


def text_given(root: Span) -> str:
    """What an agent was given: the input of its root, or else what a user wrote there."""
    said = (m.content for m in reversed(root.input_messages) if m.role == "user" and m.content)
    return root.input or next(said, "")


def datasets_of(finding: Finding, run: Run) -> tuple[str, ...]:
    """The datasets of the platform that ``run`` put inputs of traces that it affects into."""
    affected = {each.trace_id for each in finding.affected}
    return tuple(
        dict.fromkeys(
            receipt.follow_up.place
            for receipt in run.follow_ups()
            if receipt.follow_up.kind is FollowUpKind.DATASET_ITEM
            and receipt.state is FollowUpState.MADE
            and receipt.follow_up.trace_id in affected
        )
    )
