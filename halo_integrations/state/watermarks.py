"""What was dealt with until when, and which traces go on, for ``--since last``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from halo_integrations.state.home import HomeFile


class Watermarks:
    """The watermarks below ``home``: what was asked for -> the start of the last run dealt with.

    Each has the traces that had not settled when they were read.
    """

    def __init__(self, home: Path) -> None:
        self._file = HomeFile(home)

    def get(self, key: str) -> datetime | None:
        """The watermark of ``key``, None where no run was dealt with."""
        with self._file.reading() as db:
            row = db.execute("SELECT at FROM watermarks WHERE key = ?", [key]).fetchone()
        return datetime.fromisoformat(row[0]) if row else None

    def open_traces(self, key: str) -> list[str]:
        """The ids of the traces of ``key`` that had not settled, the longest awaited first."""
        query = "SELECT trace_id FROM open_traces WHERE key = ? ORDER BY first_seen, trace_id"
        with self._file.reading() as db:
            return [trace_id for (trace_id,) in db.execute(query, [key])]

    def advance(
        self,
        key: str,
        at: datetime,
        *,
        opened: Iterable[str] = (),
        settled: Iterable[str] = (),
        waited_since: datetime | None = None,
    ) -> None:
        """Move the watermark of ``key`` to ``at``, never back.

        ``opened`` traces are waited for from ``at`` on, unless they are already; ``settled`` ones,
        and those that are waited for since before ``waited_since``, no longer.
        """
        new = [(key, trace_id, text_of(at)) for trace_id in opened]
        with self._file.writing() as db:
            db.execute(
                "INSERT INTO watermarks VALUES (?, ?) "
                "ON CONFLICT (key) DO UPDATE SET at = max(at, excluded.at)",
                [key, text_of(at)],
            )
            db.executemany("INSERT OR IGNORE INTO open_traces VALUES (?, ?, ?)", new)
            db.executemany(
                "DELETE FROM open_traces WHERE key = ? AND trace_id = ?",
                [(key, trace_id) for trace_id in settled],
            )
            if waited_since:
                db.execute(
                    "DELETE FROM open_traces WHERE key = ? AND first_seen < ?",
                    [key, text_of(waited_since)],
                )


def text_of(at: datetime) -> str:
    """A time as it is stored: texts are in the order of their times."""
    return at.isoformat(timespec="microseconds")
