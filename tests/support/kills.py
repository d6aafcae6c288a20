"""Commands that are killed at a random point, and what the platform holds after the same command.

``survive(seed, folder)`` is one experiment: a command is killed (SIGKILL) at a request that the seed
chooses, given again, and everything is undone. Nothing may be lost, written twice or left behind,
and no person's words touched; what went wrong is listed in the result.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from corpora import synthetic
from halo_adapters.transport.client import trusted_authorities
from halo_cli import QUIET
from halo_integrations.testing.langfuse import LangfuseServer
from langfuse_data import environment, send
from loopback import Answer, Request, serving
from prepared import PreparedProcess, forker

FOLLOW_UPS = ("--comment", "--queue", "review", "--dataset", "regressions")
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "run": ("run", "langfuse", "--no-llm", "--yes", *FOLLOW_UPS),
    "annotate": ("annotate", "last", "--yes", *FOLLOW_UPS),
    "undo": ("undo", "last", "--yes"),
}
# What has to be done before each command.
BEFORE: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "run": (),
    "annotate": (("run", "langfuse", "--no-llm", "--dry-run"),),
    "undo": (COMMANDS["run"],),
}
LATEST_SECONDS = 0.05


class Moment(StrEnum):
    """When a process is killed: before the platform does what a request asks, after it and before
    the answer, or a moment after the answer."""

    BEFORE = "before"
    AFTER = "after"
    LATER = "later"


@dataclass
class Survival:
    """One experiment: ``command`` was killed at ``request``; ``problems`` is empty if all is well."""

    seed: int
    command: str
    request: str = "the end"
    moment: Moment = Moment.BEFORE
    problems: list[str] = field(default_factory=list)


@dataclass
class KillPoint:
    """The request number ``at`` of a process, and the moment around it."""

    at: int
    moment: Moment
    seconds: float = 0.0


class KillingProxy:
    """Forwards to ``upstream``, and kills ``process`` at the kill point that is set."""

    def __init__(self, upstream: str) -> None:
        self.process: PreparedProcess | None = None
        self.killed_at: str | None = None
        self.count = 0
        self._point: KillPoint | None = None
        self._client = httpx.Client(base_url=upstream, timeout=60, verify=trusted_authorities())
        self._lock = threading.Lock()

    def arm(self, point: KillPoint | None) -> None:
        """Count requests from now on, and kill the process at ``point``."""
        self.count, self._point = 0, point

    def respond(self, request: Request) -> Answer:
        point = self._reached()
        if point and point.moment is Moment.BEFORE:
            self._kill(request)
        answer = self._forward(request)
        if point and point.moment is Moment.AFTER:
            self._kill(request)
        if point and point.moment is Moment.LATER:
            threading.Timer(point.seconds, self._kill, [request]).start()
        return answer

    def _reached(self) -> KillPoint | None:
        with self._lock:
            self.count += 1
            return self._point if self._point and self._point.at == self.count else None

    def _kill(self, request: Request) -> None:
        if self.process:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)
                self.killed_at = f"{request.method} {request.path}"

    def _forward(self, request: Request) -> Answer:
        wanted = ("authorization", "content-type")
        answer = self._client.request(
            request.method,
            request.path,
            params=request.query,
            content=request.body,
            headers={name: request.headers[name] for name in wanted if name in request.headers},
        )
        return Answer(answer.status_code, answer.content)


class Experiment:
    """A Langfuse project with traces, and a folder in which commands run on it."""

    def __init__(self, server: LangfuseServer, proxy: KillingProxy, url: str, folder: Path) -> None:
        self.server = server
        self.proxy = proxy
        self.folder = folder
        keys = environment(server)
        self._environment = {**QUIET, **keys, "LANGFUSE_BASE_URL": url, "HALO_READ_BACK": "5"}
        server.send(synthetic())

    def do(self, *command: str, kill: KillPoint | None = None) -> list[str]:
        """Run a command to its end, or until it is killed; what is wrong with its exit code."""
        printed = self.folder / "printed.txt"
        self.proxy.arm(kill)
        self.proxy.process = forker().start(command, self.folder, self._environment, printed)
        code = self.proxy.process.wait()
        self.proxy.process = None
        text = printed.read_text(encoding="utf-8")
        return [] if code == 0 else [f"{command[0]} ended with {code}: {text[-500:]}"]

    def prepare(self, command: str) -> None:
        for before in BEFORE[command]:
            assert self.do(*before) == []

    def run_ids(self) -> list[str]:
        return sorted(path.parent.name for path in self.folder.glob(".halo/runs/*/run.sqlite"))

    # -- what the platform holds -----------------------------------------------------------------

    def add_words_of_people(self) -> None:
        """A score that a person gave, and, where there is one, an edit of a score of ours."""
        trace_id = synthetic()[0]["trace_id"]
        theirs = {"id": "ann-1", "name": "quality", "traceId": trace_id, "value": "poor"}
        send(self.server, "POST", "scores", {**theirs, "dataType": "CATEGORICAL"})
        ours = [s for s in self.server.stored_scores.values() if s["name"].startswith("halo.")]
        for score in ours[:1]:
            score.update(comment="Reviewed by a person: harmless.")

    def words_of_people(self) -> dict[str, Any]:
        scores = self.server.stored_scores.items()
        return {
            i: (s["value"], s.get("comment"))
            for i, s in scores
            if not s["name"].startswith("halo.") or "by a person" in (s.get("comment") or "")
        }

    def written(self) -> Counter[tuple[str, ...]]:
        """What our commands have put onto the platform, without what differs between runs."""
        scores = [s for i, s in self.server.scores.items() if i not in self.words_of_people()]
        marks = [("score", s["name"], str(s["subject"]), str(s["value"])) for s in scores]
        comments = [("comment", c["objectId"], c["content"]) for c in self.server.comments]
        queued = [("queue item", i["objectId"]) for i in self.server.queue_items]
        items = [("dataset item", i["id"]) for i in self.server.dataset_items]
        return Counter([*marks, *comments, *queued, *items])


@contextmanager
def experiment(folder: Path) -> Iterator[Experiment]:
    with LangfuseServer() as server:
        proxy = KillingProxy(server.url)
        with serving(proxy.respond) as loopback:
            yield Experiment(server, proxy, loopback.url, folder)


@cache
def uninterrupted(command: str) -> tuple[int, Counter[tuple[str, ...]]]:
    """The requests of a command that nobody kills, and what the platform holds after it."""
    with TemporaryDirectory() as folder, experiment(Path(folder)) as tried:
        tried.prepare(command)
        tried.add_words_of_people()
        assert tried.do(*COMMANDS[command]) == []
        return tried.proxy.count, tried.written()


def survive(seed: int, folder: Path) -> Survival:
    """Kill a command at a point that ``seed`` chooses, give it again, and undo everything."""
    random = Random(seed)
    command = random.choice(list(COMMANDS))
    requests, expected = uninterrupted(command)
    at, moment = random.randint(1, requests), random.choice(list(Moment))
    with experiment(folder) as tried:
        tried.prepare(command)
        tried.add_words_of_people()
        words = tried.words_of_people()
        point = KillPoint(at, moment, random.uniform(0, LATEST_SECONDS))
        tried.do(*COMMANDS[command], kill=point)
        found = Survival(seed, command, tried.proxy.killed_at or "the end", moment)
        found.problems += tried.do(*COMMANDS[command])
        found.problems += differences(tried.written(), expected)
        found.problems += undo_everything(tried)
        if tried.words_of_people() != words:
            found.problems.append("words of a person were touched")
    return found


def differences(written: Counter[tuple[str, ...]], expected: Counter[tuple[str, ...]]) -> list[str]:
    lost = [f"lost: {item}" for item in expected - written]
    return lost + [f"twice, or left behind: {item}" for item in written - expected]


def undo_everything(tried: Experiment) -> list[str]:
    """Undo every run; what is left then, but for comments, which Langfuse does not delete."""
    problems = [text for run_id in tried.run_ids() for text in tried.do("undo", run_id, "--yes")]
    left = [item for item in tried.written() if item[0] != "comment"]
    return problems + [f"left after undo: {item}" for item in left]
