"""A platform that refuses in the middle of a pull: what is said and kept, and who completes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fault_proxy import FaultProxy, Harm, answering, proxying
from halo_adapters.langfuse.reader import iso
from halo_cli import Halo
from halo_integrations.testing.langfuse import LangfuseServer
from langfuse_data import environment
from loopback import Request

TRACES = 6000
PULL = ("pull", "langfuse", "--since", "all")


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    """A proxy before a project that takes several requests to read."""
    with LangfuseServer() as server, proxying(server.url) as proxy:
        begin = datetime(2026, 1, 5, tzinfo=UTC)
        server.add_observations(
            {
                "id": f"r{number}",
                "traceId": f"t{number}",
                "type": "AGENT",
                "name": "agent",
                "startTime": iso(begin + timedelta(minutes=number)),
            }
            for number in range(TRACES)
        )
        yield proxy


@pytest.fixture
def halo(tmp_path: Path, proxy: FaultProxy) -> Halo:
    with LangfuseServer() as keys:
        return Halo(tmp_path, **{**environment(keys), "LANGFUSE_BASE_URL": proxy.url})


def is_reading(request: Request) -> bool:
    return "metadata" in request.target and request.path.endswith("/v2/observations")


def test_a_refusal_in_the_middle_is_partial_and_the_same_command_completes_it(
    halo: Halo, proxy: FaultProxy
) -> None:
    seen: list[int] = []

    def harm(number: int, request: Request) -> Harm | None:
        if not is_reading(request):
            return None
        seen.append(number)
        return answering(401, b"Invalid credentials") if len(seen) > 5 else None

    proxy.do(harm)
    done = halo(*PULL)
    assert done.returncode == 3
    assert "LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY" in done.stderr
    assert "traces were read: the same command resumes run" in done.stderr
    (listed,) = json.loads(halo("runs", "--json").stdout)
    assert listed["stage"] == "pulling"
    assert 0 < listed["traces"] < TRACES
    proxy.do(lambda _number, _request: None)
    assert halo(*PULL).returncode == 0
    (listed,) = json.loads(halo("runs", "--json").stdout)
    assert (listed["stage"], listed["traces"]) == ("pulled", TRACES)


def test_a_refusal_before_anything_is_read_is_a_matter_of_the_configuration(
    halo: Halo, proxy: FaultProxy
) -> None:
    proxy.do(lambda _number, _request: answering(401, b"Invalid credentials"))
    assert halo(*PULL).returncode == 2
    assert json.loads(halo("runs", "--json").stdout) == []
