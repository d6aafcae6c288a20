"""Errors that nobody expected: an analysis that was paid for still has a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from claim_readers import is_review
from halo_engine.errors import SandboxLost
from halo_engine.findings import AnalysisEnding, Finding, FindingCheck, Report
from halo_engine.llm import ChatMessage
from halo_engine.llm.ledger import Checkpoint
from halo_engine.rlm.candidates import Candidate, Impact
from halo_engine.rlm.conversation import Conversation
from halo_engine.rlm.events import AnalysisEvent, AnalysisEventKind
from halo_engine.rlm.host import Notebook
from halo_engine.rlm.investigation import Investigation, InvestigationBrief
from halo_engine.rlm.loop import LoopState
from halo_engine.rlm.sandbox.base import ExecutionResult, HostFunctions
from halo_engine.rlm.sandbox.monty import MontySandbox
from halo_integrations.testing import ScriptedModel
from model_endpoint import Analyst, code, submit
from rlm_context import DECLINED, RlmContext

CITED = f"[{{'span': s + '.3', 'quote': {DECLINED!r}}} for s in ('T3', 'T6')]"
SUBMIT = code(submit(CITED, "{'question': 'Is the card declined?'}"))
ANALYST = Analyst([SUBMIT], symptom="declined")
BY_RULE = Analyst([code(submit(CITED, "{'pattern': 'declined'}"))])


class Fault(Exception):
    """No error that the package knows."""


def model_with_fault(
    is_faulty: Callable[[list[dict[str, str]]], bool], analyst: Analyst = ANALYST
) -> ScriptedModel:
    """The ``analyst``, which raises where ``is_faulty`` holds for its messages."""

    def answer(messages: Sequence[ChatMessage]) -> str:
        sent = [message.model_dump() for message in messages]
        if is_faulty(sent):
            raise Fault("the model's client broke")
        return analyst(sent)

    return ScriptedModel(answer)


@pytest.fixture
def sandbox() -> Iterator[MontySandbox]:
    sandbox = MontySandbox()
    yield sandbox
    sandbox.close()


def analysed(
    context: RlmContext,
    sandbox: MontySandbox,
    model: ScriptedModel,
    *,
    events: list[AnalysisEvent] | None = None,
    brief: InvestigationBrief | None = None,
) -> Report:
    signals = Report(traces=60, findings=())
    return Investigation(
        *(context.store, signals, context.client, model, model, sandbox),
        brief=brief or InvestigationBrief(),
        on_event=(events if events is not None else []).append,
    ).run()


def is_root(messages: list[dict[str, str]]) -> bool:
    return messages[0]["content"].startswith("You look for")


STAGES = {
    "in the loop": lambda messages: is_root(messages) and len(messages) > 3,
    "in the review": lambda messages: is_review(messages[0]["content"]),
    "in the labelling": lambda messages: "for certain failures" in messages[0]["content"],
    "in the root causes": lambda messages: "that went wrong" in messages[0]["content"],
}


@pytest.mark.parametrize("stage", STAGES)
def test_what_was_found_so_far_is_reported_with_the_error_as_its_ending(
    stage: str, context: RlmContext, sandbox: MontySandbox
) -> None:
    events: list[AnalysisEvent] = []
    model = model_with_fault(STAGES[stage])
    brief = InvestigationBrief(root_causes=True)
    report = analysed(context, sandbox, model, events=events, brief=brief)
    assert [finding.title for finding in report.findings] == ["Orders stay unknown"]
    assert report.analysis is not None
    assert report.analysis.ending is AnalysisEnding.INTERNAL_ERROR
    assert not report.analysis.is_complete
    assert "inside halo-integrations" in report.analysis.ending_detail
    assert "the model's client broke" in report.analysis.ending_detail
    assert any("the model's client broke" in failure.what for failure in report.failures)
    failed = [e for e in events if e.kind is AnalysisEventKind.FAILED]
    assert all("Traceback" in event.data["traceback"] for event in failed)
    assert failed


def test_a_finding_whose_labelling_failed_is_counted_in_the_traces_it_cites(
    context: RlmContext, sandbox: MontySandbox
) -> None:
    (finding,) = analysed(context, sandbox, model_with_fault(STAGES["in the labelling"])).findings
    assert finding.prevalence.affected == 2
    assert not finding.prevalence.analysed


def test_a_rule_whose_second_look_failed_counts_its_hits_and_is_not_confirmed(
    context: RlmContext, sandbox: MontySandbox
) -> None:
    model = model_with_fault(STAGES["in the review"], BY_RULE)
    (finding,) = analysed(context, sandbox, model).findings
    assert finding.prevalence.counts == "20 of 60"
    assert finding.measured is None
    assert finding.confidence == "low"
    assert str(finding.verification) == "not confirmed: 0 of 2 cited traces got an answer"


def test_an_analysis_that_an_internal_error_ended_goes_on_when_it_is_asked_for_again(
    context: RlmContext, sandbox: MontySandbox
) -> None:
    broken = analysed(context, sandbox, model_with_fault(STAGES["in the loop"]))
    repaired = analysed(context, sandbox, model_with_fault(lambda _: False))
    assert broken.analysis is not None
    assert repaired.analysis is not None
    assert repaired.analysis.ending is AnalysisEnding.FINISHED
    assert repaired.analysis.turns == broken.analysis.turns + 1


def test_a_listener_that_raises_does_not_end_the_analysis(
    context: RlmContext, sandbox: MontySandbox
) -> None:
    def listener(_: AnalysisEvent) -> None:
        raise Fault("no more room")

    model = model_with_fault(lambda _: False)
    report = Investigation(
        *(context.store, Report(traces=60), context.client, model, model, sandbox),
        on_event=listener,
    ).run()
    assert report.analysis is not None
    assert report.analysis.ending is AnalysisEnding.FINISHED
    assert [f.where for f in report.failures] == ["the listener of events"]
    assert len(report.findings) == 1


class BrokenSandbox(MontySandbox):
    """One whose session cannot be continued elsewhere, and which fails in a way of its own."""

    def __init__(self, *, loads: bool = True) -> None:
        super().__init__()
        self._loads = loads

    def run(self, code: str, functions: HostFunctions) -> ExecutionResult:
        if "break" in code:
            raise Fault("the sandbox broke")
        return super().run(code, functions)

    def load(self, session: bytes) -> None:
        if not self._loads:
            raise SandboxLost("not a session")
        super().load(session)


def test_an_error_of_the_sandbox_ends_the_analysis_with_what_was_submitted(
    context: RlmContext,
) -> None:
    sandbox = BrokenSandbox()
    try:
        report = analysed(context, sandbox, scripted([SUBMIT, code("break")]))
    finally:
        sandbox.close()
    assert report.analysis is not None
    assert report.analysis.ending is AnalysisEnding.INTERNAL_ERROR
    assert len(report.findings) == 1


def test_a_session_that_cannot_be_restored_is_a_new_one_and_the_model_is_told(
    context: RlmContext, sandbox: MontySandbox
) -> None:
    analysed(context, sandbox, model_with_fault(STAGES["in the loop"]))
    other, model = BrokenSandbox(loads=False), scripted([SUBMIT])
    try:
        report = analysed(context, other, model)
    finally:
        other.close()
    assert report.analysis is not None
    assert report.analysis.ending is AnalysisEnding.FINISHED
    assert any("variables are lost" in m.content for m in model.requests[0])


def scripted(turns: list[str]) -> ScriptedModel:
    analyst = Analyst(turns, symptom="declined")
    return ScriptedModel(lambda messages: analyst([m.model_dump() for m in messages]))


# -- errors of host functions ------------------------------------------------------------------------


def asking(turns: list[str]) -> ScriptedModel:
    """The analyst, which raises where it is asked about a text."""
    analyst = Analyst(turns, symptom="declined")

    def answer(messages: Sequence[ChatMessage]) -> str:
        if messages[0].content.endswith("only from them."):
            raise Fault("the model's client broke")
        return analyst([message.model_dump() for message in messages])

    return ScriptedModel(answer)


def test_an_error_of_a_host_function_is_shown_to_the_model_and_is_a_failure(
    context: RlmContext, sandbox: MontySandbox
) -> None:
    events: list[AnalysisEvent] = []
    model = asking([code("ask('What is it?', 'a text')")])
    report = analysed(context, sandbox, model, events=events)
    assert "ask() failed, do without it" in model.requests[-1][-1].content
    assert report.analysis is not None
    assert report.analysis.ending is AnalysisEnding.FINISHED
    (failure,) = report.failures
    assert failure.where == "ask()"
    assert "the model's client broke" in failure.what
    (failed,) = [e for e in events if e.kind is AnalysisEventKind.FAILED]
    assert "Traceback" in failed.data["traceback"]


def test_a_failure_of_a_host_function_is_in_the_report_of_a_resumed_analysis_too(
    context: RlmContext, sandbox: MontySandbox
) -> None:
    model = asking([code("ask('What is it?', 'a text')")])
    first = analysed(context, sandbox, model)
    again = analysed(context, sandbox, model)
    assert [f.where for f in first.failures] == ["ask()"]
    assert again.failures == first.failures


# -- rules that fail at labelling --------------------------------------------------------------------


def finding_of(report: Report, title: str) -> Finding:
    return next(finding for finding in report.findings if finding.title == title)


def test_a_rule_that_fails_at_labelling_is_a_failure_and_its_finding_is_kept(
    context: RlmContext, sandbox: MontySandbox
) -> None:
    def candidate(id: str, check: FindingCheck) -> Candidate:
        host = context.host(ScriptedModel([]))
        host.functions["submit_finding"](
            title=id,
            failure_mode="other",
            **dict.fromkeys(("summary", "cause", "recommendation"), "text"),
            impact=Impact.DEGRADED,
            evidence=[{"span": "T3.3", "quote": DECLINED}],
            check={"question": "?"},
        )
        return host.notebook.candidates[0].model_copy(update={"id": id, "check": check})

    slow = candidate("F1", FindingCheck(sql="SELECT no_such_column FROM spans"))
    fine = candidate("F2", FindingCheck(pattern="declined"))
    state = LoopState(
        conversation=Conversation(system="", opening=""),
        notebook=Notebook(candidates=(slow, fine), summary="done"),
        turn=1,
        ending=AnalysisEnding.FINISHED,
        ending_detail="finished",
    )
    context.client.ledger.save_checkpoint(Checkpoint(1, state.model_dump_json(), None))
    report = analysed(context, sandbox, scripted([]))
    assert report.analysis is not None
    assert report.analysis.ending is AnalysisEnding.FINISHED
    assert finding_of(report, "F2").prevalence.affected == 20
    assert finding_of(report, "F1").prevalence.affected == 1
    (failure,) = report.failures
    assert failure.where == "F1: F1"
    assert "its rule failed" in failure.what
