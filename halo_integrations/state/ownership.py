"""Which process works on a run, or watches a project: one at a time.

The lock is one of the operating system. It ends with its process, however that ends, so that a run
whose process was killed can be resumed at once; and one whose process merely sleeps is not taken
away, as it would be after missed heart-beats. ``home.sqlite`` holds the owner's name, for messages.
"""

from __future__ import annotations

import hashlib
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from filelock import Timeout

from halo_engine.errors import StorageError
from halo_engine.locks import private_lock
from halo_engine.private_files import file_errors, make_private_folder
from halo_integrations.state.home import HomeFile
from halo_integrations.state.run import Run

# Of the digest of a project in the name of a file.
NAME_DIGITS = 16


class Owner(NamedTuple):
    """A process that owns something: what it does, and since when (UTC)."""

    pid: int
    host: str
    verb: str
    since: datetime

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} ({self.verb}, since {self.since:%H:%M:%S} UTC)"


class Ownership:
    """The right of this process to something of ``home``, until it is released.

    That is what is stored under the name ``owned``; ``title`` is what a message calls it. As a
    context manager it raises ``StorageError`` where another process has it.
    """

    def __init__(self, home: Path, owned: str, title: str, verb: str) -> None:
        self._owned = owned
        self._title = title
        self._verb = verb
        self._file = HomeFile(home)
        self._path = home / "locks" / f"{owned}.lock"
        self._lock = private_lock(self._path)

    def __enter__(self) -> Self:
        if not self.acquire():
            raise StorageError(
                f"{self._title} is in use by {self.owner()}. Wait until that has ended, then "
                f"give the same command again."
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def acquire(self) -> bool:
        """Take it; False where a live process has it. Raises ``StorageError``."""
        make_private_folder(self._path.parent)
        with file_errors(self._path):
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                return False
        try:
            self._record()
        except StorageError:
            self.release()
            raise
        return True

    def release(self) -> None:
        """Give it up."""
        self._lock.release()

    def owner(self) -> Owner | None:
        """The last process that took it; None where none ever did."""
        query = "SELECT pid, host, verb, since FROM owners WHERE run_id = ?"
        with self._file.reading() as db:
            row = db.execute(query, [self._owned]).fetchone()
        if row is None:
            return None
        pid, host, verb, since = row
        return Owner(pid, host, verb, datetime.fromisoformat(since))

    def _record(self) -> None:
        at = datetime.now(UTC).isoformat()
        row = [self._owned, os.getpid(), socket.gethostname(), self._verb, at]
        with self._file.writing() as db:
            db.execute("INSERT OR REPLACE INTO owners VALUES (?, ?, ?, ?, ?)", row)


def run_ownership(run: Run, verb: str) -> Ownership:
    """The right to work on ``run``."""
    return Ownership(run.home, run.id, f"Run {run.id}", verb)


def watch_ownership(home: Path, project: str) -> Ownership:
    """The right to watch ``project`` with what is known in ``home``."""
    digest = hashlib.sha256(project.encode()).hexdigest()[:NAME_DIGITS]
    return Ownership(home, f"watch-{digest}", f"The watch of {project} in {home}", "watch")
