"""Runs with a model over HTTP: as commands in processes that a test can kill, and in this one."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

import halo_integrations as halo
from corpora import synthetic
from halo_cli import QUIET
from loopback import Answer
from model_endpoint import Endpoint
from prepared import PreparedProcess, forker


class ModelRun:
    """The command in ``folder``, which has traces; it is killed during its request number ``at``.

    It makes ``parallel`` model calls at once. The traces are ``rows``, the synthetic ones without.
    """

    def __init__(
        self,
        folder: Path,
        at: int = -1,
        parallel: int = 16,
        rows: Iterable[dict[str, Any]] | None = None,
    ) -> None:
        self.folder = folder
        self.at = at
        self.environment = {**QUIET, "HALO_PARALLEL": str(parallel)}
        self.process: PreparedProcess | None = None
        self.output = ""
        lines = "".join(orjson.dumps(row).decode() + "\n" for row in rows or synthetic())
        (folder / "traces.jsonl").write_text(lines, encoding="utf-8")

    def before(self, number: int) -> Answer | None:
        """Kill the process if the n-th request is the one to do it at."""
        if number == self.at and self.process:
            os.kill(self.process.pid, signal.SIGKILL)
        return None

    def start(self, server: Endpoint, *arguments: str) -> int:
        """The exit code of the command with these arguments and a model at ``server``."""
        has_limit = {"--token-budget", "--budget"} & set(arguments)
        limit = [] if has_limit else ["--token-budget", "1000000"]
        model = ["--model", "scripted", "--model-url", server.url, *limit]
        printed = self.folder / "printed.txt"
        self.process = forker().start([*arguments, *model], self.folder, self.environment, printed)
        returncode = self.process.wait()
        self.output = printed.read_text(encoding="utf-8")
        return returncode

    def here(self, server: Endpoint, verb: str = "run", **options: Any) -> halo.Report:
        """The report of ``run``, or of ``analyze`` of the last run, in this process."""
        limit = {} if {"token_budget", "budget"} & set(options) else {"token_budget": 10**6}
        model = {"model": "scripted", "model_url": server.url, "retry_timeout": 1.0, **limit}
        home = self.folder / ".halo"
        if verb == "run":
            source = str(self.folder / "traces.jsonl")
            return halo.run(source, home=home, **{**model, **options}).report
        return halo.analyze("last", home=home, **{**model, **options})

    @property
    def report_path(self) -> Path:
        """The file of the report of the only run."""
        (path,) = self.folder.glob(".halo/runs/*/report.json")
        return path

    @property
    def report(self) -> dict[str, Any]:
        """The report of the only run."""
        found: dict[str, Any] = json.loads(self.report_path.read_text(encoding="utf-8"))
        return found

    @property
    def text_report(self) -> str:
        """The report of the only run as text, on one line."""
        return " ".join(self.report_path.with_name("report.md").read_text(encoding="utf-8").split())

    @property
    def costs(self) -> tuple[int, int]:
        """The calls and the tokens of the report."""
        costs = self.report["analysis"]["costs"]
        tokens = sum(cost["prompt_tokens"] + cost["completion_tokens"] for cost in costs)
        return sum(cost["calls"] for cost in costs), tokens
