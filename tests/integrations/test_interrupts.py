"""Ctrl-C and SIGTERM: what a command makes of them, wherever they come."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from halo_cli import QUIET
from halo_integrations.cli.interrupts import Interrupts
from halo_integrations.cli.repeating import StopRequest
from loopback import Answer, Request, serving

WHILE_AN_OBJECT_IS_DELETED = """
import contextlib, signal, sys, threading
from halo_integrations.cli import collect
from halo_integrations.cli.interrupts import handle_interrupts

class Deleted:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

handle_interrupts()
blocks = {"any": contextlib.nullcontext, "collect": collect.ended_by_signals}
try:
    with blocks[sys.argv[1]]():
        Deleted()
        threading.Event().wait()
except KeyboardInterrupt:
    print("interrupted")
"""

WHILE_IT_STARTS = """
import signal, sys
from halo_integrations.cli import main

class Finder:
    def find_spec(name, *_):
        if name == "halo_integrations.cli.commands":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Finder)
main(["--help"])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_stopped_prints_how_to_continue_and_no_traceback(
    number: signal.Signals, tmp_path: Path
) -> None:
    requested, ended = threading.Event(), threading.Event()

    def respond(_: Request) -> Answer:
        requested.set()
        ended.wait(20)  # no answer before the interrupt
        return Answer(503, b"busy")

    with serving(respond) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "halo_integrations", "run", "phoenix", "--yes"],
            cwd=tmp_path,
            env={**os.environ, **QUIET, "PHOENIX_BASE_URL": server.url},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert requested.wait(20)
        process.send_signal(number)
        _, printed = process.communicate(timeout=20)
        ended.set()
    assert process.returncode == 130
    assert "a pull or an undo by the same command" in printed
    assert "an analysis by `halo-integrations analyze last`" in printed
    assert "a write by `halo-integrations annotate last`" in printed
    assert "Traceback" not in printed


def test_a_second_press_of_ctrl_c_does_not_break_what_the_first_began_to_end() -> None:
    interrupts = Interrupts()
    with pytest.raises(KeyboardInterrupt):
        interrupts(signal.SIGINT, None)
    interrupts(signal.SIGINT, None)


def test_ctrl_c_pressed_twice_asks_a_watch_once_to_end_where_nothing_is_half_done() -> None:
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            stop.check()


@pytest.mark.parametrize("command", ["any", "collect"])
def test_an_interrupt_while_an_object_is_deleted_is_neither_lost_nor_printed(command: str) -> None:
    done = python(WHILE_AN_OBJECT_IS_DELETED, command)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")


def test_an_interrupt_while_a_command_starts_ends_it_without_a_traceback() -> None:
    done = python(WHILE_IT_STARTS)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)
