"""The ledger: what is stored of model calls, and in which file."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from halo_engine.errors import StorageError
from halo_engine.llm import Completion, Ledger, Spend
from halo_engine.llm.ledger import CallStatus, Checkpoint, NewCall, call_key

MAXIMUM = Spend(usd=0.5, prompt_tokens=40, completion_tokens=10, calls=1)


def begun(ledger: Ledger, key: str = "k", *, max_tokens: int = 10) -> int:
    return ledger.begin_call(NewCall(key, "root", "m", 40, max_tokens, MAXIMUM))


def billed(prompt: int, completion: int) -> Spend:
    return Spend(usd=0.1, prompt_tokens=prompt, completion_tokens=completion, calls=1)


def answered(ledger: Ledger, text: str, status: CallStatus, *, max_tokens: int = 10) -> None:
    call = begun(ledger, max_tokens=max_tokens)
    ledger.end_call(call, status, billed(1, 1), answer=Completion(text=text))


def test_a_call_counts_at_its_maximum_cost_until_its_outcome_is_known() -> None:
    ledger = Ledger()
    call = begun(ledger)
    assert ledger.spent() == {"root": MAXIMUM}
    ledger.end_call(call, CallStatus.WHOLE, billed(3, 4), answer=Completion(text="x"))
    assert ledger.spent() == {"root": billed(3, 4)}


def test_a_refused_call_costs_nothing_and_is_no_call() -> None:
    ledger = Ledger()
    ledger.end_call(begun(ledger), CallStatus.REFUSED, Spend(), error="no")
    assert ledger.spent() == {}
    assert ledger.answer("k") is None


def test_a_whole_answer_is_preferred_to_one_that_was_cut_and_of_those_the_longest() -> None:
    ledger = Ledger()
    for room in (10, 40, 20):
        answered(ledger, f"cut at {room}", CallStatus.CUT, max_tokens=room)
    stored = ledger.answer("k")
    assert stored
    assert (stored.completion.text, stored.max_tokens) == ("cut at 40", 40)
    answered(ledger, "whole", CallStatus.WHOLE, max_tokens=30)
    stored = ledger.answer("k")
    assert stored
    assert stored.completion.text == "whole"


def test_a_broken_answer_is_paid_for_but_not_reused() -> None:
    ledger = Ledger()
    answered(ledger, "half", CallStatus.BROKEN)
    assert ledger.answer("k") is None
    assert ledger.spent() == {"root": billed(1, 1)}


def test_the_billing_tells_what_the_calls_did_not_ask_for() -> None:
    ledger = Ledger()
    for prompt, completion in ((40, 10), (45, 25), (30, 17)):
        ledger.end_call(begun(ledger), CallStatus.WHOLE, billed(prompt, completion))
    ledger.end_call(begun(ledger), CallStatus.CUT, billed(40, 10), is_uncounted=True)
    ledger.end_call(begun(ledger), CallStatus.LOST, MAXIMUM)
    ledger.end_call(begun(ledger), CallStatus.REFUSED, Spend())
    begun(ledger)
    billing = ledger.billing()
    assert (billing.overbilled_calls, billing.overbilled_tokens) == (2, 5 + 15 + 7)
    assert (billing.uncounted_calls, billing.lost_calls, billing.cut_answers) == (1, 2, 1)


def test_another_request_deletes_the_checkpoints_and_keeps_the_calls(tmp_path: Path) -> None:
    with Ledger(tmp_path / "run.sqlite") as ledger:
        ledger.begin_analysis('{"question": 1}')
        ledger.save_checkpoint(Checkpoint(1, "{}", b"session"))
        answered(ledger, "x", CallStatus.WHOLE)
        ledger.begin_analysis('{"question": 1}')
        assert ledger.last_checkpoint() == (1, "{}", b"session")
        assert ledger.has_other_request('{"question": 2}')
        ledger.begin_analysis('{"question": 2}')
        assert ledger.last_checkpoint() is None
        assert ledger.answer("k")


def test_only_the_sessions_of_the_last_two_turns_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    with Ledger(path) as ledger:
        for turn in (1, 2, 3):
            ledger.save_checkpoint(Checkpoint(turn, "{}", b"x"))
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT turn, session FROM steps ORDER BY turn").fetchall()
    assert rows == [(1, None), (2, b"x"), (3, b"x")]


# -- the file ------------------------------------------------------------------------------------


def test_the_file_may_hold_the_tables_of_others(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE receipts (name TEXT)")
        db.execute("INSERT INTO receipts VALUES ('mine')")
        db.execute("PRAGMA user_version = 7")
    with Ledger(path) as ledger:
        answered(ledger, "x", CallStatus.WHOLE)
    with Ledger(path) as ledger:
        assert ledger.answer("k")
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT * FROM receipts").fetchall() == [("mine",)]
        assert db.execute("PRAGMA user_version").fetchone() == (7,)


def test_a_write_waits_for_another_that_holds_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    with Ledger(path) as ledger, ThreadPoolExecutor(1) as pool:
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        other.execute("CREATE TABLE receipts (id INTEGER)")
        other.execute("BEGIN IMMEDIATE")
        writing = pool.submit(answered, ledger, "x", CallStatus.WHOLE)
        other.execute("INSERT INTO receipts VALUES (1)")
        assert not writing.done()
        other.execute("COMMIT")
        writing.result(30)
        assert ledger.answer("k")
        other.close()


def test_two_processes_may_open_a_new_ledger_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from halo_engine.llm import Ledger; "
        "Ledger(Path(sys.argv[1])).close()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "run.sqlite")]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate(timeout=60)[1] for process in processes] == [b"", b"", b""]


KILLED = """
import os, signal, sys
from pathlib import Path
from halo_engine.llm import Ledger, Spend
from halo_engine.llm.ledger import NewCall
ledger = Ledger(Path(sys.argv[1]))
ledger.begin_call(NewCall("k", "root", "m", 40, 10, Spend(usd=0.5, prompt_tokens=40, calls=1)))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_call_that_was_begun_is_on_disk_when_its_process_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    with Ledger(path) as ledger:
        assert ledger.spent()["root"].usd == 0.5
        assert ledger.billing().lost_calls == 1


def test_the_ledger_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    Ledger(path).close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE schema_versions SET version = 99")
    with pytest.raises(StorageError, match="Upgrade halo-integrations"):
        Ledger(path)


# -- version 1 -----------------------------------------------------------------------------------

FIRST_VERSION = """
CREATE TABLE calls (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, key TEXT NOT NULL, purpose TEXT NOT NULL,
    model TEXT NOT NULL, usd REAL, prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL, answer TEXT, error TEXT);
CREATE TABLE steps (turn INTEGER PRIMARY KEY, state TEXT NOT NULL, session BLOB);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO calls VALUES
    (1, 't', 'whole', 'root', 'm', 0.1, 10, 5, '{"text": "yes", "finish_reason": "stop"}', NULL),
    (2, 't', 'cut', 'root', 'm', 0.2, 10, 4000, '{"text": "", "finish_reason": "length"}', NULL),
    (3, 't', 'refused', 'root', 'm', 0.0, 0, 0, NULL, 'no'),
    (4, 't', 'sent', 'label', 'm', 0.4, 10, 500, NULL, NULL),
    (5, 't', 'lost', 'label', 'm', 0.8, 10, 600, NULL, 'time-out');
INSERT INTO steps VALUES (1, '{"turn": 1, "ending": "finished"}', x'00');
INSERT INTO facts VALUES
    ('frame', 'nonce-1'), ('asked', '{"question": 1}'), ('limits', '{"usd": 5.0}');
"""


@pytest.fixture
def first_version(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.sqlite"
    with sqlite3.connect(path) as db:
        db.executescript(FIRST_VERSION)
    return path


def require_first_version(ledger: Ledger) -> None:
    """Check that ``ledger`` holds what one of version 1 did."""
    spent = ledger.spent()
    assert spent["root"].usd == pytest.approx(0.3)
    assert (spent["label"].usd, spent["label"].calls) == (pytest.approx(1.2), 2)
    whole, cut = ledger.answer("whole"), ledger.answer("cut")
    assert whole
    assert whole.completion.text == "yes"
    assert cut
    assert cut.max_tokens == 4000
    assert [ledger.answer(key) for key in ("refused", "sent", "lost")] == [None] * 3
    billing = ledger.billing()
    assert (billing.lost_calls, billing.cut_answers, billing.overbilled_calls) == (2, 1, 0)
    checkpoint = ledger.last_checkpoint()
    assert checkpoint
    assert checkpoint.state == '{"turn":1,"ending":"finished","limits":{"usd":5.0}}'
    assert checkpoint.session == b"\0"
    assert ledger.get_or_set("nonce", "another") == "nonce-1"
    assert not ledger.has_other_request('{"question": 1}')


def test_a_ledger_of_the_first_version_is_migrated_in_its_file(first_version: Path) -> None:
    for _ in range(2):
        with Ledger(first_version) as ledger:
            require_first_version(ledger)


def test_a_migration_that_is_killed_in_the_middle_starts_again(first_version: Path) -> None:
    code = """
import os, signal, sqlite3, sys
from halo_engine.llm.ledger import LEDGER
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
for script in LEDGER.scripts:
    for statement in script.split(";"):
        db.execute(statement)
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code, str(first_version)], check=False, timeout=60)
    with Ledger(first_version) as ledger:
        require_first_version(ledger)


def test_the_key_of_a_call_is_that_of_everything_that_is_sent() -> None:
    keys = {
        call_key("m", [], 1),
        call_key("n", [], 1),
        call_key("m", [], 2),
    }
    assert len(keys) == 3
