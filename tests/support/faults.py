"""Commands whose requests meet a fault, and what there is after the same command without it.

``Experiments.face(case)`` is one experiment: a command runs while a request, or all from one on, get
a fault; it is given again; what it read or wrote is compared with a command that met none. Nothing
may be lost, written twice, paid twice or left behind, and no words of people touched.

What a command starts with is made once: experiments work on copies of it. ``fault_benches`` has what
commands work with.
"""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from fault_proxy import (
    HTML,
    FaultProxy,
    Forward,
    Harm,
    answering,
    cutting,
    dripping,
    in_a_second,
    redirecting,
    refusing,
    replacing,
    timing_out,
    truncating,
    twice,
)
from halo_cli import QUIET
from loopback import Answer, Loopback, Request
from prepared import forker

# The time-outs of commands are so short that experiments are; a fault outlasts them.
PLATFORM = "timeout = 3.0\nretry_timeout = 4.0\n"
MODEL = "call_timeout = 3.0\nretry_timeout = 4.0\n"
PLATFORMS = "".join(f"[{name}]\n{PLATFORM}" for name in ("langfuse", "phoenix", "mlflow"))
CONFIGURATION = f"{PLATFORMS}[model]\n{MODEL}[run]\nread_back = 2\n"
LATE_SECONDS = 3.6
DRIP_SECONDS = 0.2

FAULTS: Mapping[str, Callable[[Loopback], Harm]] = {
    "no answer": lambda _: refusing,
    "401": lambda _: answering(401, b"Invalid token"),
    "403": lambda _: answering(403, b"Forbidden"),
    "404": lambda _: answering(404, b"Not found"),
    "413": lambda _: answering(413, b"Too large"),
    "422": lambda _: answering(422, b"Unprocessable"),
    "429": lambda _: answering(429, b"Slow down"),
    "429, Retry-After: 1": lambda _: answering(429, b"Slow down", retry_after="1"),
    "429, Retry-After: 1.5": lambda _: answering(429, b"Slow down", retry_after="1.5"),
    "429, Retry-After: a date": lambda _: answering(429, b"Slow down", retry_after=in_a_second()),
    "500": lambda _: answering(500, b"Oops"),
    "502": lambda _: answering(502, HTML),
    "503": lambda _: answering(503, b"Busy"),
    "504": lambda _: answering(504, HTML),
    "524": lambda _: answering(524, HTML),
    "time-out": lambda _: timing_out(LATE_SECONDS),
    "cut": lambda _: cutting,
    "truncated JSON": lambda _: truncating,
    "wrong JSON": lambda _: replacing(b'{"unexpected": true}'),
    "HTML": lambda _: replacing(HTML, "text/html"),
    "slow drip": lambda _: dripping(DRIP_SECONDS),
    "sent twice": lambda _: twice,
    "redirect": redirecting,
}


class Position(StrEnum):
    """Which request meets the fault."""

    FIRST = "first"
    MIDDLE = "middle"
    LAST = "last"

    def of(self, requests: int) -> int:
        """Its number among so many, from 0."""
        return {"first": 0, "middle": requests // 2, "last": requests - 1}[self]


class Outcome(StrEnum):
    """How the command that met the fault ended."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    REFUSED = "refused"
    WRONG = "wrong"


# By its exit code; 2 is right only where nothing was done.
OUTCOMES = {0: Outcome.COMPLETE, 3: Outcome.PARTIAL, 2: Outcome.REFUSED}

# What may pass by itself, so that it is no matter of configuration.
MAY_PASS = {"no answer", "500", "502", "503", "504", "524", "time-out", "cut", "slow drip"}


@dataclass(frozen=True)
class Case:
    """A fault at a request of a command, or (``is_lasting``) at all from there on."""

    bench: str
    stage: str
    fault: str
    position: Position
    is_lasting: bool

    def __str__(self) -> str:
        lasting = "from there on" if self.is_lasting else "once"
        return (
            f"{self.fault} at the {self.position} request of {self.stage}, {self.bench}, {lasting}"
        )


@dataclass
class Faced:
    """One experiment; ``problems`` is empty if all is well. ``output`` is that of the command."""

    case: Case
    outcome: Outcome
    output: str
    problems: list[str] = field(default_factory=list)


class Bench(Protocol):
    """Something over HTTP that commands work with, behind a proxy.

    ``commands`` are the stages; no output may hold one of its ``secrets``.
    """

    name: str
    commands: Mapping[str, tuple[str, ...]]
    secrets: Sequence[str]
    proxy: FaultProxy

    def environment(self) -> dict[str, str]:
        """The variables that point commands at the proxy."""

    def prepare(self, stage: str, commands: Commands) -> None:
        """Do all that comes before the command of ``stage``."""

    def snapshot(self) -> Any:
        """What the platform holds."""

    def restore(self, snapshot: Any) -> None:
        """Have the platform hold what it held then."""

    def state(self, folder: Path) -> Counter[Any]:
        """What has been read or written."""

    def wrong(self, lost_answers: int) -> list[str]:
        """What else is wrong after so many answers of the server were lost."""


class Commands:
    """Runs commands in a folder, each in a process."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self.output = ""
        self._variables = {**QUIET, **variables}
        (folder / "halo.toml").write_text(CONFIGURATION, encoding="utf-8")

    def __call__(self, *arguments: str) -> int:
        """The exit code of a command; what it printed is in ``output``."""
        printed = self.folder / "printed.txt"
        code = forker().start(arguments, self.folder, self._variables, printed).wait()
        self.output = printed.read_text(encoding="utf-8", errors="replace")
        return code

    def succeed(self, *arguments: str) -> None:
        """Run a command that meets no fault."""
        code = self(*arguments)
        assert code == 0, f"{arguments} ended with {code}: {self.output}"


# -- one experiment ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Start:
    """What a command starts with, and what there is after it without a fault."""

    folder: TemporaryDirectory[str]
    snapshot: Any
    before: Counter[Any]
    after: Counter[Any]
    requests: int


class Experiments:
    """Experiments on a bench, one after the other."""

    def __init__(self, bench: Bench, elsewhere: Loopback) -> None:
        self._bench = bench
        self._elsewhere = elsewhere
        self._starts: dict[str, Start] = {}

    def face(self, case: Case) -> Faced:
        """Run the command of ``case`` with its fault and, if it did not complete, without it."""
        start = self._start(case.stage)
        with TemporaryDirectory() as folder:
            commands = self._begun(start, Path(folder))
            return self._faced(case, start, commands)

    def _faced(self, case: Case, start: Start, commands: Commands) -> Faced:
        bench, command = self._bench, self._bench.commands[case.stage]
        fault = Fault(case, case.position.of(start.requests), self._elsewhere)
        bench.proxy.do(fault)
        ended = commands(*command)
        bench.proxy.do(unharmed)
        faced = Faced(case, OUTCOMES.get(ended, Outcome.WRONG), commands.output)
        faced.problems += wrong_ending(faced, bench.secrets)
        if not fault.is_met:
            faced.problems.append("no request met the fault")
        if faced.outcome is Outcome.REFUSED and bench.state(commands.folder) != start.before:
            faced.problems.append("ended with 2, though something was done")
        if ended and (again := commands(*command)):
            faced.problems.append(f"again: ended with {again}: {commands.output}")
        faced.problems += differences(bench.state(commands.folder), start.after)
        faced.problems += bench.wrong(fault.lost_answers)
        if self._elsewhere.requests:
            faced.problems.append("a redirect was followed")
            self._elsewhere.requests.clear()
        if case.stage == "annotate":
            faced.problems += self._undone(start, commands)
        return faced

    def _undone(self, start: Start, commands: Commands) -> list[str]:
        """Undo what was written; what is not then as it was before."""
        if code := commands("undo", "last", "--yes"):
            return [f"undo ended with {code}: {commands.output}"]
        left = differences(self._bench.state(commands.folder), start.before)
        return [f"after undo: {text}" for text in left]

    def _start(self, stage: str) -> Start:
        if stage not in self._starts:
            self._starts[stage] = self._prepared(stage)
        return self._starts[stage]

    def _prepared(self, stage: str) -> Start:
        bench, kept = self._bench, TemporaryDirectory()
        commands = Commands(Path(kept.name), bench.environment())
        bench.prepare(stage, commands)
        start = Start(kept, bench.snapshot(), bench.state(commands.folder), Counter(), 0)
        with TemporaryDirectory() as folder:
            copied = self._begun(start, Path(folder))
            copied.succeed(*bench.commands[stage])
            requests = len(bench.proxy.requests)
            return replace(start, after=bench.state(copied.folder), requests=requests)

    def _begun(self, start: Start, folder: Path) -> Commands:
        """The command's start in ``folder`` and on the platform."""
        shutil.copytree(start.folder.name, folder, dirs_exist_ok=True)
        self._bench.restore(start.snapshot)
        self._bench.proxy.do(unharmed)
        return Commands(folder, self._bench.environment())


class Fault:
    """Does the harm of a case to the request number ``at``, or to all from there on.

    ``lost_answers`` counts requests that were carried out though their answer was lost or spoiled.
    """

    def __init__(self, case: Case, at: int, elsewhere: Loopback) -> None:
        self.is_met = False
        self.lost_answers = 0
        self._case = case
        self._at = at
        self._harm = FAULTS[case.fault](elsewhere)

    def __call__(self, number: int, _: Request) -> Harm | None:
        if number < self._at or (number > self._at and not self._case.is_lasting):
            return None
        self.is_met = True
        return self._counted

    def _counted(self, forward: Forward) -> Answer:
        def forward_and_count() -> Answer:
            self.lost_answers += 1
            return forward()

        return self._harm(forward_and_count)


def unharmed(_number: int, _request: Request) -> None:
    """No harm."""


def wrong_ending(faced: Faced, secrets: Sequence[str]) -> list[str]:
    """What is wrong with how a command ended and what it printed."""
    problems, output = [], faced.output
    if faced.outcome is Outcome.WRONG or "fault of halo-integrations" in output:
        problems.append(f"a wrong ending: {output}")
    if faced.outcome is Outcome.REFUSED and is_passing(faced.case.fault):
        problems.append(f"ended with 2 for what may pass: {output}")
    if faced.outcome is not Outcome.COMPLETE and not output.strip():
        problems.append("nothing was printed")
    return problems + [f"{text!r} was printed" for text in forbidden(secrets) if text in output]


def is_passing(fault: str) -> bool:
    """Whether ``fault`` may pass by itself, so that it is no matter of configuration."""
    return fault in MAY_PASS or fault.startswith("429")


def forbidden(secrets: Sequence[str]) -> list[str]:
    """What no command may print: keys, the query of a redirect, a traceback."""
    return [*secrets, "token=made-up", "Traceback"]


def differences(found: Counter[Any], expected: Counter[Any]) -> list[str]:
    """What is not there, and what is there in excess."""
    lost = [f"lost: {item}" for item in (expected - found).elements()]
    return lost + [f"twice, or left behind: {item}" for item in (found - expected).elements()]


# -- cases ------------------------------------------------------------------------------------------

STAGES: Mapping[str, tuple[str, ...]] = {
    "langfuse": ("pull", "annotate", "undo"),
    "phoenix": ("pull", "annotate", "undo"),
    "mlflow": ("pull", "annotate", "undo"),
    "model": ("analyse",),
}


def all_cases(bench: str, stage: str) -> list[Case]:
    """Every fault at every position, once and from there on."""
    return [
        Case(bench, stage, fault, position, is_lasting)
        for fault, position, is_lasting in itertools.product(FAULTS, Position, (False, True))
    ]


def sample(bench: str, seed: int) -> list[Case]:
    """A case for each fault."""
    random = Random(seed)
    cases = [case for stage in STAGES[bench] for case in all_cases(bench, stage)]
    return [random.choice([c for c in cases if c.fault == fault]) for fault in FAULTS]
