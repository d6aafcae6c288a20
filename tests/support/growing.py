"""A project that grows while it is watched, and what a watch of it must come to."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

import phoenix_data
from fault_proxy import FaultProxy, Harm
from halo_cli import QUIET
from halo_integrations.state.home import Runs
from loopback import Answer, Request
from prepared import PreparedProcess, forker
from synthetic import START, conversations

Row = dict[str, Any]

# Of the marks that are counted: what happens in every so many-th trace.
LOOP_EVERY = 5
LOOP_MARK = "halo.step_repetition"


def recent(count: int, seed: int, *, loop_every: int = LOOP_EVERY) -> Iterator[Row]:
    """Conversations that were all begun a minute ago."""
    begun = datetime.now(UTC) - timedelta(minutes=1)
    for row in conversations(count, seed=seed, loop_every=loop_every):
        times = {n: datetime.fromisoformat(row[n]) - START for n in ("start_time", "end_time")}
        number = times["start_time"] // timedelta(minutes=1)
        moved = {n: begun + at - timedelta(minutes=number) for n, at in times.items()}
        yield {**row, **{name: at.isoformat() for name, at in moved.items()}}


def as_lines(rows: Iterator[Row], path: Path) -> None:
    """Append ``rows`` to the file ``path``."""
    with path.open("ab") as file:
        file.writelines(orjson.dumps(row) + b"\n" for row in rows)


def seed_of(project: str) -> int:
    """A seed of its own for each project: on one server no two have the same traces."""
    return int(sha256(project.encode()).hexdigest(), 16)


@dataclass
class GrowingProject:
    """A project of Phoenix that is watched by commands, which are killed now and then."""

    proxy: FaultProxy
    server: str
    project: str
    folder: Path
    rows: list[Row] = field(default_factory=list)
    process: PreparedProcess | None = None

    def grow(self, count: int) -> None:
        """Send further traces, and wait until the server shows them."""
        new = list(recent(count, seed_of(self.project) + len(self.rows)))
        phoenix_data.load(self.server, new, self.project, before=len(self.rows))
        self.rows += new

    def watch(self, *flags: str) -> tuple[int, str]:
        """The exit code of a command, and what it printed."""
        self.start(*flags)
        return self.end()

    def start(self, *flags: str) -> PreparedProcess:
        """Start a command."""
        environment = {**QUIET, "PHOENIX_BASE_URL": self.proxy.url}
        words = ["watch", "phoenix", "--project", self.project, *flags]
        self.process = forker().start(words, self.folder, environment, self.folder / "printed.txt")
        return self.process

    def end(self) -> tuple[int, str]:
        """The exit code of the command that was started, and what it printed."""
        assert self.process
        code = self.process.wait()
        self.process = None
        return code, self.printed()

    def printed(self) -> str:
        """What the last command printed so far."""
        file = self.folder / "printed.txt"
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def kill_at(self, at: int, *, is_answered: bool) -> None:
        """Kill the command at its request number ``at``, before or after the server did it."""

        def harm(number: int, _request: Request) -> Harm | None:
            return killing if number == at else None

        def killing(forward: Any) -> Answer:
            answer: Answer = forward() if is_answered else Answer(500)
            assert self.process
            os.kill(self.process.pid, signal.SIGKILL)
            return answer

        self.proxy.do(harm)

    # -- what it must come to ---------------------------------------------------------------------

    def marks(self) -> Counter[tuple[str, str]]:
        """The marks of loops on the platform, by span, with their labels."""
        found = phoenix_data.annotations(self.server, self.project, self.rows)
        return Counter(
            (row["span_id"], row["result"]["label"]) for row in found if row["name"] == LOOP_MARK
        )

    def traces(self) -> int:
        return len({row["trace_id"] for row in self.rows})

    def runs(self) -> int:
        return len(Runs(self.folder / ".halo").all())
