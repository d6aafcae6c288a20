"""The ledger of a run: every call of a model and every step, on disk before the next one.

One SQLite file. Its log is written through to the operating system with every commit, so a killed
process loses nothing.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from halo_engine.llm.budget import Spent
from halo_engine.llm.chat import ChatMessage, Completion

SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, key TEXT NOT NULL, purpose TEXT NOT NULL,
    model TEXT NOT NULL, usd REAL, prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL, answer TEXT, error TEXT);
CREATE INDEX IF NOT EXISTS calls_by_key ON calls (key);
CREATE TABLE IF NOT EXISTS steps (turn INTEGER PRIMARY KEY, state TEXT NOT NULL, session BLOB);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Ledger:
    """The ledger at ``path`` (None: in memory, for tests and one-off calls); thread-safe."""

    def __init__(self, path: Path | None = None) -> None:
        self._db = sqlite3.connect(path or ":memory:", check_same_thread=False)
        self._lock = threading.Lock()
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(SCHEMA)

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
        """Let the file go."""
        self._db.close()

    # -- calls -----------------------------------------------------------------------------------

    def answer(self, key: str) -> Completion | None:
        """The answer that a call with ``key`` got."""
        row = self._one(
            "SELECT answer FROM calls WHERE key = ? AND answer IS NOT NULL LIMIT 1", key
        )
        return Completion.model_validate_json(row[0]) if row else None

    def begin(self, key: str, purpose: str, model: str, most: Spent) -> int:
        """Note a call before it is made, at the most that it can cost; returns its number."""
        values = (now(), key, purpose, model, most.usd, most.prompt_tokens, most.completion_tokens)
        return self._write(
            "INSERT INTO calls (at, key, purpose, model, usd, prompt_tokens, completion_tokens) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            *values,
        )

    def end(
        self, call: int, used: Spent, *, answer: Completion | None = None, error: str | None = None
    ) -> None:
        """Note what came of a call, and what it cost."""
        self._write(
            "UPDATE calls SET usd = ?, prompt_tokens = ?, completion_tokens = ?, answer = ?, "
            "error = ? WHERE id = ?",
            used.usd,
            used.prompt_tokens,
            used.completion_tokens,
            answer.model_dump_json() if answer else None,
            error,
            call,
        )

    def spent(self) -> dict[str, Spent]:
        """What was spent, by purpose; a call that was cut off counts with the most it can cost."""
        rows = self._all(
            "SELECT purpose, CASE WHEN count(usd) = count(*) THEN sum(usd) END, "
            "sum(prompt_tokens), sum(completion_tokens), count(*) FROM calls "
            "WHERE prompt_tokens > 0 GROUP BY purpose ORDER BY purpose"
        )
        return {
            purpose: Spent(usd=usd, prompt_tokens=prompt, completion_tokens=completion, calls=calls)
            for purpose, usd, prompt, completion, calls in rows
        }

    # -- steps and facts -------------------------------------------------------------------------

    def save_step(self, turn: int, state: str, session: bytes | None) -> None:
        """Keep where the loop is after ``turn``: ``state`` as JSON, the sandbox's own dump."""
        self._write("INSERT OR REPLACE INTO steps VALUES (?, ?, ?)", turn, state, session)
        self._write("UPDATE steps SET session = NULL WHERE turn < ?", turn - 1)

    def last_step(self) -> tuple[int, str, bytes | None] | None:
        """Turn, state and dump of the newest step."""
        row = self._one("SELECT turn, state, session FROM steps ORDER BY turn DESC LIMIT 1")
        return (row[0], row[1], row[2]) if row else None

    def fact(self, name: str, value: str) -> str:
        """What was first kept under ``name``: ``value`` unless there is something."""
        self._write("INSERT OR IGNORE INTO facts VALUES (?, ?)", name, value)
        row = self._one("SELECT value FROM facts WHERE name = ?", name)
        return str(row[0]) if row else value

    def asked_before(self, asked: str) -> bool:
        """Whether an analysis began here that was asked something other than ``asked``."""
        row = self._one("SELECT value FROM facts WHERE name = 'asked'")
        return row is not None and row[0] != asked

    def begin_analysis(self, asked: str, limits: str) -> None:
        """Forget the steps of an analysis that was asked something else; reopen a stopped one.

        An analysis that some limit ended goes on when it is called again with other limits.
        """
        self._set("asked", asked, "DELETE FROM steps")
        self._set(
            "limits",
            limits,
            "UPDATE steps SET state = json_set(state, '$.ending', NULL, "
            "'$.closing', json('false'), '$.idle', 0)",
        )

    def _set(self, name: str, value: str, otherwise: str) -> None:
        """Keep ``value``; where something else was kept, run ``otherwise`` as well."""
        before = self.fact(name, value)
        if before != value:
            self._write("UPDATE facts SET value = ? WHERE name = ?", value, name)
            self._write(otherwise)

    # -- the connection --------------------------------------------------------------------------

    def _write(self, query: str, *values: object) -> int:
        with self._lock, self._db:
            return self._db.execute(query, values).lastrowid or 0

    def _one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        return next(iter(self._all(query, *values)), None)

    def _all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(query, values).fetchall()


def key_of(model: str, messages: Sequence[ChatMessage], max_tokens: int) -> str:
    """What makes two calls the same one: SHA-256 over everything that is sent."""
    sent = [model, max_tokens, [[m.role, m.content] for m in messages]]
    return hashlib.sha256(orjson.dumps(sent)).hexdigest()


def now() -> str:
    """The time as ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat()
