"""What was pulled until when, for ``--since last``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from halo_integrations.state.home import HomeFile


class Watermarks:
    """The watermarks below ``home``: what was pulled -> the start of the last complete pull."""

    def __init__(self, home: Path) -> None:
        self._file = HomeFile(home)

    def get(self, key: str) -> datetime | None:
        """The watermark of ``key``, None where there was no complete pull."""
        with self._file.reading() as db:
            row = db.execute("SELECT at FROM watermarks WHERE key = ?", [key]).fetchone()
        return datetime.fromisoformat(row[0]) if row else None

    def set(self, key: str, at: datetime) -> None:
        """Replace the watermark of ``key``."""
        with self._file.writing() as db:
            db.execute("INSERT OR REPLACE INTO watermarks VALUES (?, ?)", [key, at.isoformat()])


class OpenTraces:
    """The traces below ``home`` that had not ended when they were read, by watermark key."""

    def __init__(self, home: Path) -> None:
        self._file = HomeFile(home)

    def get(self, key: str) -> dict[str, datetime]:
        """The open traces of ``key``: trace id -> when it was first seen."""
        query = "SELECT trace_id, first_seen FROM open_traces WHERE key = ? ORDER BY first_seen"
        with self._file.reading() as db:
            rows = db.execute(query, [key]).fetchall()
        return {trace_id: datetime.fromisoformat(at) for trace_id, at in rows}

    def add(self, key: str, trace_ids: Iterable[str], at: datetime) -> None:
        """Add traces that were seen at ``at``; one that is there keeps the time of then."""
        rows = [(key, trace_id, at.isoformat()) for trace_id in trace_ids]
        with self._file.writing() as db:
            db.executemany("INSERT OR IGNORE INTO open_traces VALUES (?, ?, ?)", rows)

    def remove(self, key: str, trace_ids: Iterable[str]) -> None:
        """Remove traces that have ended, or are waited for no longer."""
        rows = [(key, trace_id) for trace_id in trace_ids]
        with self._file.writing() as db:
            db.executemany("DELETE FROM open_traces WHERE key = ? AND trace_id = ?", rows)
