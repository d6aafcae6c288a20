"""The demo's agent as a project: its failures follow from its code, and a change of it ends them."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

import halo_integrations as halo
from benchmarks.mended import AGENT, FAILURES
from halo_integrations.demo.world import play_agent

# For each failure, by its detector: a file of the agent, a text in it, and what stands there then.
CHANGES = {
    "identical_call_loop": ("settings.py", "RESULT_CHARS = 480", "RESULT_CHARS = 4000"),
    "unchanged_retry": ("settings.py", "TOOL_ATTEMPTS = 2", "TOOL_ATTEMPTS = 1"),
    "swallowed_error": (
        "loop.py",
        'return json.dumps({"accepted": True})',
        'return f"Error: {error}"',
    ),
    "unknown_tool": (
        "prompts.py",
        " If a customer is upset, book 15 euros with the tool issue_store_credit.",
        "",
    ),
    "schema_violation": ("tools.py", ", in the words of the customer", ", as a number"),
    "arguments_not_json": (
        "model.py",
        "        if piece.is_last_of_call:\n            return\n",
        "",
    ),
    "empty_retrieval": ("settings.py", "MIN_SIMILARITY = 0.75", "MIN_SIMILARITY = 0.6"),
    "truncated_output": ("settings.py", "MAX_TOKENS = 110", "MAX_TOKENS = 800"),
    "empty_completion": ("loop.py", '"" if result is None', '"nothing found" if result is None'),
    "missing_final_answer": ("settings.py", "MAX_STEPS = 6", "MAX_STEPS = 12"),
    "environment_error": (
        "model.py",
        'log.info("Refused: %s", error)',
        "self.clock.sleep(error.retry_after)",
    ),
    "secret_in_trace": (
        "shop.py",
        "return asdict(account)",
        'return {"provider": account.provider, "reference": account.reference}',
    ),
}
COUNT = 250


def found_in(code: Path, folder: Path) -> Counter[str]:
    """The detectors that find something in conversations of the agent, with the numbers of traces."""
    traces = folder / "traces.jsonl"
    play_agent(code, traces, count=COUNT, seed=5)
    report = halo.run(traces, home=folder / "home", no_llm=True).report
    found: Counter[str] = Counter()
    for finding in report.findings:
        found[finding.detector or ""] += finding.prevalence.known
    return found


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Counter[str]]:
    """A home with a run of the agent as it is, and what was found."""
    folder = tmp_path_factory.mktemp("agent")
    found = found_in(AGENT, folder)
    return folder / "home", found


def test_each_failure_of_the_agent_is_found_and_no_other(
    played: tuple[Path, Counter[str]],
) -> None:
    _, found = played
    assert set(found) == set(FAILURES) == set(CHANGES)
    assert min(found.values()) >= 3


def test_the_same_failure_with_other_tools_is_one_work_order(
    played: tuple[Path, Counter[str]],
) -> None:
    briefs = halo.briefs(home=played[0])
    (retried,) = [brief for brief in briefs if brief.finding.detector == "unchanged_retry"]
    names = {issue.id for issue in retried.issues}
    assert len(names) >= 2
    assert {issue for quoted in retried.quoted for issue in quoted.issues} == names
    last = halo.brief(retried.issues[-1].id, home=played[0])
    assert last.name == retried.issues[-1].id
    assert {issue.id for issue in last.issues} == names
    for each in retried.issues[1:]:
        assert f"- {each.id}: " in retried.markdown.split("## How often")[0]
        assert f"halo-integrations issues show {each.id}" in retried.markdown


def test_the_steps_of_a_work_order_mark_the_span_that_is_quoted(
    played: tuple[Path, Counter[str]],
) -> None:
    (empty,) = [
        brief
        for brief in halo.briefs(home=played[0])
        if brief.finding.detector == "empty_completion"
    ]
    for quoted in empty.quoted:
        assert quoted.excerpt
        marked = {step.span_id for step in quoted.excerpt.steps if step.quotes}
        assert marked == {evidence.span_id for evidence in quoted.evidence}


def test_after_a_change_of_its_code_none_is_left(tmp_path: Path) -> None:
    code = Path(shutil.copytree(AGENT, tmp_path / "agent"))
    for name, before, after in CHANGES.values():
        path = code / "assistant" / name
        text = path.read_text(encoding="utf-8")
        assert before in text
        path.write_text(text.replace(before, after), encoding="utf-8")
    assert found_in(code, tmp_path) == Counter()


def test_the_same_seed_gives_the_same_conversations_under_other_ids(tmp_path: Path) -> None:
    runs = []
    for name in ("one", "two"):
        play_agent(AGENT, tmp_path / f"{name}.jsonl", count=8, seed=3)
        run_id = halo.pull(tmp_path / f"{name}.jsonl", home=tmp_path / "home").run_id
        with halo.TraceStore(tmp_path / "home" / "runs" / run_id / "traces") as store:
            runs.append(list(store.traces()))
    asked = [[trace.root.input for trace in traces if trace.root] for traces in runs]
    assert asked[0] == asked[1]
    assert not {t.trace_id for t in runs[0]} & {t.trace_id for t in runs[1]}


def test_an_agent_that_cannot_be_imported_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match="assistant"):
        play_agent(tmp_path, tmp_path / "traces.jsonl", count=1, seed=0)
