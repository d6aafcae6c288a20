"""The Phoenix server of the demo and the tests."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import pytest

from halo_engine.errors import ConfigError, Unavailable
from halo_integrations.testing.phoenix.server import PHOENIX, EmbeddedPhoenix
from loopback import is_open


def test_the_server_is_ready_when_the_block_begins(phoenix: EmbeddedPhoenix) -> None:
    assert httpx.get(f"{phoenix.base_url}/readyz").status_code == 200


def test_the_server_listens_on_loopback_only(phoenix: EmbeddedPhoenix) -> None:
    for port in (phoenix.port, phoenix.grpc_port):
        assert is_open(port)
        assert not is_open(port, "127.0.0.2")


def test_without_auth_there_is_no_key(phoenix: EmbeddedPhoenix) -> None:
    assert phoenix.api_key is None
    assert httpx.get(f"{phoenix.base_url}/v1/projects").status_code == 200


def test_with_auth_only_the_api_key_is_accepted(phoenix_with_auth: EmbeddedPhoenix) -> None:
    url = f"{phoenix_with_auth.base_url}/v1/projects"
    answers = [
        httpx.get(url, headers={"authorization": f"Bearer {key}"}).status_code
        for key in ("wrong", phoenix_with_auth.api_key)
    ]
    assert answers == [401, 200]


def test_a_server_that_cannot_start_shows_the_end_of_its_log() -> None:
    without_phoenix = EmbeddedPhoenix(Path(sys.executable))
    with pytest.raises(Unavailable, match=r"ended with code 1(?s:.)*ModuleNotFoundError"):
        without_phoenix.__enter__()


@pytest.mark.server
def test_a_server_that_takes_too_long_is_an_error() -> None:
    slow = EmbeddedPhoenix(start_seconds=0)
    with pytest.raises(Unavailable, match="not ready after 0 seconds"):
        slow.__enter__()
    assert not is_open(slow.port)


def test_the_users_own_phoenix_settings_do_not_reach_the_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PHOENIX_SQL_DATABASE_URL", "postgresql://somewhere/else")
    monkeypatch.setenv("PHOENIX_ENABLE_AUTH", "true")
    monkeypatch.setenv("HOME", "/home/amara")
    environment = EmbeddedPhoenix().environment(tmp_path)
    assert "PHOENIX_SQL_DATABASE_URL" not in environment
    assert "PHOENIX_ENABLE_AUTH" not in environment
    assert environment["HOME"] == "/home/amara"
    assert environment["PHOENIX_TELEMETRY_ENABLED"] == "false"
    assert environment["PHOENIX_ALLOW_EXTERNAL_RESOURCES"] == "false"


def test_an_environment_that_is_complete_is_used_as_it_is(tmp_path: Path) -> None:
    messages: list[str] = []
    (tmp_path / "installed").write_text(" ".join(PHOENIX.requirements))
    assert PHOENIX.ensure(tmp_path, messages.append).parent.parent == tmp_path
    assert messages == []


def test_an_installation_that_fails_shows_its_output(tmp_path: Path) -> None:
    in_the_way = tmp_path / "environment"
    in_the_way.write_text("a file where the folder should be")
    with pytest.raises(ConfigError, match=r"-m venv(?s:.)*HALO_PHOENIX_ENV(?s:.)*environment"):
        PHOENIX.ensure(in_the_way)
