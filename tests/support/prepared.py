"""The command in processes that have everything imported already, which takes four seconds of CPU.

A test of the command's start, or of what an interpreter finds installed, uses ``FreshHalo`` of
``halo_cli``, which starts a new interpreter.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

FORKER = """
import atexit, gc, json, os, runpy, sys, threading
from halo_adapters.dialects.registry import installed_dialects
from halo_adapters.registry import FILES, adapter_class, importable_platforms
from halo_adapters.transport.client import trusted_authorities
from halo_engine.detectors.registry import load_detectors
from halo_engine.llm.litellm_model import import_litellm
from halo_engine.report.html import page_template
from halo_engine.report.registry import load_renderers
from halo_engine.text.redaction import redact
import halo_adapters.receiver.server, halo_engine.detectors.json_schema
import halo_integrations.cli.compare_flow, halo_integrations.cli.issue_flow
import halo_integrations.cli.settings_flow, halo_integrations.cli.watch_flow
import halo_integrations.verbs.model_analysis
import httpcore, langfuse.api.client, leather, openai, phoenix.client
list(importable_platforms()), installed_dialects(), load_detectors(), redact("text")
import_litellm(), trusted_authorities()
adapter_class(FILES), load_renderers(), page_template("report.html.j2")
gc.freeze()  # else each command looks through all that is imported for garbage
print(json.dumps("ready"), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    pid = os.fork()
    if pid == 0:
        break
    print(json.dumps(pid), flush=True)
    _, status = os.waitpid(pid, 0)
    print(json.dumps(os.waitstatus_to_exitcode(status)), flush=True)
else:
    os._exit(0)
os.dup2(os.open(request["input"], os.O_RDONLY), 0)
os.dup2(os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
os.dup2(os.open(request["errors"], os.O_WRONLY | os.O_CREAT) if request["errors"] else 1, 2)
os.chdir(request["folder"])
os.environ.clear()
os.environ.update(request["environment"])
sys.argv = ["halo-integrations", *request["arguments"]]
try:
    runpy.run_module("halo_integrations", run_name="__main__")
except SystemExit as end:
    # As an interpreter ends, without taking apart what was imported.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(end.code)
"""


class PreparedProcess:
    """A running command; ``pid`` may be sent signals."""

    def __init__(self, forker: Forker, pid: int) -> None:
        self.pid = pid
        self._forker = forker

    def wait(self) -> int:
        """The exit code; the negative number of the signal that ended it."""
        return int(self._forker.read())


class Forker:
    """A process that forks commands, one at a time; it ends with this one."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", FORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.read() == "ready"

    def start(
        self,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str | None],
        output: Path,
        errors: Path | None = None,
        standard_input: Path = Path(os.devnull),
    ) -> PreparedProcess:
        """Start ``halo-integrations`` with ``arguments``.

        What it prints goes into ``output``, also what it prints as errors if there is no file for
        these. A variable of ``environment`` that is None is unset.
        """
        given = {**os.environ, **environment}
        request = {
            "arguments": list(arguments),
            "folder": str(folder),
            "environment": {name: value for name, value in given.items() if value is not None},
            "input": str(standard_input),
            "output": str(output),
            "errors": str(errors or ""),
        }
        assert self._process.stdin
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return PreparedProcess(self, int(self.read()))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def read(self) -> Any:
        """The next answer of the process."""
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())


@cache
def forker() -> Forker:
    """The forker of this process, started at first use."""
    return Forker()


def close_forker() -> None:
    """End the forker of this process, if it was started."""
    if forker.cache_info().currsize:
        forker().close()
        forker.cache_clear()
