"""The ledger of a run: every model call and every turn of the loop, stored before the next one.

Tables of a SQLite file, committed after every write, so that a killed process loses nothing. They
are the cache of answers, the record of what was spent, and the checkpoint to resume from.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import orjson

from halo_engine.llm.budget import Spend
from halo_engine.llm.chat import ChatMessage, Completion
from halo_engine.sqlite_files import Schema, open_sqlite, storage_errors

LEDGER_1 = """
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, key TEXT NOT NULL, purpose TEXT NOT NULL,
    model TEXT NOT NULL, usd REAL, prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL, answer TEXT, error TEXT);
CREATE INDEX IF NOT EXISTS calls_by_key ON calls (key);
CREATE TABLE IF NOT EXISTS steps (turn INTEGER PRIMARY KEY, state TEXT NOT NULL, session BLOB);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)
"""
LEDGER = Schema("ledger", (LEDGER_1,), "Begin a new run.")


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

    def answer(self, key: str) -> Completion | None:
        """The stored answer to the call with ``key``, if there is one."""
        row = self._one(
            "SELECT answer FROM calls WHERE key = ? AND answer IS NOT NULL LIMIT 1", key
        )
        return Completion.model_validate_json(row[0]) if row else None

    def begin_call(self, key: str, purpose: str, model: str, maximum: Spend) -> int:
        """Record a call at its ``maximum`` cost before it is made; returns its id."""
        return self._write(
            "INSERT INTO calls (at, key, purpose, model, usd, prompt_tokens, completion_tokens) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(utc_now(), key, purpose, model),
            *(maximum.usd, maximum.prompt_tokens, maximum.completion_tokens),
        )

    def end_call(
        self,
        call_id: int,
        spend: Spend,
        *,
        answer: Completion | None = None,
        error: str | None = None,
    ) -> None:
        """Record the outcome of a call and its actual cost."""
        self._write(
            "UPDATE calls SET usd = ?, prompt_tokens = ?, completion_tokens = ?, answer = ?, "
            "error = ? WHERE id = ?",
            spend.usd,
            spend.prompt_tokens,
            spend.completion_tokens,
            answer.model_dump_json() if answer else None,
            error,
            call_id,
        )

    def spent(self) -> dict[str, Spend]:
        """The spend by purpose; a call that was interrupted counts at its maximum cost."""
        rows = self._all(
            "SELECT purpose, CASE WHEN count(usd) = count(*) THEN sum(usd) END, "
            "sum(prompt_tokens), sum(completion_tokens), count(*) FROM calls "
            "WHERE prompt_tokens > 0 GROUP BY purpose ORDER BY purpose"
        )
        return {
            purpose: Spend(usd=usd, prompt_tokens=prompt, completion_tokens=completion, calls=calls)
            for purpose, usd, prompt, completion, calls in rows
        }

    # -- checkpoints and settings ----------------------------------------------------------------

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Store the loop after a turn; sessions of turns before the previous one are dropped."""
        self._write("INSERT OR REPLACE INTO steps VALUES (?, ?, ?)", *checkpoint)
        self._write("UPDATE steps SET session = NULL WHERE turn < ?", checkpoint.turn - 1)

    def last_checkpoint(self) -> Checkpoint | None:
        """The checkpoint of the latest turn."""
        row = self._one("SELECT turn, state, session FROM steps ORDER BY turn DESC LIMIT 1")
        return Checkpoint(*row) if row else None

    def get_or_set(self, name: str, value: str) -> str:
        """The value stored under ``name``; ``value`` is stored if there is none."""
        self._write("INSERT OR IGNORE INTO facts VALUES (?, ?)", name, value)
        row = self._one("SELECT value FROM facts WHERE name = ?", name)
        return str(row[0]) if row else value

    def has_other_request(self, request: str) -> bool:
        """Whether an analysis with a request other than ``request`` was begun here."""
        row = self._one("SELECT value FROM facts WHERE name = 'asked'")
        return row is not None and row[0] != request

    def begin_analysis(self, request: str, limits: str) -> None:
        """Prepare the checkpoints for an analysis; ``request`` and ``limits`` are JSON.

        Checkpoints of an analysis with another request are deleted. If only the limits changed,
        the ending is cleared, so that an analysis that a limit ended continues.
        """
        self._replace("asked", request, "DELETE FROM steps")
        self._replace(
            "limits",
            limits,
            "UPDATE steps SET state = json_set(state, '$.ending', NULL, '$.ending_detail', '', "
            "'$.closing', json('false'), '$.idle', 0)",
        )

    def _replace(self, name: str, value: str, on_change: str) -> None:
        """Store ``value`` under ``name``; execute ``on_change`` if it replaces another value."""
        before = self.get_or_set(name, value)
        if before != value:
            self._write("UPDATE facts SET value = ? WHERE name = ?", value, name)
            self._write(on_change)

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
    """The cache key of a call: hexadecimal SHA-256 over everything that is sent."""
    sent = [model, max_tokens, [[m.role, m.content] for m in messages]]
    return hashlib.sha256(orjson.dumps(sent)).hexdigest()


def utc_now() -> str:
    """The current time as ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat()
