"""A server that lives as long as a ``with`` block."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import httpx

from halo_adapters.transport.client import trusted_authorities
from halo_engine.errors import Unavailable
from halo_integrations.testing.embedded import launcher
from halo_integrations.testing.embedded.environment import (
    Progress,
    ServerPackage,
    no_progress,
    tail,
)

START_SECONDS = 120.0
STOP_SECONDS = 15.0
LOOPBACK = "127.0.0.1"


class EmbeddedServer(ABC):
    """A real server of a platform, on loopback.

    It keeps everything in a temporary folder, listens on free ports, sends no telemetry and reads
    none of the user's settings of it. It ends with its parent, even when that one is killed.
    """

    package: ClassVar[ServerPackage]
    ready_path: ClassVar[str]
    # How the names of the user's variables begin that it must not see.
    hidden_settings: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        python: Path | None = None,
        *,
        start_seconds: float = START_SECONDS,
        progress: Progress = no_progress,
    ) -> None:
        """``python`` is an interpreter that has the server; None: made when it is needed."""
        self.python = python
        self.start_seconds = start_seconds
        self.progress = progress
        self.port = 0

    @property
    def base_url(self) -> str:
        """The address of the server."""
        return f"http://{LOOPBACK}:{self.port}"

    @abstractmethod
    def command(self, folder: Path) -> Sequence[str]:
        """The module to run, and its arguments."""

    @abstractmethod
    def settings(self, folder: Path) -> Mapping[str, str]:
        """The server's own environment variables."""

    def choose_ports(self) -> None:
        """Choose the ports to listen on."""
        (self.port,) = free_ports(1)

    def __enter__(self) -> Self:
        """Start the server, and wait until it is ready.

        Raises ``Unavailable`` with the end of the server's log if it does not start in time.
        """
        python = self.python or self.package.ensure(progress=self.progress)
        self.progress(f"Starting {self.package.title}")
        self.choose_ports()
        with ExitStack() as stack:
            folder = Path(stack.enter_context(temporary_folder(self.package.label)))
            command: list[str | Path]
            command = [python, "-I", launcher.__file__, folder, *self.command(folder)]
            process = stack.enter_context(serving(command, folder, self.environment(folder)))
            self.wait_until_ready(process, folder / "server.log")
            self.pid = process.pid
            self.resources = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the server and remove its folder."""
        self.resources.close()

    def environment(self, folder: Path) -> dict[str, str]:
        """The server's environment: its settings, and the user's without those that are hidden."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(self.hidden_settings)}
        return {**inherited, "TMPDIR": str(folder), **self.settings(folder)}

    def wait_until_ready(self, process: subprocess.Popen[bytes], log: Path) -> None:
        """Return when the server is ready; raises ``Unavailable`` if it ends or takes too long."""
        deadline = time.monotonic() + self.start_seconds
        while not self.is_ready():
            if process.poll() is not None:
                raise self.not_started(f"it ended with code {process.returncode}", log)
            if time.monotonic() > deadline:
                raise self.not_started(f"not ready after {self.start_seconds:.0f} seconds", log)
            time.sleep(0.1)

    def is_ready(self) -> bool:
        """Whether the server reports that it is ready."""
        with suppress(httpx.TransportError):
            url = f"{self.base_url}{self.ready_path}"
            answer = httpx.get(url, timeout=5, trust_env=False, verify=trusted_authorities())
            return answer.is_success
        return False

    def not_started(self, reason: str, log: Path) -> Unavailable:
        """The error with the last lines of the server's log."""
        title, folder = self.package.title, self.package.default_folder()
        log_tail = tail(log.read_text(errors="replace")) or "(nothing)"
        return Unavailable(
            f"The embedded {title} on {self.base_url} did not start: {reason}. The end of its log "
            f"shows why; if its installation is broken, delete {folder} and try again.\n{log_tail}",
            platform=title,
            request=f"GET {self.ready_path}",
        )


def temporary_folder(label: str) -> tempfile.TemporaryDirectory[str]:
    """A folder for the database and the log, removed at the end."""
    return tempfile.TemporaryDirectory(prefix=f"halo-{label}-", ignore_cleanup_errors=True)


@contextmanager
def serving(
    command: Sequence[str | Path], folder: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """The server process in ``folder``, stopped at the end.

    Its own session keeps Ctrl-C from reaching it, so that it is stopped in order; the end of its
    standard input stops it when this process ends.
    """
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 (fixed arguments)
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    with process:
        try:
            yield process
        finally:
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Terminate the process and those that it started; kill them after ``STOP_SECONDS``."""
    signal_all(process, signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        signal_all(process, signal.SIGKILL)


def signal_all(process: subprocess.Popen[bytes], sent: signal.Signals) -> None:
    """Send a signal to a process and those that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, sent)


def free_ports(count: int) -> list[int]:
    """Free loopback ports."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return [int(one.getsockname()[1]) for one in sockets]
