"""An alternative sandbox: CPython in bubblewrap (Linux only).

The code has all of Python and its standard library, but no network, no files except those of the
Python installation, and cannot start processes or threads. A session cannot be dumped: its variables
are lost with its process.
"""

from __future__ import annotations

import json
import os
import platform
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ValidationError

from halo_engine.errors import SandboxLost
from halo_engine.rlm.sandbox.base import (
    PRELUDE,
    BoundedOutput,
    ExecutionResult,
    HostError,
    HostFunctions,
)
from halo_engine.text.unicode import valid_text

STEP_SECONDS = 20.0
MAX_LINE = 50_000_000
LOST = "The process was ended; all variables are lost. Host functions and findings are there."

# Linux audit architecture, and the numbers of system calls that start, watch or mount something:
# clone, fork, vfork, clone3, unshare, setns, ptrace, mount, bpf, perf_event_open, add_key,
# request_key, keyctl, userfaultfd, io_uring_setup (linux/audit.h, asm/unistd.h).
REFUSED = {
    "x86_64": (
        0xC000003E,
        (56, 57, 58, 435, 272, 308, 101, 165, 321, 298, 248, 249, 250, 323, 425),
    ),
    "aarch64": (0xC00000B7, (220, 435, 97, 268, 117, 40, 280, 241, 217, 218, 219, 282, 425)),
}
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050001, 0x80000000
X32 = 0x40000000


class HostCall(BaseModel):
    """A message of the driver: the code calls a host function."""

    call: str
    positional: list[Any] = []
    named: dict[str, Any] = {}


class StepEnd(BaseModel):
    """A message of the driver: the code has ended."""

    output: str = ""
    error: str | None = None


class BubblewrapSandbox:
    """A session in a separate process; the code of a step may run for ``seconds``."""

    def __init__(self, *, seconds: float = STEP_SECONDS) -> None:
        self._seconds = seconds
        self._process = start_process()
        self._unread = bytearray()

    def run(self, code: str, functions: HostFunctions) -> ExecutionResult:
        """See ``Sandbox``."""
        left = self._seconds
        self._send({"code": code, "names": list(functions)})
        while True:
            begin = time.monotonic()
            message = self._read(left)
            left -= time.monotonic() - begin
            if message is None:
                self._restart()
                return ExecutionResult(error=f"The step took too long or ended its process. {LOST}")
            if isinstance(message, StepEnd):
                return result_of(message, functions)
            self._send(host_reply(message, functions))

    def dump(self) -> bytes | None:
        """See ``Sandbox``: a session cannot be dumped."""
        return None

    def load(self, session: bytes) -> None:
        """See ``Sandbox``: there is never a dump to load."""

    def close(self) -> None:
        """See ``Sandbox``."""
        self._process.kill()
        self._process.communicate()

    def _send(self, value: dict[str, Any]) -> None:
        """Write one message; a process that does not read it in time is killed."""
        watchdog = threading.Timer(self._seconds, self._process.kill)
        watchdog.start()
        try:
            pipe(self._process.stdin).write(json.dumps(value, default=str).encode() + b"\n")
        except BrokenPipeError:
            return  # the next read reports it
        finally:
            watchdog.cancel()

    def _read(self, seconds: float) -> HostCall | StepEnd | None:
        """The next message; None if there is none within ``seconds``, or it is not valid."""
        end = time.monotonic() + seconds
        out = pipe(self._process.stdout)
        while b"\n" not in self._unread:
            ready, _, _ = select.select([out], [], [], max(0.0, end - time.monotonic()))
            part = os.read(out.fileno(), 2**16) if ready else b""
            if not part or len(self._unread) > MAX_LINE:
                return None
            self._unread += part
        line, _, rest = self._unread.partition(b"\n")
        self._unread = rest
        return parsed_message(bytes(line))

    def _restart(self) -> None:
        self.close()
        self._process, self._unread = start_process(), bytearray()


def start_process() -> subprocess.Popen[bytes]:
    """Start the driver in bubblewrap; raises ``SandboxLost`` if that is not possible here."""
    program = shutil.which("bwrap")
    if program is None or platform.machine() not in REFUSED:
        raise SandboxLost(
            "bubblewrap is not installed, or does not support this machine: install it (apt install "
            "bubblewrap), or use the default sandbox."
        )
    with tempfile.TemporaryFile() as filters:
        filters.write(seccomp())
        filters.seek(0)
        return subprocess.Popen(  # noqa: S603 - fixed arguments
            [program, *isolation(filters.fileno()), *python()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            pass_fds=[filters.fileno()],
        )


def isolation(filters: int) -> list[str]:
    """The options of bubblewrap; ``filters`` is the file descriptor of the seccomp filter."""
    system = ("/usr", "/lib", "/lib64", "/bin", sys.base_prefix)
    mounts = [part for path in system if Path(path).exists() for part in ("--ro-bind", path, path)]
    return [
        *("--unshare-all", "--die-with-parent", "--new-session", "--clearenv"),
        *("--cap-drop", "ALL", "--seccomp", str(filters)),
        *mounts,
        *("--proc", "/proc", "--dev", "/dev", "--size", "50000000", "--tmpfs", "/tmp"),  # noqa: S108
        *("--chdir", "/tmp", "--"),  # noqa: S108
    ]


def python() -> list[str]:
    """The command of the interpreter with the driver, without installed packages."""
    driver = files("halo_engine.rlm.sandbox").joinpath("bubblewrap_driver.py").read_text("utf-8")
    return [str(Path(sys.base_prefix) / "bin" / "python3"), "-I", "-S", "-u", "-c", driver, PRELUDE]


def seccomp() -> bytes:
    """A BPF program for the kernel's seccomp: refuse the system calls above, allow the others."""
    architecture, numbers = REFUSED[platform.machine()]
    rules = [
        (LOAD, 0, 0, 4),
        (EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, 0),
        (AT_LEAST, len(numbers), 0, X32),
    ]
    rules += [(EQUAL, len(numbers) - n, 0, number) for n, number in enumerate(numbers)]
    rules += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE)]
    return b"".join(struct.pack("=HBBI", *rule) for rule in rules)


def parsed_message(line: bytes) -> HostCall | StepEnd | None:
    """A message of the driver; None for any other line, which the code can write as well."""
    try:
        message = json.loads(line)
        return (HostCall if "call" in message else StepEnd).model_validate(message)
    except (ValueError, TypeError, RecursionError, ValidationError):
        return None


def host_reply(message: HostCall, functions: HostFunctions) -> dict[str, Any]:
    """The result of a host function as a message, or the error to raise in the calling code."""
    function = functions.get(message.call)
    if function is None:
        return {"error": f"There is no function {message.call[:100]!r}: {', '.join(functions)}."}
    try:
        return {"return": function(*message.positional, **message.named)}
    except HostError as error:
        return {"error": str(error)}


def result_of(message: StepEnd, functions: HostFunctions) -> ExecutionResult:
    """The result of a step from its last message."""
    printed = BoundedOutput()
    printed("stdout", message.output)
    error = valid_text(message.error or "")
    if "NameError" in error:
        error += f"Functions: {', '.join(functions)}"
    return printed.result(error or None)


def pipe(stream: IO[bytes] | None) -> IO[bytes]:
    """``stream``, which is not None because the process was started with a pipe for it."""
    assert stream is not None
    return stream
