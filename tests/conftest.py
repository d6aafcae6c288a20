"""Shared fixtures, and the handling of tests whose external tools are missing.

A test with the marker ``bubblewrap`` or ``browser`` is skipped where that tool is missing; one line
at the start and one at the end report it. With ``CI=true`` in the environment the run then fails.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import settings

import mlflow_data
from external_tools import missing_tools
from halo_engine.executors.ray_cluster import connected_ray
from halo_integrations.testing.mlflow import EmbeddedMLflow
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix
from loopback import is_open
from prepared import close_forker

# A process in the background may inherit an ignored SIGINT, and pass it on to each command of a test.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests do not depend on the speed of the machine. A change is tested on the same examples each
# time; `--hypothesis-profile=search` looks for new ones.
settings.register_profile("default", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, derandomize=False, max_examples=5000)

ARTIFACTS = Path(__file__).parents[1] / "artifacts"
# The fixtures of servers that take long to start: all tests of one are for one worker.
SERVERS = ("phoenix", "phoenix_with_auth", "mlflow", "ray_cluster")
MISSING = pytest.StashKey[dict[str, str]]()
LEFT_OUT = "left out: "


@pytest.fixture(scope="session")
def phoenix() -> Iterator[EmbeddedPhoenix]:
    """A Phoenix server for all tests; each works in a project of its own."""
    with EmbeddedPhoenix() as server:
        yield server
    assert not is_open(server.port)
    assert not is_open(server.grpc_port)


@pytest.fixture(scope="session")
def phoenix_with_auth() -> Iterator[EmbeddedPhoenix]:
    """A Phoenix server that refuses requests without its ``api_key``."""
    with EmbeddedPhoenix(auth=True) as server:
        yield server
    assert not is_open(server.port)


@pytest.fixture
def phoenix_project() -> str:
    """The name of a project that no other test uses."""
    return f"test-{uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def mlflow() -> Iterator[EmbeddedMLflow]:
    """An MLflow server for all tests; each works in an experiment of its own."""
    with EmbeddedMLflow() as server:
        yield server
    assert not is_open(server.port)


@pytest.fixture
def mlflow_experiment(mlflow: EmbeddedMLflow) -> str:
    """The id of an experiment that no other test uses."""
    return mlflow_data.create_experiment(mlflow.base_url, f"test-{uuid4().hex[:12]}")


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[str]:
    """A Ray of two workers, which what this process gives to Ray is done by."""
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # they import modules of the tests
    ray = connected_ray(None, 2)
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """The folder for files to inspect after the tests, such as screenshots."""
    ARTIFACTS.mkdir(exist_ok=True)
    return ARTIFACTS


# -- tests whose tools are missing -----------------------------------------------------------------


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is a worker of pytest-xdist."""
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    """Look for the tools; a worker receives the result of the controller."""
    worker: dict[str, Any] = getattr(config, "workerinput", {})
    config.stash[MISSING] = worker["missing_tools"] if is_worker(config) else missing_tools()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Pass the missing tools to a worker of pytest-xdist."""
    node.workerinput["missing_tools"] = node.config.stash[MISSING]


def pytest_report_header(config: pytest.Config) -> list[str]:
    """One line for each kind of test that will be left out."""
    return [f"LEFT OUT: {marker} tests, {why}" for marker, why in config.stash[MISSING].items()]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests whose tool is missing; give all that share a server to one worker."""
    for item in items:
        for marker, why in config.stash[MISSING].items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=f"{LEFT_OUT}{marker}: {why}"))
        for server in SERVERS:
            if server in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.server)
                item.add_marker(pytest.mark.xdist_group(server))


def pytest_collection_finish() -> None:
    """Keep what was imported and collected out of every later search for garbage."""
    gc.freeze()


def left_out(reporter: pytest.TerminalReporter) -> dict[str, int]:
    """How many tests were skipped for each missing tool."""
    reasons = [str(report.longrepr) for report in reporter.stats.get("skipped", ())]
    counts = {
        marker: sum(f"{LEFT_OUT}{marker}: " in reason for reason in reasons)
        for marker in reporter.config.stash[MISSING]
    }
    return {marker: count for marker, count in counts.items() if count}


def fails_when_left_out() -> bool:
    """Whether a test that is left out makes the run fail."""
    return os.environ.get("CI", "").lower() in ("true", "1")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the forker of commands; with ``CI=true``, fail if tests were left out."""
    close_forker()
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or is_worker(session.config) or not fails_when_left_out():
        return
    if left_out(reporter) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the artifacts, and the tests that were left out."""
    for file in sorted(ARTIFACTS.glob("*")):
        terminalreporter.write_line(f"artifact: {file}")
    failed = " (an error, because CI=true)" if fails_when_left_out() else ""
    for marker, count in left_out(terminalreporter).items():
        why = terminalreporter.config.stash[MISSING][marker]
        tests = "test" if count == 1 else "tests"
        line = f"LEFT OUT{failed}: {count} {marker} {tests}, {why}"
        terminalreporter.write_line(line, yellow=not failed, red=bool(failed), bold=True)
