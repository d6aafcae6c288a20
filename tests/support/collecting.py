"""A running ``halo-integrations collect``, and what is sent to it."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGINT, Signals
from typing import Any

import httpx

from exports import otlp_json
from halo_adapters.transport.client import trusted_authorities
from halo_cli import QUIET
from halo_integrations.cli.interrupts import ONE_REQUEST_SECONDS
from prepared import forker

ADDRESS = re.compile(r"export OTEL_EXPORTER_OTLP_ENDPOINT=http://(\S+):(\d+)\n")
SECONDS = 20
PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}


class Collecting:
    """A process that collects into ``file``, and prints into files of ``folder``.

    ``printed`` and ``complained`` is what it wrote so far; ``wait`` gives its exit code.
    """

    def __init__(self, folder: Path, file: Path, wait: Callable[[], int], pid: int = 0) -> None:
        self.file = file
        self._pid, self._wait = pid, wait
        self._output, self._errors = folder / "collect.out", folder / "collect.err"
        self._code: int | None = None
        self.host, self.port = self._address()
        self.url = f"http://127.0.0.1:{self.port}"
        self._client = httpx.Client(
            base_url=self.url, timeout=SECONDS, verify=trusted_authorities()
        )

    def _address(self) -> tuple[str, int]:
        found = wait_for(lambda: ADDRESS.search(self.complained))
        return found[1], int(found[2])

    @property
    def printed(self) -> str:
        return self._output.read_text(encoding="utf-8")

    @property
    def complained(self) -> str:
        return self._errors.read_text(encoding="utf-8")

    def post(self, path: str, content: Any, **headers: str) -> httpx.Response:
        return self._client.post(path, content=content, headers=headers)

    def send(self, *spans: dict[str, Any]) -> httpx.Response:
        """Send spans of OTLP JSON as one export in protobuf."""
        return self.post("/v1/traces", otlp_json.message(otlp_json.group(spans)), **PROTOBUF)

    def raw(self, request: bytes, *, seconds: float = SECONDS) -> bytes:
        """What comes back for these bytes until the connection is closed."""
        with socket.create_connection(("127.0.0.1", self.port), seconds) as connection:
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def signal(self, number: Signals) -> None:
        os.kill(self._pid, number)

    def end(self, number: Signals = SIGINT) -> int:
        """Send a signal and wait for the end; the exit code."""
        if self._code is None:
            self.signal(number)
        return self.ended()

    def ended(self) -> int:
        """Wait for the end; the exit code."""
        if self._code is None:
            self._client.close()
            self._code = self._wait()
        return self._code

    def spans(self) -> list[str]:
        """The ids of the spans in the file."""
        documents = map(json.loads, self.file.read_text(encoding="utf-8").splitlines())
        groups = [group for document in documents for group in document.get("resourceSpans", ())]
        scopes = [scope for group in groups for scope in group["scopeSpans"]]
        return [span["spanId"] for scope in scopes for span in scope["spans"]]


def wait_for(found: Any) -> Any:
    """What ``found`` gives as soon as it is true; fails after a while."""
    end = time.monotonic() + SECONDS
    while not (value := found()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
    return value


def wait_for_next_press() -> None:
    """Wait until Ctrl-C is no bounce of the press before: the command tells them apart by time."""
    time.sleep(ONE_REQUEST_SECONDS)


@contextmanager
def collecting(folder: Path, *arguments: str, out: str = "traces.jsonl") -> Iterator[Collecting]:
    """A process that collects into ``out`` in ``folder``, on a free port, until the end."""
    words = ["collect", "--port", "0", "--out", out, *arguments]
    output, errors = folder / "collect.out", folder / "collect.err"
    errors.write_text("")
    process = forker().start(words, folder, QUIET, output, errors)
    running = Collecting(folder, folder / out, process.wait, process.pid)
    try:
        yield running
    finally:
        running.end()


def span(number: int, **members: Any) -> dict[str, Any]:
    """A span of OTLP JSON, in a trace of its own."""
    ids = {"traceId": f"{number:032x}", "spanId": f"{number:016x}", "parentSpanId": ""}
    times = {"startTimeUnixNano": "1795858003861815808", "endTimeUnixNano": "1795858004861815808"}
    return {**ids, "name": f"step {number}", "kind": 1, **times, "attributes": [], **members}


def log_record(number: int, **members: Any) -> dict[str, Any]:
    """An event of ``span(number)`` as a log record of OTLP JSON."""
    ids = {"traceId": f"{number:032x}", "spanId": f"{number:016x}"}
    return {**ids, "eventName": "gen_ai.user.message", "body": {"stringValue": "hi"}, **members}
