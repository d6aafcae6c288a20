"""git, asked about the folder of an agent's code: read-only, and bounded in time and output.

It runs without hooks, without system and user configuration, without external diff programs and
filters, and without network access: a repository can configure programs, and none of them is run.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

from halo_engine.errors import EngineError

GIT_SECONDS = 20
GIT_BYTES = 20_000_000
GIT = (
    *("git", "--literal-pathspecs", "--no-pager"),
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"),
    *("-c", f"core.attributesFile={os.devnull}", "-c", "protocol.allow=never"),
    *("-c", "log.showSignature=false", "-c", "diff.submodule=short"),
)
GIT_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
}


def git_output(folder: Path, *arguments: str) -> str | None:
    """The output of git in ``folder``; None if it fails or is not installed.

    Raises ``EngineError`` if it takes too long or writes too much.
    """
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    try:
        process = subprocess.Popen(  # noqa: S603 - fixed options; paths come after --
            [*GIT, *arguments],
            cwd=folder,
            env={**inherited, **GIT_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None
    output = bounded_output(process)
    return None if process.returncode else output.decode("utf-8", "replace")


def bounded_output(process: subprocess.Popen[bytes]) -> bytes:
    """What ``process`` writes until it ends.

    Raises ``EngineError`` if that is more than ``GIT_BYTES`` or takes longer than ``GIT_SECONDS``.
    """
    assert process.stdout is not None
    end = time.monotonic() + GIT_SECONDS
    watchdog = threading.Timer(GIT_SECONDS, process.kill)
    watchdog.start()
    try:
        output = process.stdout.read(GIT_BYTES)
        if len(output) == GIT_BYTES or time.monotonic() > end:
            process.kill()
            raise EngineError("git took too long or had too much to say: narrow it.")
    finally:
        process.communicate()
        watchdog.cancel()
    return output
