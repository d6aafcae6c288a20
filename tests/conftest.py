"""Fixtures that several test modules share: a real Phoenix server, and what the tests leave."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import settings

from halo_integrations.testing.phoenix.server import EmbeddedPhoenix

# What is started in the background ignores Ctrl-C, and so would every command that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no fault of the code: nothing here is measured by the clock. A change is judged
# by the same examples each time; `--hypothesis-profile=search` looks for new ones.
settings.register_profile("default", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, derandomize=False, max_examples=5000)

ARTIFACTS = Path(__file__).parents[1] / "artifacts"
SERVERS = {"phoenix", "phoenix_with_auth", "own_phoenix"}


@pytest.fixture(scope="session")
def phoenix() -> Iterator[EmbeddedPhoenix]:
    """A Phoenix server for all tests; each works in a project of its own."""
    with EmbeddedPhoenix() as server:
        yield server


@pytest.fixture(scope="session")
def phoenix_with_auth() -> Iterator[EmbeddedPhoenix]:
    """A Phoenix server that lets nobody in without its ``api_key``."""
    with EmbeddedPhoenix(auth=True) as server:
        yield server


@pytest.fixture
def own_phoenix() -> EmbeddedPhoenix:
    """A server for one test, not started yet."""
    return EmbeddedPhoenix()


@pytest.fixture
def phoenix_project() -> str:
    """The name of a project that nobody else uses."""
    return f"test-{uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """The folder for what people want to look at after the tests."""
    ARTIFACTS.mkdir(exist_ok=True)
    return ARTIFACTS


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give all tests that need a server to one worker, so that it starts once."""
    for item in items:
        if SERVERS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.server)
            item.add_marker(pytest.mark.xdist_group("phoenix"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left to look at."""
    for file in sorted(ARTIFACTS.glob("*")):
        terminalreporter.write_line(f"artifact: {file}")
