"""A real Phoenix server for the demo and the tests, in an environment of its own.

The server package is large (about 850 MB) and slows the imports of the environment that it is
installed in, so it gets a virtual environment in the cache folder, made once.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from filelock import FileLock

from halo_engine.errors import ConfigError, Unavailable
from halo_integrations.testing.phoenix import launcher

PHOENIX_REQUIREMENT = "arize-phoenix>=20,<21"
PHOENIX_MAJOR = 20
START_SECONDS = 120.0
STOP_SECONDS = 15.0
LOOPBACK = "127.0.0.1"
USER_SETTINGS = ("PHOENIX_", "OTEL_")
LOG_TAIL_LINES = 20

Progress = Callable[[str], None]


def no_progress(message: str) -> None:
    """Ignore progress messages: the default."""


def default_folder() -> Path:
    """The folder of the environment: ``HALO_PHOENIX_ENV``, else one in the user's cache."""
    if chosen := os.environ.get("HALO_PHOENIX_ENV"):
        return Path(chosen)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    python = f"py{sys.version_info.major}.{sys.version_info.minor}"
    return cache / "halo-integrations" / f"phoenix-{PHOENIX_MAJOR}-{python}"


def ensure_environment(folder: Path | None = None, progress: Progress = no_progress) -> Path:
    """Install Phoenix into ``folder`` unless it is there; returns the Python that has it.

    A marker is written last, so that an interrupted installation is done again; a lock keeps two
    processes from installing at once. Raises ``ConfigError`` when it fails.
    """
    folder = folder or default_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    marker = folder / "installed"
    with FileLock(folder.with_name(folder.name + ".lock")):
        if not marker.exists():
            progress(f"Installing {PHOENIX_REQUIREMENT} into {folder} (once, about 850 MB)")
            install(folder)
            marker.write_text(PHOENIX_REQUIREMENT)
    return python_of(folder)


def python_of(folder: Path) -> Path:
    """The interpreter of the virtual environment in ``folder``."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def install(folder: Path) -> None:
    """Create the virtual environment, replacing what is there, and install Phoenix."""
    run_step([sys.executable, "-m", "venv", "--clear", str(folder)])
    pip = [str(python_of(folder)), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    run_step([*pip, "install", PHOENIX_REQUIREMENT])


def run_step(command: list[str]) -> None:
    """Run one command of the installation; its output is part of the error when it fails."""
    done = subprocess.run(  # noqa: S603 (fixed arguments)
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise ConfigError(
            f"The environment for Phoenix could not be made: `{' '.join(command)}` ended with "
            f"{done.returncode}. Fix the error below and try again, or name a folder that has "
            f"Phoenix in HALO_PHOENIX_ENV.\n{tail(done.stdout)}"
        )


def tail(text: str) -> str:
    """The last lines of ``text``."""
    return "\n".join(text.splitlines()[-LOG_TAIL_LINES:])


class EmbeddedPhoenix:
    """A Phoenix server that lives as long as the ``with`` block.

    It keeps everything in a temporary folder, listens on free loopback ports, sends no telemetry
    and reads none of the user's ``PHOENIX_*`` settings. With ``auth`` it refuses requests without
    ``api_key``. It ends with its parent, even when that one is killed.
    """

    def __init__(
        self,
        python: Path | None = None,
        *,
        auth: bool = False,
        start_seconds: float = START_SECONDS,
        progress: Progress = no_progress,
    ) -> None:
        """``python`` is an interpreter that has Phoenix; None: made when it is needed."""
        self.python = python
        self.api_key = f"a1{secrets.token_hex(32)}" if auth else None
        self.start_seconds = start_seconds
        self.progress = progress
        self.port, self.grpc_port = 0, 0

    @property
    def base_url(self) -> str:
        """The address of the server."""
        return f"http://{LOOPBACK}:{self.port}"

    def __enter__(self) -> Self:
        """Start the server, and wait until it is ready.

        Raises ``Unavailable`` with the end of the server's log if it does not start in time.
        """
        python = self.python or ensure_environment(progress=self.progress)
        self.progress("Starting Phoenix")
        self.port, self.grpc_port = free_ports()
        with ExitStack() as stack:
            folder = Path(stack.enter_context(temporary_folder()))
            process = stack.enter_context(serving(python, folder, self.environment(folder)))
            self.wait_until_ready(process, folder / "server.log")
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
        """The server's environment variables: the user's, without settings of Phoenix and OTel."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(USER_SETTINGS)}
        settings = {
            "TMPDIR": str(folder),
            "PHOENIX_WORKING_DIR": str(folder),
            "PHOENIX_HOST": LOOPBACK,
            "PHOENIX_PORT": str(self.port),
            "PHOENIX_GRPC_PORT": str(self.grpc_port),
            "PHOENIX_TELEMETRY_ENABLED": "false",
            "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
        }
        return inherited | settings | self.auth_settings()

    def auth_settings(self) -> dict[str, str]:
        """The variables that switch authentication on, with the admin secret as the API key."""
        if self.api_key is None:
            return {}
        return {
            "PHOENIX_ENABLE_AUTH": "true",
            "PHOENIX_SECRET": f"s1{secrets.token_hex(32)}",
            "PHOENIX_ADMIN_SECRET": self.api_key,
        }

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
        """Whether the server reports that it is ready, which includes its database."""
        with suppress(httpx.TransportError):
            url = f"{self.base_url}/readyz"
            return httpx.get(url, timeout=5, trust_env=False).is_success
        return False

    def not_started(self, reason: str, log: Path) -> Unavailable:
        """The error with the last lines of the server's log."""
        log_tail = tail(log.read_text(errors="replace")) or "(nothing)"
        return Unavailable(
            f"The embedded Phoenix on {self.base_url} did not start: {reason}. The end of its log "
            f"shows why; if its installation is broken, delete {default_folder()} and try again.\n"
            f"{log_tail}",
            platform="phoenix",
            request="GET /readyz",
        )


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for the database and the log, removed at the end."""
    return tempfile.TemporaryDirectory(prefix="halo-phoenix-", ignore_cleanup_errors=True)


@contextmanager
def serving(
    python: Path, folder: Path, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """The server process in ``folder``, stopped at the end.

    Its own session keeps Ctrl-C from reaching it, so that it is stopped in order; the end of its
    standard input stops it when this process ends.
    """
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 (fixed arguments)
            [python, "-I", launcher.__file__, folder],
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
    """Terminate the process; kill it if it has not ended after ``STOP_SECONDS``."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def free_ports() -> tuple[int, int]:
    """Two free loopback ports."""
    with socket.socket() as first, socket.socket() as second:
        first.bind((LOOPBACK, 0))
        second.bind((LOOPBACK, 0))
        return first.getsockname()[1], second.getsockname()[1]
