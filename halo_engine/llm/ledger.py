"""The ledger of a run: every model call and every turn of the loop, stored before the next one.

Tables of a SQLite file, committed after every write, so that a killed process loses nothing that was
paid for. They are the cache of answers, the record of what was spent, and the checkpoint to resume
from.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import orjson

from halo_engine.findings import Billing
from halo_engine.llm.budget import Spend
from halo_engine.llm.chat import ChatMessage, Completion
from halo_engine.sqlite_files import Schema, open_sqlite, storage_errors, transaction

LEDGER_1 = """
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, key TEXT NOT NULL, purpose TEXT NOT NULL,
    model TEXT NOT NULL, usd REAL, prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL, answer TEXT, error TEXT);
CREATE INDEX IF NOT EXISTS calls_by_key ON calls (key);
CREATE TABLE IF NOT EXISTS steps (turn INTEGER PRIMARY KEY, state TEXT NOT NULL, session BLOB);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)
"""
# What a call asked for was not recorded before: what it was charged, which was never more, takes its
# place. The limits that an analysis ended under are a part of its state from here on.
LEDGER_2 = """
ALTER TABLE calls ADD COLUMN max_prompt_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN max_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN status TEXT NOT NULL DEFAULT 'sent';
ALTER TABLE calls ADD COLUMN is_uncounted INTEGER NOT NULL DEFAULT 0;
UPDATE calls SET max_prompt_tokens = prompt_tokens, max_tokens = completion_tokens, status =
    CASE WHEN answer IS NOT NULL THEN
        CASE json_extract(answer, '$.finish_reason') WHEN 'length' THEN 'cut'
            WHEN 'content_filter' THEN 'withheld' ELSE 'whole' END
    WHEN prompt_tokens = 0 THEN 'refused' WHEN error IS NULL THEN 'sent' ELSE 'lost' END;
UPDATE steps SET state = json_set(state, '$.limits',
    json((SELECT value FROM facts WHERE name = 'limits')))
    WHERE EXISTS (SELECT 1 FROM facts WHERE name = 'limits');
DELETE FROM facts WHERE name = 'limits';
UPDATE facts SET name = 'request' WHERE name = 'asked';
UPDATE facts SET name = 'nonce' WHERE name = 'frame'
"""
LEDGER_3 = "ALTER TABLE calls ADD COLUMN cached_tokens INTEGER NOT NULL DEFAULT 0"
# An analysis became several loops, each a part of it; what was before is its main part.
LEDGER_4 = """
ALTER TABLE calls ADD COLUMN part TEXT NOT NULL DEFAULT '';
ALTER TABLE steps RENAME TO steps_of_one_loop;
CREATE TABLE steps (part TEXT NOT NULL, turn INTEGER NOT NULL, state TEXT NOT NULL, session BLOB,
    PRIMARY KEY (part, turn));
INSERT INTO steps SELECT '', turn, state, session FROM steps_of_one_loop;
DROP TABLE steps_of_one_loop
"""
LEDGER = Schema("ledger", (LEDGER_1, LEDGER_2, LEDGER_3, LEDGER_4), "Begin a new run.")
# The part of an analysis that gives out the others.
MAIN = ""

# The stored answer to a call, if there is one: rather a whole one than one with less to use, and of
# those that were cut the one with the most room.
ANSWER = """
SELECT answer, max_tokens FROM calls WHERE key = ? AND status IN ('whole', 'withheld', 'cut')
ORDER BY status = 'whole' DESC, status = 'withheld' DESC, max_tokens DESC LIMIT 1
"""
SPENT = """
SELECT purpose, CASE WHEN count(usd) = count(*) THEN sum(usd) END, sum(prompt_tokens),
    sum(completion_tokens), count(*), sum(cached_tokens)
FROM calls WHERE status <> 'refused' AND part = coalesce(?, part) GROUP BY purpose ORDER BY purpose
"""
BILLING = """
SELECT sum(prompt_tokens > max_prompt_tokens OR completion_tokens > max_tokens),
    sum(max(0, prompt_tokens - max_prompt_tokens) + max(0, completion_tokens - max_tokens)),
    sum(is_uncounted), sum(status IN ('sent', 'lost')), sum(status = 'cut')
FROM calls WHERE status <> 'refused'
"""


class CallStatus(StrEnum):
    """What became of a call: the ``AnswerStatus`` of its answer, or why it has none.

    ``SENT``: its process was ended before the answer came. ``REFUSED``: the provider rejected it, or
    it was not sent, which costs nothing. ``LOST``: it was sent, and no complete answer came.
    """

    SENT = "sent"
    WHOLE = "whole"
    CUT = "cut"
    WITHHELD = "withheld"
    BROKEN = "broken"
    REFUSED = "refused"
    LOST = "lost"


class NewCall(NamedTuple):
    """A call that is about to be made; ``maximum`` is what is reserved for it.

    ``max_prompt_tokens`` and ``max_tokens`` are the most tokens of prompt and answer it asks for,
    ``part`` is the part of the analysis that it is made for.
    """

    key: str
    purpose: str
    model: str
    max_prompt_tokens: int
    max_tokens: int
    maximum: Spend
    part: str = MAIN


class StoredAnswer(NamedTuple):
    """An answer, and the limit of tokens that it was requested with."""

    completion: Completion
    max_tokens: int


class Checkpoint(NamedTuple):
    """The loop after ``turn``: its state as JSON, and the sandbox session if it can be dumped."""

    turn: int
    state: str
    session: bytes | None


class Ledger:
    """The ledger at ``path`` (None: in memory, for tests and single calls); thread-safe."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._db = open_sqlite(path, LEDGER)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    # -- calls -----------------------------------------------------------------------------------

    def answer(self, key: str) -> StoredAnswer | None:
        """The stored answer to the call with ``key``, if there is one.

        That may be one that was withheld, or cut: then with the most room that was tried.
        """
        row = self._one(ANSWER, key)
        return StoredAnswer(Completion.model_validate_json(row[0]), row[1]) if row else None

    def begin_call(self, call: NewCall) -> int:
        """Record a call at its maximum cost before it is made; returns its id."""
        maximum = call.maximum
        return self._write(
            "INSERT INTO calls (at, key, purpose, model, max_prompt_tokens, max_tokens, usd, "
            "prompt_tokens, completion_tokens, status, part) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(utc_now(), call.key, call.purpose, call.model),
            *(call.max_prompt_tokens, call.max_tokens),
            *(maximum.usd, maximum.prompt_tokens, maximum.completion_tokens, CallStatus.SENT),
            call.part,
        )

    def end_call(
        self,
        call_id: int,
        status: CallStatus,
        spend: Spend,
        *,
        answer: Completion | None = None,
        is_uncounted: bool = False,
        error: str | None = None,
    ) -> None:
        """Record the outcome of a call and its actual cost.

        ``is_uncounted``: the provider sent no usable token counts.
        """
        self._write(
            "UPDATE calls SET status = ?, usd = ?, prompt_tokens = ?, completion_tokens = ?, "
            "cached_tokens = ?, answer = ?, is_uncounted = ?, error = ? WHERE id = ?",
            *(status, spend.usd, spend.prompt_tokens, spend.completion_tokens, spend.cached_tokens),
            *(answer.model_dump_json() if answer else None, is_uncounted, error, call_id),
        )

    def spent(self, part: str | None = None) -> dict[str, Spend]:
        """The spend of a part (None: of all) by purpose.

        A call that was interrupted counts at its maximum cost.
        """
        return {
            purpose: Spend(
                usd=usd,
                prompt_tokens=prompt,
                completion_tokens=completion,
                calls=calls,
                cached_tokens=cached,
            )
            for purpose, usd, prompt, completion, calls, cached in self._all(SPENT, part)
        }

    def billing(self) -> Billing:
        """What in the spend is not simply what the calls asked for; without passed limits."""
        overbilled, tokens, uncounted, lost, cut = (n or 0 for n in self._all(BILLING)[0])
        return Billing(
            overbilled_calls=overbilled,
            overbilled_tokens=tokens,
            uncounted_calls=uncounted,
            lost_calls=lost,
            cut_answers=cut,
        )

    # -- checkpoints and settings ----------------------------------------------------------------

    def save_checkpoint(self, checkpoint: Checkpoint, part: str = MAIN) -> None:
        """Store the loop of a part after a turn; sessions before the previous turn are dropped."""
        self._write("INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?)", part, *checkpoint)
        self._write(
            "UPDATE steps SET session = NULL WHERE part = ? AND turn < ?", part, checkpoint.turn - 1
        )

    def last_checkpoint(self, part: str = MAIN) -> Checkpoint | None:
        """The checkpoint of the latest turn of a part."""
        row = self._one(
            "SELECT turn, state, session FROM steps WHERE part = ? ORDER BY turn DESC LIMIT 1", part
        )
        return Checkpoint(*row) if row else None

    def get_or_set(self, name: str, value: str) -> str:
        """The value stored under ``name``; ``value`` is stored if there is none."""
        self._write("INSERT OR IGNORE INTO facts VALUES (?, ?)", name, value)
        row = self._one("SELECT value FROM facts WHERE name = ?", name)
        return str(row[0]) if row else value

    def has_other_request(self, request: str) -> bool:
        """Whether an analysis with a request other than ``request`` was begun here."""
        row = self._one("SELECT value FROM facts WHERE name = 'request'")
        return row is not None and row[0] != request

    def begin_analysis(self, request: str) -> None:
        """Prepare for an analysis: checkpoints of one with another ``request`` (JSON) are deleted.

        What that one's parts spent is spent of the whole only: parts of this one have their names.
        """
        if not self.has_other_request(request):
            self.get_or_set("request", request)
            return
        with self._lock, storage_errors(self._path, LEDGER), transaction(self._db):
            self._db.execute("UPDATE facts SET value = ? WHERE name = 'request'", (request,))
            self._db.execute("DELETE FROM steps")
            self._db.execute("UPDATE calls SET part = ?", (MAIN,))

    # -- the connection --------------------------------------------------------------------------

    def _write(self, query: str, *values: object) -> int:
        with self._lock, storage_errors(self._path, LEDGER):
            return self._db.execute(query, values).lastrowid or 0

    def _one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        return next(iter(self._all(query, *values)), None)

    def _all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, storage_errors(self._path, LEDGER):
            return self._db.execute(query, values).fetchall()


def call_key(model: str, messages: Sequence[ChatMessage], max_tokens: int) -> str:
    """The cache key of a call: hexadecimal SHA-256 over everything that is sent.

    ``max_tokens`` is what the caller asks for; more room after an answer that was cut is the same
    call.
    """
    sent = [model, max_tokens, [[m.role, m.content] for m in messages]]
    return hashlib.sha256(orjson.dumps(sent)).hexdigest()


def utc_now() -> str:
    """The current time as ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat()
