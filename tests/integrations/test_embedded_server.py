"""How the server of any platform ends, shown on one that starts at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from loopback import is_open
from small_server import SmallServer

PARENT = "from small_server import serve_until_a_signal; serve_until_a_signal()"


def wait_until_gone(port: int, folder: Path) -> None:
    """Return when ``port`` is closed and ``folder`` is empty."""
    Retrying(retry=retry_if_result(bool), wait=wait_fixed(0.1), stop=stop_after_delay(30))(
        lambda: is_open(port) or list(folder.iterdir())
    )


def test_the_server_has_ended_after_the_block() -> None:
    """The fixtures of Phoenix and MLflow say it of these."""
    with SmallServer() as server:
        assert is_open(server.port)
    assert not is_open(server.port)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_the_server_and_its_folder_end_with_the_parent(
    sent: signal.Signals, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)},
    ) as parent:
        assert parent.stdout
        port = int(parent.stdout.readline())
        assert is_open(port)
        assert list(tmp_path.iterdir())
        parent.send_signal(sent)
    wait_until_gone(port, tmp_path)
