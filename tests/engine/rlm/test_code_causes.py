"""Causes of findings in the agent's source code: submitted with them, or looked for afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from halo_engine.comparison import compare_corpus
from halo_engine.findings import CodeLine, Finding, Report
from halo_engine.llm import Budget, Ledger, Limits, ModelClient
from halo_engine.rlm.checks import CheckRules
from halo_engine.rlm.code_causes import OUT_OF_BUDGET, CodeCauses
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.host import Host
from halo_engine.rlm.host.context import HostContext
from halo_engine.rlm.sandbox.base import HostError
from halo_engine.source import SourceFiles
from halo_integrations.testing import ScriptedModel
from rlm_context import NONCE, RlmContext
from sample_reports import affected, finding

CLERK = """\
PROMPT = "You are a clerk."


def pay(order):
    try:
        return bank.pay(order)
    except DeclinedError:
        return "The card was declined."
"""
PLACE = {"path": "clerk.py", "line": 8, "quote": 'return "The card was declined."'}
LINE = CodeLine(path="clerk.py", line=8, text='        return "The card was declined."')
FIX = (
    "--- a/clerk.py\n+++ b/clerk.py\n@@ -5,4 +5,2 @@\n def pay(order):\n-    try:\n"
    "-        return bank.pay(order)\n-    except DeclinedError:\n"
    '-        return "The card was declined."\n+    return bank.pay(order)\n'
)
NO_PLACE = {"path": None, "line": None, "quote": None, "fix": None}


@pytest.fixture
def files(tmp_path: Path) -> SourceFiles:
    (tmp_path / "clerk.py").write_text(CLERK, encoding="utf-8")
    return SourceFiles(tmp_path)


def host_with(context: RlmContext, files: SourceFiles | None) -> Host:
    signals = Report(traces=60)
    corpus = compare_corpus(context.store, signals)
    rules, model = CheckRules(context.store), ScriptedModel([])
    parts = rules, context.short_ids, signals, corpus, context.client, model, DataDelimiter(NONCE)
    return Host(HostContext(*parts), files)


def submitted(host: Host, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = host.functions["submit_finding"](
        title="A refusal is reported as success",
        failure_mode="tool_error_mishandled",
        summary="The card is declined and the agent answers that all is done.",
        cause="The error is a text.",
        recommendation="Raise it.",
        impact="wrong_outcome",
        evidence=[{"span": "T6.3", "quote": "The card was declined."}],
        check={"question": "Is a refusal reported as success?"},
        **more,
    )
    return answer


def test_a_finding_is_submitted_with_its_cause_in_the_code_and_a_change(
    context: RlmContext, files: SourceFiles
) -> None:
    host = host_with(context, files)
    answer = submitted(host, cause_at=[{**PLACE, "line": 6}], fix=FIX)
    assert answer["accepted"]
    assert "notes" not in answer
    (candidate,) = host.notebook.candidates
    assert candidate.code_causes == (LINE,)
    assert candidate.proposed_fix is not None
    assert "+    return bank.pay(order)\n" in candidate.proposed_fix


def test_a_wrong_place_or_change_is_left_out_of_a_finding_with_the_reason(
    context: RlmContext, files: SourceFiles
) -> None:
    host = host_with(context, files)
    wrong = {**PLACE, "quote": "raise DeclinedError"}
    answer = submitted(host, cause_at=[wrong], fix=FIX.replace("bank", "bench"))
    assert answer["accepted"]
    assert ["cause_at 1" in answer["notes"][0], "fix: clerk.py" in answer["notes"][1]] == [True] * 2
    (candidate,) = host.notebook.candidates
    assert (candidate.code_causes, candidate.proposed_fix) == ((), None)


def test_a_finding_gets_its_cause_in_the_code_when_it_is_amended(
    context: RlmContext, files: SourceFiles
) -> None:
    host = host_with(context, files)
    submitted(host)
    wrong = {**PLACE, "quote": "raise DeclinedError"}
    with pytest.raises(HostError, match="cause_at 1"):
        host.functions["amend_finding"]("F1", cause_at=[wrong])
    host.functions["amend_finding"]("F1", cause_at=[{**PLACE, "line": 6}], fix=FIX)
    (candidate,) = host.notebook.candidates
    assert candidate.code_causes == (LINE,)
    assert candidate.proposed_fix is not None


def test_without_the_source_code_a_place_is_left_out_with_the_reason(context: RlmContext) -> None:
    answer = submitted(host_with(context, None), cause_at=[PLACE], fix=FIX)
    assert answer["accepted"]
    assert all("(--code)" in note for note in answer["notes"])
    assert len(answer["notes"]) == 2


def causes(
    context: RlmContext, files: SourceFiles, *answers: dict[str, Any], **limits: Any
) -> tuple[CodeCauses, ScriptedModel]:
    model = ScriptedModel([json.dumps(answer) for answer in answers])
    client = ModelClient(Budget(Limits(**limits)), Ledger()) if limits else context.client
    return CodeCauses(files, client, model, DataDelimiter(NONCE), context.short_ids), model


def asked(model: ScriptedModel, number: int) -> str:
    return "\n".join(message.content for message in model.requests[number])


def failure(context: RlmContext, **changes: Any) -> Finding:
    trace_id = context.short_ids.trace_id("T6") or ""
    found = affected(trace_id, "The card was declined.")
    return finding(found, detector=None, model="m", **changes)


def test_the_cause_of_a_finding_without_a_place_is_looked_for(
    context: RlmContext, files: SourceFiles
) -> None:
    look, model = causes(context, files, {**PLACE, "fix": FIX})
    (found,) = look.added([failure(context)])
    assert found.code_causes == (LINE,)
    assert found.proposed_fix is not None
    assert '8         return "The card was declined."' in asked(model, 0)
    assert not look.failures


def test_a_place_that_is_not_there_is_asked_for_once_more_and_else_left_out(
    context: RlmContext, files: SourceFiles
) -> None:
    wrong = {**PLACE, "quote": "raise DeclinedError", "fix": None}
    look, model = causes(context, files, wrong, {**PLACE, "fix": None}, wrong, wrong)
    right, left = failure(context), failure(context, id="other", title="Another")
    assert look.added([right])[0].code_causes == (LINE,)
    assert look.added([left])[0].code_causes == ()
    (failed,) = look.failures
    assert (failed.where, "does not hold" in failed.what) == ("other", True)
    assert "not within 3 lines" in asked(model, 1)


def test_no_place_is_an_answer(context: RlmContext, files: SourceFiles) -> None:
    look, model = causes(context, files, NO_PLACE)
    assert look.added([failure(context)])[0].code_causes == ()
    assert len(model.requests) == 1
    assert not look.failures


def test_findings_with_a_place_and_gaps_of_the_recording_are_not_asked_about(
    context: RlmContext, files: SourceFiles
) -> None:
    look, model = causes(context, files)
    placed = failure(context, code_causes=(LINE,))
    gap = finding(failure_mode="instrumentation", id="gap")
    assert look.added([placed, gap]) == [placed, gap]
    assert not model.requests


def test_what_the_budget_does_not_suffice_for_is_a_failure_of_the_report(
    context: RlmContext, files: SourceFiles
) -> None:
    look, _ = causes(context, files, PLACE, tokens=50)
    both = [failure(context), failure(context, id="other")]
    assert look.added(both) == both
    assert look.failures == [OUT_OF_BUDGET]


def test_of_a_large_folder_the_surroundings_of_what_a_finding_names_are_shown(
    context: RlmContext, files: SourceFiles
) -> None:
    for number in range(60):
        lines = "".join(f"x{n} = {n}\n" for n in range(200))
        (files.root / f"module{number}.py").write_text(lines, encoding="utf-8")
    (files.root / "limits.py").write_text("MAX_TRIES = 9\n", encoding="utf-8")
    look, model = causes(context, SourceFiles(files.root), {**PLACE, "fix": None})
    found = failure(context, cause="MAX_TRIES is too high.")
    assert look.added([found])[0].code_causes == (LINE,)
    shown = asked(model, 0)
    assert "MAX_TRIES = 9" in shown
    assert "x150 = 150" not in shown


def test_of_an_answer_whose_change_does_not_apply_the_place_is_kept(
    context: RlmContext, files: SourceFiles
) -> None:
    unfit = {**PLACE, "fix": FIX.replace("bank", "bench")}
    look, _ = causes(context, files, unfit)
    (found,) = look.added([failure(context)])
    assert (found.code_causes, found.proposed_fix) == ((LINE,), None)
