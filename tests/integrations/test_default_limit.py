"""How much of a platform is read where nobody has said how much."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

import halo_integrations as halo
from halo_adapters.langfuse.reader import iso
from halo_integrations.options.selection import DEFAULT_LIMIT
from halo_integrations.testing.conformance import row
from halo_integrations.testing.langfuse import LangfuseServer

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
MORE = DEFAULT_LIMIT + 5


@pytest.fixture(scope="module")
def server() -> Iterator[LangfuseServer]:
    """A project with five traces more than are read without a word."""
    with LangfuseServer() as server:
        server.add_observations(
            {
                "id": f"r{number}",
                "traceId": f"t{number}",
                "type": "AGENT",
                "name": "agent",
                "startTime": iso(BEGIN + timedelta(minutes=number)),
            }
            for number in range(MORE)
        )
        yield server


@pytest.fixture
def pull(server: LangfuseServer, tmp_path: Path) -> Any:
    """``halo.pull`` from the server: how many traces, and what was said meanwhile."""

    def call(**options: Any) -> tuple[int, str]:
        settings = {
            "base_url": server.url,
            "public_key": server.public_key,
            "secret_key": server.secret_key,
        }
        notices: list[str] = []
        pulled = halo.pull(
            "langfuse",
            settings=settings,
            home=tmp_path,
            on_notice=lambda notice: notices.append(notice.text),
            **options,
        )
        return pulled.traces, " ".join(notices)

    return call


def test_without_a_word_about_it_the_newest_thousand_are_read(pull: Any) -> None:
    traces, said = pull()
    assert traces == DEFAULT_LIMIT
    assert "Nothing says how much to read, so this reads the newest 1,000 traces" in said
    assert "`--since all`" in said


def test_the_first_run_since_the_last_one_is_bounded_too(pull: Any) -> None:
    traces, said = pull(since="last")
    assert traces == DEFAULT_LIMIT
    assert "No earlier run with these filters is complete" in said
    assert "`--since last` reads the newest 1,000 traces" in said


@pytest.mark.parametrize(
    ("options", "read"),
    [
        ({"since": "all"}, MORE),
        ({"since": BEGIN}, MORE),
        ({"limit": DEFAULT_LIMIT + 2}, DEFAULT_LIMIT + 2),
        ({"sample": 3}, 3),
        ({"trace_ids": ["t1", "t2"]}, 2),
    ],
)
def test_what_is_asked_for_is_read(pull: Any, options: dict[str, Any], read: int) -> None:
    assert pull(**options) == (read, "")


def test_a_file_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    rows = (row(n, 1, "AGENT", "support", {"input.value": "?"}) for n in range(1, MORE + 1))
    path.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    assert halo.pull(path, home=tmp_path / "home").traces == MORE
