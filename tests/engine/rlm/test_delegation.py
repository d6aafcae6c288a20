"""Investigations that the root gives out, with scripted models and real sandboxes."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from analyses import Analysis, Tree
from halo_engine.comparison import ComparedCorpus
from halo_engine.comparison.segments import MIN_SEGMENT_RUNS
from halo_engine.errors import ModelFailed, SandboxLost
from halo_engine.findings import AnalysisEnding, Report
from halo_engine.llm import Budget, Ledger, Limits, ModelClient
from halo_engine.llm.ledger import Checkpoint
from halo_engine.rlm.delegation import DELEGATED_SHARE, LEAST_USAGE, PART_TURNS, Delegation
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.events import EventLog
from halo_engine.rlm.host import Host
from halo_engine.rlm.host.delegate import Assignment, NamedAssignment
from halo_engine.rlm.host.results import MAX_CANDIDATES
from halo_engine.rlm.investigation import EXPLORE_SHARE
from halo_engine.rlm.loop import LoopState
from halo_engine.rlm.opening import Scope
from halo_engine.rlm.sandbox.base import Sandbox
from halo_engine.rlm.sandbox.monty import MontySandbox
from halo_engine.rlm.survey import Survey
from halo_engine.store import TraceStore
from halo_integrations.testing import ScriptedModel
from model_endpoint import code
from rlm_context import OPENING
from shop import shop_run

GIVE_OUT = code(
    "r = investigate([{'segment': s, 'question': 'What fails in ' + s + '?'} for s in ('S1', 'S2')])",
    "for x in r: print(x)",
)
SECRET = "canary-of-a-part"


def submitting(who: str, title: str | None = None, limit: int = 2) -> str:
    """The code that submits that the tool of an agent refuses."""
    return code(
        f"h = search('refused by {who}', field='output', limit={limit})",
        f"print('{SECRET}')",
        f"print(submit_finding(title='{title or f'The {who} is refused'}', summary='s', cause='c',",
        "    failure_mode='tool_error_mishandled', recommendation='r', impact='wrong_outcome',",
        f"    evidence=[{{'span': x['span'], 'quote': 'refused by {who}'}} for x in h],",
        f"    check={{'pattern': 'refused by {who}', 'field': 'output'}}))",
    )


CLERK, PILOT = submitting("clerk"), submitting("pilot")


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two agents, each of whose tools refuse every other time."""
    path = tmp_path_factory.mktemp("two") / "traces"
    with TraceStore(path) as store:
        store.ingest(
            shop_run(
                100 * place + n,
                f"Please do number {n}.",
                ("act", {"n": n}, f"refused by {who}" if n % 2 else "done"),
                name=who,
            )
            for place, who in enumerate(("clerk", "pilot"))
            for n in range(1, MIN_SEGMENT_RUNS + 3 - place)
        )
    return path


@pytest.fixture
def analysis(traces: Path) -> Iterator[Analysis]:
    with TraceStore(traces, read_only=True) as store:
        yield Analysis(store, Ledger())


def titles(report: Report) -> list[str]:
    return sorted(finding.title for finding in report.findings if finding.model)


BOTH = ["The clerk is refused", "The pilot is refused"]


def test_segments_are_investigated_side_by_side_and_their_findings_are_those_of_the_root(
    analysis: Analysis,
) -> None:
    together = threading.Barrier(2, timeout=30)

    def met(turn: str) -> Callable[[], str]:
        def answer() -> str:
            together.wait()
            return turn

        return answer

    tree = Tree([GIVE_OUT], {"S1": [met(CLERK)], "S2": [met(PILOT)]})
    report = analysis.run(tree)
    assert not together.broken
    assert titles(report) == BOTH
    assert report.analysis
    assert report.analysis.ending is AnalysisEnding.FINISHED
    assert report.analysis.investigations == 2
    assert not report.failures


def test_the_root_gets_findings_under_new_ids_with_their_counts_and_no_transcript(
    analysis: Analysis,
) -> None:
    tree = Tree([GIVE_OUT, code("print(findings())")], {"S1": [CLERK], "S2": [PILOT]})
    analysis.run(tree)
    replies = tree.replies()
    assert "'id': 'F1', 'title': 'The clerk is refused'" in replies
    assert "'id': 'F2', 'title': 'The pilot is refused'" in replies
    assert f"'holds_in': {MIN_SEGMENT_RUNS // 2 + 1}" in replies
    assert "'summary': 'all said'" in replies
    assert SECRET in tree.replies("S1")
    assert SECRET not in replies


def test_an_investigation_is_told_its_segment_its_question_and_its_turns(
    analysis: Analysis,
) -> None:
    tree = Tree([GIVE_OUT], {})
    analysis.run(tree)
    system, opening = tree.prompts("S2")[0]
    assert f"You have at most {PART_TURNS} turns" in system.content
    assert "The question: What fails in S2?" in opening.content
    assert '"segment":"S2"' in opening.content
    assert '"segment":"S1"' not in opening.content


def test_the_report_has_a_hash_of_each_prompt_that_is_given(analysis: Analysis) -> None:
    report = analysis.run(Tree())
    assert report.analysis
    assert {"analyst", "manual", "delegate", "survey"} <= report.analysis.prompts.keys()


def test_each_investigation_has_its_share_of_what_is_left(analysis: Analysis) -> None:
    look = code("print('left:', budget()['tokens_left'])")
    tokens = 1_000_000
    tree = Tree([look, GIVE_OUT], {"S1": [look], "S2": [look]})
    analysis.run(tree, Limits(tokens=tokens))
    left = [int(re.findall(r"left: (\d+)", tree.replies(s))[0]) for s in ("S1", "S2")]
    most = tokens * EXPLORE_SHARE * DELEGATED_SHARE / 2
    assert all(0.7 * most < amount < most for amount in left), left


def test_an_investigation_that_spends_all_of_its_share_leaves_the_others_and_the_root_theirs(
    analysis: Analysis,
) -> None:
    greedy = [code(f"note('{n}')\nprint('word ' * 5000)") for n in range(99)]
    tree = Tree([GIVE_OUT], {"S1": greedy, "S2": [PILOT]})
    report = analysis.run(tree, Limits(tokens=400_000))
    assert report.analysis
    assert report.analysis.ending is AnalysisEnding.FINISHED
    assert titles(report) == ["The pilot is refused"]
    assert "'ended': 'the budget is nearly spent'" in tree.replies()
    assert analysis.ledger.spent("I1")["root"].tokens <= 400_000 * DELEGATED_SHARE / 2


@pytest.mark.parametrize("ends_at", [1, 2, 3, 4, 5, 6])
def test_an_analysis_interrupted_at_any_call_is_resumed_and_pays_for_no_answer_twice(
    ends_at: int, traces: Path, tmp_path: Path
) -> None:
    parts = {"S1": [code("kept = 1"), CLERK], "S2": [code("kept = 1"), PILOT]}
    first, again = Tree([GIVE_OUT], parts, ends_at=ends_at), Tree([GIVE_OUT], parts)
    with TraceStore(traces, read_only=True) as store:
        with Ledger(tmp_path / "run.sqlite") as ledger, pytest.raises(KeyboardInterrupt):
            Analysis(store, ledger).run(first)
        with Ledger(tmp_path / "run.sqlite") as ledger:
            report = Analysis(store, ledger).run(again)
    assert titles(report) == BOTH
    paid = Counter(
        tuple(m.content for m in messages)
        for messages in first.model.requests + again.model.requests
    )
    assert sum(paid.values()) - len(paid) == 1  # the call that was interrupted
    assert len(first.asked) + len(again.asked) == 2 + 3 + 3 + 1


def test_after_an_interrupt_no_investigation_goes_on(analysis: Analysis) -> None:
    begun = threading.Barrier(2, timeout=30)

    def interrupted() -> str:
        begun.wait()
        raise KeyboardInterrupt

    def going_on() -> str:
        begun.wait()
        stopped.wait(2)
        return code("note('one more')")

    stopped = threading.Event()
    tree = Tree([GIVE_OUT], {"S1": [interrupted], "S2": [going_on, *[code("print(1)")] * 9]})
    with pytest.raises(KeyboardInterrupt):
        analysis.run(tree)
    assert [turn for segment, turn in tree.asked if segment == "S2"] == [0]


def test_an_unknown_segment_is_refused_before_anything_is_run(analysis: Analysis) -> None:
    wrong = code("investigate([{'segment': 'S9', 'question': 'What?'}])")
    tree = Tree([wrong], {})
    report = analysis.run(tree)
    assert "There is no segment 'S9': S1, S2." in tree.replies()
    assert report.analysis
    assert report.analysis.investigations == 0
    assert {segment for segment, _ in tree.asked} == {""}


def test_an_investigation_gives_out_none(analysis: Analysis) -> None:
    deeper = code("investigate([{'segment': 'S1', 'question': 'And this?'}])")
    tree = Tree([GIVE_OUT], {"S1": [deeper], "S2": []})
    report = analysis.run(tree)
    assert "name 'investigate' is not defined" in tree.replies("S1")
    assert "## Investigations" in tree.prompts()[0][0].content
    assert "## Investigations" not in tree.prompts("S1")[0][0].content
    assert report.analysis
    assert report.analysis.investigations == 2


def test_a_finding_that_the_root_drops_is_reported_as_rejected_with_its_reason(
    analysis: Analysis,
) -> None:
    drop = code("drop_finding('F1', 'it is a part of <b>F2</b>')", "drop_finding('F9', 'x')")
    tree = Tree([GIVE_OUT, drop], {"S1": [CLERK], "S2": [PILOT]})
    report = analysis.run(tree)
    assert titles(report) == ["The pilot is refused"]
    assert report.analysis
    (rejected,) = report.analysis.rejected
    assert rejected.title == "The clerk is refused"
    assert rejected.reason == "it is a part of ‹b›F2‹/b›"
    assert "There is no finding 'F9'" in tree.replies()


def test_an_id_is_given_once_though_its_finding_was_dropped(analysis: Analysis) -> None:
    tree = Tree(
        [
            GIVE_OUT,
            code("drop_finding('F1', 'wrong')", "drop_finding('F2', 'wrong')"),
            submitting("clerk", "Another one"),
            code("print([f['id'] for f in findings()])"),
        ],
        {"S1": [CLERK], "S2": [PILOT]},
    )
    analysis.run(tree)
    assert "['F3']" in tree.replies()


def test_every_event_says_which_investigation_it_is_of(analysis: Analysis) -> None:
    analysis.run(Tree([GIVE_OUT], {"S1": [CLERK], "S2": [PILOT]}))
    kinds = {
        part: [e.kind.value for e in analysis.events if e.part == part] for part in ("I1", "I2")
    }
    course = ["started", "answered", "ran", "submitted", "answered", "ran", "ended"]
    assert kinds == {"I1": course, "I2": course}
    of_root = [e.kind.value for e in analysis.events if not e.part]
    before_turns = [kind for kind in of_root if kind != "read"]
    assert before_turns[:3] == ["compared", "surveyed", "started"]
    assert {e.part for e in analysis.events} == {"", "I1", "I2"}


def test_an_investigation_whose_model_fails_ends_neither_the_others_nor_the_root(
    analysis: Analysis,
) -> None:
    def failing() -> str:
        raise ModelFailed("the key has expired")

    tree = Tree([GIVE_OUT], {"S1": [CLERK, failing], "S2": [PILOT]})
    report = analysis.run(tree)
    assert "'ended': 'the key has expired'" in tree.replies()
    assert titles(report) == BOTH  # what it found before
    assert report.analysis
    assert report.analysis.ending is AnalysisEnding.FINISHED


def test_an_investigation_that_cannot_be_begun_is_a_failure_in_the_report_and_ends_nothing_else(
    analysis: Analysis,
) -> None:
    made: list[Sandbox] = []

    def first_is_lost() -> Sandbox:
        made.append(MontySandbox())
        if len(made) == 1:
            made[0].close()
            raise SandboxLost("there is no room for it")
        return made[-1]

    tree = Tree([GIVE_OUT], {"S1": [CLERK], "S2": [PILOT]})
    report = analysis.run(tree, new_sandbox=first_is_lost)
    assert len(titles(report)) == 1
    (failure,) = report.failures
    assert failure.where in ("investigation I1", "investigation I2")
    assert "there is no room for it" in failure.what
    assert report.analysis
    assert report.analysis.ending is AnalysisEnding.FINISHED


def test_the_same_finding_of_two_investigations_is_one_and_the_root_is_told(
    analysis: Analysis,
) -> None:
    tree = Tree([GIVE_OUT], {"S1": [CLERK], "S2": [submitting("clerk", "Refusals again")]})
    report = analysis.run(tree)
    assert len(titles(report)) == 1
    assert re.search(r"'left_out': \['[\w ]+: F1 has the same evidence'\]", tree.replies())


def test_findings_of_one_title_in_two_segments_are_two(analysis: Analysis) -> None:
    same = "The tool refuses"
    tree = Tree([GIVE_OUT], {"S1": [submitting("clerk", same)], "S2": [submitting("pilot", same)]})
    assert titles(analysis.run(tree)) == [same, same]


def test_findings_for_which_there_is_no_room_are_told_to_the_root(analysis: Analysis) -> None:
    many = code(
        "h = search('refused by', field='output', limit=30)",
        f"for n in range({MAX_CANDIDATES}):",
        "    submit_finding(title='T' + str(n), failure_mode='other', summary='s', cause='c',",
        "        recommendation='r', impact='degraded', check={'question': 'Is it?'},",
        "        evidence=[{'span': h[n % 12]['span'], 'quote': 'refused by'},",
        "            {'span': h[12 + n // 12]['span'], 'quote': 'refused by'}])",
        "print(len(findings()), 'submitted')",
    )
    tree = Tree([many, GIVE_OUT], {"S1": [CLERK], "S2": []})
    analysis.run(tree)
    assert f"{MAX_CANDIDATES} submitted" in tree.replies()
    full = f"The clerk is refused: {MAX_CANDIDATES} findings are the most there can be"
    assert full in tree.replies()


def test_quotes_that_investigations_invent_are_counted_in_the_report(analysis: Analysis) -> None:
    invented = CLERK.replace("'quote': 'refused by clerk'", "'quote': 'never said at all'")
    tree = Tree([GIVE_OUT], {"S1": [invented], "S2": [PILOT]})
    report = analysis.run(tree)
    assert report.analysis
    assert report.analysis.quotes_not_found == 2


def test_what_an_earlier_request_gave_out_limits_nothing_of_a_later_one(
    traces: Path, analysis: Analysis
) -> None:
    analysis.ledger.begin_analysis("first")
    analysis.run(Tree([GIVE_OUT], {"S1": [CLERK]}), Limits(tokens=300_000))
    analysis.ledger.begin_analysis("second")
    look = code("print('left:', budget()['tokens_left'])")
    tree = Tree([code("x = 1"), GIVE_OUT], {"S1": [look]})
    analysis.run(tree, Limits(tokens=3_000_000))
    (left,) = re.findall(r"left: (\d+)", tree.replies("S1"))
    assert int(left) > 600_000


def test_no_more_investigations_are_given_out_than_what_is_left_suffices_for(
    analysis: Analysis,
) -> None:
    tree = Tree([GIVE_OUT, GIVE_OUT.replace("S2", "S1"), CLERK], {})
    one = int(1.2 * LEAST_USAGE.total / DELEGATED_SHARE / EXPLORE_SHARE)
    report = analysis.run(tree, Limits(tokens=one))
    assert "suffices for 1 of these investigations" in tree.replies()
    assert report.analysis
    assert report.analysis.investigations == 0


def test_investigations_that_were_begun_go_on_though_too_little_is_left_for_new_ones() -> None:
    def no_host(*_: object) -> Host:
        raise ValueError("it was begun again")

    ledger = Ledger()
    ledger.save_checkpoint(
        Checkpoint(0, LoopState(conversation=OPENING).model_dump_json(), None), "I2"
    )
    client = ModelClient(Budget(Limits(calls=1)), ledger)
    model, delimiter = ScriptedModel([]), DataDelimiter("data-0")
    scope = Scope(ComparedCorpus({}, {}, {}, {}, (), {}), Survey(), {})
    give_out = Delegation(client, model, delimiter, scope, no_host, MontySandbox, EventLog())
    named = [NamedAssignment(name, Assignment(question="What fails?")) for name in ("I1", "I2")]
    assert "it was begun again" in give_out(named)[1].ending


def test_too_little_left_for_an_investigation_is_told_and_the_root_goes_on(
    analysis: Analysis,
) -> None:
    eight = code("investigate([{'segment': 'S1', 'question': str(n)} for n in range(8)])")
    tree = Tree([eight, CLERK], {})
    report = analysis.run(tree, Limits(calls=8))
    assert report.analysis
    assert "too little left for an investigation" in tree.replies()
    assert report.analysis.investigations == 0
    assert titles(report) == ["The clerk is refused"]


def test_a_corpus_of_one_segment_is_not_divided(tmp_path: Path) -> None:
    path = tmp_path / "traces"
    with TraceStore(path) as store:
        store.ingest(shop_run(n, "Help me.") for n in range(1, 4))
    tree = Tree([GIVE_OUT], {})
    with TraceStore(path, read_only=True) as store:
        Analysis(store, Ledger()).run(tree)
    assert "name 'investigate' is not defined" in tree.replies()
    assert "## Investigations" not in tree.prompts()[0][0].content


def test_the_question_to_an_investigation_is_bounded(analysis: Analysis) -> None:
    long = code("investigate([{'segment': 'S1', 'question': 'word ' * 9999}])")
    tree = Tree([long], {})
    analysis.run(tree)
    assert "at most 4000 characters" in tree.replies()
