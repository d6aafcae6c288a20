"""Tests whose tools are missing are skipped, counted and reported; under CI that is an error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from external_tools import missing_tools

ROOT = Path(__file__).parents[1]
SUITE = """
import pytest
def test_that_needs_nothing(): pass
@pytest.mark.parametrize(
    "sandbox", ["monty", pytest.param("bubblewrap", marks=pytest.mark.bubblewrap)]
)
def test_of_both_sandboxes(sandbox): assert sandbox == "monty"
@pytest.mark.bubblewrap
def test_of_one_sandbox(): assert False
@pytest.mark.browser
def test_of_the_user_interface(): assert False
"""
NO_BUBBLEWRAP = (
    "2 bubblewrap tests, bwrap is not installed; to run them: apt-get install bubblewrap"
)
NO_BROWSER = (
    "1 browser test, none of chromium, chromium-browser, google-chrome is installed; "
    "to run them: apt-get install chromium"
)


def run_suite(folder: Path, *options: str, ci: str) -> subprocess.CompletedProcess[str]:
    """Run ``SUITE`` with the conftest of this suite where no program is installed."""
    suite = folder / "test_suite.py"
    suite.write_text(SUITE)
    arguments = ["-p", "tests.conftest", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
    arguments += ["-c", str(ROOT / "pyproject.toml"), *options, str(suite)]
    search = os.pathsep.join(str(ROOT / name) for name in ("adapters", "tests/support"))
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=ROOT,
        env={**os.environ, "PATH": str(folder), "PYTHONPATH": search, "CI": ci},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_tests_left_out_are_counted_with_the_command_that_installs_their_tool(
    tmp_path: Path,
) -> None:
    done = run_suite(tmp_path, "-n", "1", ci="")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed, 3 skipped" in done.stdout
    start, _, end = done.stdout.partition("5 items")
    assert "LEFT OUT: bubblewrap tests, bwrap is not installed" in start
    assert end.count("LEFT OUT: ") == 2
    assert f"LEFT OUT: {NO_BUBBLEWRAP}" in end
    assert f"LEFT OUT: {NO_BROWSER}" in end


def test_tests_left_out_make_the_run_fail_under_ci(tmp_path: Path) -> None:
    done = run_suite(tmp_path, "-n", "0", ci="true")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert f"LEFT OUT (an error, because CI=true): {NO_BUBBLEWRAP}" in done.stdout
    assert f"LEFT OUT (an error, because CI=true): {NO_BROWSER}" in done.stdout


def test_a_bubblewrap_that_may_not_create_namespaces_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\necho 'bwrap: No permissions to create namespace' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "No permissions to create namespace; are user" in missing_tools()["bubblewrap"]


def test_nothing_is_missing_where_the_programs_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bwrap", "chromium"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing_tools() == {}
