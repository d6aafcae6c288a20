"""Commands whose requests meet a fault, and what there is after the same command without it.

``face(case, bench, folder)`` is one experiment: a command runs while a request, or all from one on,
get a fault; it is given again; what it read or wrote is compared with a command that met none, and
everything is undone. Nothing may be lost, written twice, paid twice or left behind.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import orjson

import phoenix_data
from corpora import synthetic
from fault_proxy import (
    HTML,
    FaultProxy,
    Harm,
    answering,
    cutting,
    dripping,
    in_a_second,
    proxying,
    redirecting,
    refusing,
    replacing,
    timing_out,
    truncating,
    twice,
)
from halo_cli import QUIET
from halo_engine.store import TraceStore
from halo_integrations.testing.langfuse import LangfuseServer
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix
from langfuse_data import environment
from loopback import Answer, Loopback, Request, serving
from model_endpoint import Analyst, Endpoint, code, endpoint, submit
from prepared import forker

# The time-outs of the commands are short, so that experiments are; a fault outlasts them.
SETTINGS = "timeout = 1.0\nretry_timeout = 2.0\n"
CONFIGURATION = f"[langfuse]\n{SETTINGS}[phoenix]\n{SETTINGS}[run]\nread_back = 5\n"
LATE_SECONDS = 1.5
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
    """One experiment; ``problems`` is empty if all is well."""

    case: Case
    outcome: Outcome
    problems: list[str] = field(default_factory=list)


class Bench(Protocol):
    """Something over HTTP that commands work with, behind a proxy.

    ``commands`` are the stages; ``before`` what has to be done before each, without a fault.
    """

    name: str
    commands: Mapping[str, tuple[str, ...]]
    before: Mapping[str, tuple[tuple[str, ...], ...]]
    proxy: FaultProxy

    def environment(self) -> dict[str, str]:
        """The variables that point commands at the proxy."""

    def begin(self, folder: Path) -> None:
        """Make the state that an experiment starts with; commands run in ``folder``."""

    def state(self, folder: Path) -> Counter[Any]:
        """What has been read or written, without what differs between runs."""

    def wrong(self, harmed: int) -> list[str]:
        """What else is wrong after ``harmed`` requests met a fault."""

    def end(self, commands: Commands) -> list[str]:
        """Undo everything; what is left."""


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

    def run_ids(self) -> list[str]:
        return sorted(path.parent.name for path in self.folder.glob(".halo/runs/*/run.sqlite"))


def face(case: Case, bench: Bench, elsewhere: Loopback, folder: Path) -> Faced:
    """Run the command of ``case`` with its fault and, if it did not complete, without it."""
    clean, requests = without_fault(bench, case.stage)
    commands = prepared(bench, case.stage, folder)
    harmed: list[int] = []
    bench.proxy.do(partial(harm_of, case, case.position.of(requests), elsewhere, harmed))
    ended = commands(*bench.commands[case.stage])
    faced = Faced(case, OUTCOMES.get(ended, Outcome.WRONG))
    if faced.outcome is Outcome.WRONG or "fault of halo-integrations" in commands.output:
        faced.problems.append(f"ended with {ended}: {commands.output[-600:]}")
    bench.proxy.do(unharmed)
    if ended:
        again = commands(*bench.commands[case.stage])
        if again:
            faced.problems.append(f"again: ended with {again}: {commands.output[-600:]}")
    found = bench.state(folder)
    faced.problems += [f"lost: {item}" for item in (clean - found).elements()]
    faced.problems += [f"twice, or left behind: {item}" for item in (found - clean).elements()]
    faced.problems += bench.wrong(len(harmed))
    if elsewhere.requests:
        faced.problems.append("a redirect was followed")
        elsewhere.requests.clear()
    faced.problems += bench.end(commands)
    return faced


def harm_of(
    case: Case, at: int, elsewhere: Loopback, harmed: list[int], number: int, _: Request
) -> Harm | None:
    """The fault of ``case`` at a request, which is then one of those ``harmed``."""
    if number < at or (number > at and not case.is_lasting):
        return None
    harmed.append(number)
    return FAULTS[case.fault](elsewhere)


def unharmed(_number: int, _request: Request) -> None:
    """No harm."""


def prepared(bench: Bench, stage: str, folder: Path) -> Commands:
    """A folder in which the command of ``stage`` can run."""
    bench.proxy.do(unharmed)
    bench.begin(folder)
    commands = Commands(folder, bench.environment())
    for before in bench.before[stage]:
        assert commands(*before) == 0, commands.output
    bench.proxy.do(unharmed)
    return commands


_CLEAN: dict[tuple[str, str], tuple[Counter[Any], int]] = {}


def without_fault(bench: Bench, stage: str) -> tuple[Counter[Any], int]:
    """What there is after a command that meets no fault, and the number of its requests."""
    key = (bench.name, stage)
    if key not in _CLEAN:
        with TemporaryDirectory() as name:
            folder = Path(name)
            commands = prepared(bench, stage, folder)
            assert commands(*bench.commands[stage]) == 0, commands.output
            _CLEAN[key] = bench.state(folder), len(bench.proxy.requests)
            assert bench.end(commands) == []
    return _CLEAN[key]


# -- benches ----------------------------------------------------------------------------------------


class PlatformBench:
    """Pull, annotate and undo on a platform."""

    def __init__(self, name: str, proxy: FaultProxy, *project: str) -> None:
        self.name = name
        self.proxy = proxy
        everything = (name, *project, "--since", "all", "--no-llm")
        read = ("pull", name, *project, "--since", "all")
        self.commands = {
            "pull": read,
            "annotate": ("annotate", "last", "--yes"),
            "undo": ("undo", "last", "--yes"),
        }
        self.before = {
            "pull": (),
            "annotate": (("run", *everything, "--dry-run"),),
            "undo": (("run", *everything, "--yes"),),
        }

    def state(self, folder: Path) -> Counter[Any]:
        return Counter([*pulled(folder), *self.written().elements()])

    def written(self) -> Counter[Any]:
        """What is on the platform, of us and of others."""
        raise NotImplementedError

    def wrong(self, _harmed: int) -> list[str]:
        return []

    def end(self, commands: Commands) -> list[str]:
        problems = []
        for run_id in commands.run_ids() if self._ours() else ():
            if commands("undo", run_id, "--yes"):
                problems.append(f"undo: {commands.output[-600:]}")
        return problems + [f"left after undo: {item}" for item in self._ours()]

    def _ours(self) -> list[Any]:
        return [item for item in self.written().elements() if item[0].startswith("halo.")]


class LangfuseBench(PlatformBench):
    """The stand-in, a new one for each experiment."""

    def __init__(self, proxy: FaultProxy) -> None:
        super().__init__("langfuse", proxy)
        self._stack = ExitStack()

    def begin(self, _folder: Path) -> None:
        self._stack.close()
        self.server = self._stack.enter_context(LangfuseServer())
        self.server.send(synthetic())
        self.proxy.move_to(self.server.url)

    def environment(self) -> dict[str, str]:
        return {**environment(self.server), "LANGFUSE_BASE_URL": self.proxy.url}

    def written(self) -> Counter[Any]:
        scores = self.server.scores.values()
        return Counter((s["name"], str(s["subject"]), str(s["value"])) for s in scores)

    def close(self) -> None:
        self._stack.close()


class PhoenixBench(PlatformBench):
    """A project on a real Phoenix, which is empty of annotations after each experiment."""

    def __init__(self, proxy: FaultProxy, server: EmbeddedPhoenix, project: str) -> None:
        super().__init__("phoenix", proxy, "--project", project)
        self._server = server
        self._project = project

    def begin(self, _folder: Path) -> None:
        """The traces are there."""

    def environment(self) -> dict[str, str]:
        return {"PHOENIX_BASE_URL": self.proxy.url}

    def written(self) -> Counter[Any]:
        rows = phoenix_data.annotations(self._server.base_url, self._project, self._rows)
        keys = [(r.get("span_id"), r.get("trace_id"), r["result"]["label"]) for r in rows]
        return Counter((row["name"], *key) for row, key in zip(rows, keys, strict=True))

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        return synthetic()


class ModelBench:
    """An analysis by a model over a file."""

    name = "model"
    TURNS = (
        code("r = map_traces([t['trace'] for t in find()], 'ok?', {'ok': 'boolean'})"),
        code("h = search('unknown', field='output', limit=2)"),
        code(
            submit(
                "[{'span': x['span'], 'quote': 'status\": \"unknown'} for x in h]",
                "{'question': 'Is the status unknown?'}",
            )
        ),
    )

    def __init__(self, proxy: FaultProxy, model: Endpoint) -> None:
        self.proxy = proxy
        self._model = model
        limits = ("--token-budget", "1000000")
        url = f"{proxy.url}/v1"
        self.commands = {
            "analyse": ("analyze", "last", "--model", "scripted", "--model-url", url, *limits)
        }
        self.before = {"analyse": (("pull", "traces.jsonl"),)}

    def environment(self) -> dict[str, str]:
        return {"HALO_CALL_TIMEOUT": "1", "HALO_RETRY_TIMEOUT": "2", "HALO_PARALLEL": "1"}

    def begin(self, folder: Path) -> None:
        rows = b"\n".join(map(orjson.dumps, synthetic()))
        (folder / "traces.jsonl").write_bytes(rows)
        self._model.loopback.requests.clear()
        self._model.billed.clear()

    def state(self, folder: Path) -> Counter[Any]:
        (path,) = folder.glob(".halo/runs/*/report.json")
        report = orjson.loads(path.read_bytes())
        findings = [
            (f["title"], f["prevalence"]["affected"], f["prevalence"]["analysed"])
            for f in report["findings"]
        ]
        return Counter([*findings, ("ending", report["analysis"]["ending"])])

    def wrong(self, harmed: int) -> list[str]:
        """A call is repeated only where its answer was lost on the way."""
        bodies = Counter(request.body for request in self._model.loopback.requests)
        repeated = sum(bodies.values()) - len(bodies)
        return [f"{repeated} calls were repeated"] if repeated > harmed else []

    def end(self, _commands: Commands) -> list[str]:
        return []


def pulled(folder: Path) -> list[tuple[str, ...]]:
    """The spans of the last run."""
    stores = sorted(folder.glob(".halo/runs/*/traces.duckdb"), key=lambda p: p.stat().st_ctime)
    if not stores:
        return []
    with TraceStore(stores[-1], read_only=True) as store:
        return [("span", s.trace_id, s.span_id) for t in store.traces() for s in t.spans]


@contextmanager
def langfuse_bench() -> Iterator[LangfuseBench]:
    with proxying("http://127.0.0.1:9") as proxy:
        bench = LangfuseBench(proxy)
        yield bench
        bench.close()


@contextmanager
def phoenix_bench(server: EmbeddedPhoenix, project: str) -> Iterator[PhoenixBench]:
    phoenix_data.load(server.base_url, synthetic(), project)
    with proxying(server.base_url) as proxy:
        yield PhoenixBench(proxy, server, project)
    phoenix_data.delete(server.base_url, project)


@contextmanager
def model_bench() -> Iterator[ModelBench]:
    with endpoint(Analyst(list(ModelBench.TURNS))) as model, proxying(model.loopback.url) as proxy:
        yield ModelBench(proxy, model)


@contextmanager
def another_server() -> Iterator[Loopback]:
    """Where redirects lead; no request should come."""
    with serving(lambda _: Answer(200, b"{}")) as loopback:
        yield loopback


STAGES = {
    "langfuse": ("pull", "annotate", "undo"),
    "phoenix": ("pull", "annotate", "undo"),
    "model": ("analyse",),
}


def all_cases(benches: Mapping[str, tuple[str, ...]] = STAGES) -> list[Case]:
    """The whole matrix."""
    return [
        Case(bench, stage, fault, position, is_lasting)
        for bench, stages in benches.items()
        for stage, fault, position, is_lasting in itertools.product(
            stages, FAULTS, Position, (False, True)
        )
    ]


def sample(bench: str, count: int, seed: int) -> list[Case]:
    """So many cases of a bench, each with another fault as far as there are as many."""
    random = Random(seed)
    faults = random.sample(list(FAULTS), min(count, len(FAULTS)))
    of_bench = all_cases({bench: STAGES[bench]})
    return [random.choice([c for c in of_bench if c.fault == fault]) for fault in faults]
