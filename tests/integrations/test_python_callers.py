"""Callers of Python: the types that they have at hand, event loops, threads, and clear errors."""

from __future__ import annotations

import asyncio
import gc
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

import halo_integrations as halo
from halo_engine.errors import ConfigError, EngineError
from halo_integrations.testing.conformance import sample_rows
from model_endpoint import Analyst, code, endpoint


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    """Six traces from 13:00 to 18:00 UTC on 5 January 2026."""
    path = tmp_path / "traces.jsonl"
    path.write_bytes(b"\n".join(map(orjson.dumps, sample_rows())))
    return path


@pytest.mark.parametrize(
    ("since", "traces_read"),
    [
        (datetime(2026, 1, 5, 15, tzinfo=UTC), 4),
        (datetime(2026, 1, 5, 15), 4),  # noqa: DTZ001 - without an offset it is UTC
        (date(2026, 1, 5), 6),
        ("2026-01-05T15:00:00Z", 4),
        (timedelta(days=100_000), 6),
        (None, 6),
    ],
)
def test_a_window_may_be_a_datetime_a_date_a_timedelta_or_a_text(
    traces: Path, tmp_path: Path, since: Any, traces_read: int
) -> None:
    assert halo.pull(traces, since=since, home=tmp_path / "home").traces == traces_read


def test_a_window_in_datetimes_has_an_end(traces: Path, tmp_path: Path) -> None:
    begin = datetime(2026, 1, 5, 14, tzinfo=UTC)
    end = begin + timedelta(hours=2)
    assert halo.pull(traces, since=begin, until=end, home=tmp_path / "home").traces == 2


def test_a_path_may_be_a_path_or_a_text_everywhere(traces: Path, tmp_path: Path) -> None:
    background = tmp_path / "about.md"
    background.write_text("A shop in Oslo.", encoding="utf-8")
    (tmp_path / "halo.toml").write_text("[run]\nmax_annotations = 7\n")
    with endpoint(Analyst([])) as server:
        for as_given in (Path, str):
            result = halo.run(
                as_given(traces),
                home=as_given(tmp_path / "home"),
                config_file=as_given(tmp_path / "halo.toml"),
                code=as_given(tmp_path),
                background=background,
                model="scripted",
                model_url=server.url,
                token_budget=10**6,
            )
            assert result.report.traces == 6
        assert "A shop in Oslo." in str(server.prompts[0])


def test_a_store_is_opened_by_a_path_or_a_text(traces: Path, tmp_path: Path) -> None:
    stored = halo.pull(traces, home=tmp_path / "home").folder / "traces"
    for path in (stored, str(stored)):
        with halo.TraceStore(path, read_only=True) as store:
            assert store.count() == 6
            assert store.sql("SELECT count(*) AS n FROM traces") == [{"n": 6}]


def test_a_running_event_loop_is_no_obstacle(traces: Path, tmp_path: Path) -> None:
    async def cell() -> halo.Result:
        return halo.run(
            traces,
            home=tmp_path / "home",
            model="scripted",
            model_url=server.url,
            token_budget=10**6,
        )

    with endpoint(Analyst([code("print(ask('What is it?', 'a word'))")])) as server:
        result = asyncio.run(cell())
    assert result.report.analysis is not None
    assert result.report.analysis.is_complete


def test_several_threads_run_at_once_on_one_home(traces: Path, tmp_path: Path) -> None:
    def run(_: int) -> halo.Result:
        return halo.run(traces, home=tmp_path / "home", fresh=True)

    before = gc.get_threshold()
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(run, range(4)))
    assert len({result.run_id for result in results}) == 4
    assert {result.report.traces for result in results} == {6}
    assert gc.get_threshold() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"since": 5}, "The option since is not valid.*a datetime, a date"),
        ({"until": ["24h"]}, "The option until is not valid"),
        ({"since": timedelta(days=10**6)}, "--since .* is not a time"),
        ({"since": "9999999999d"}, "--since '9999999999d' is not a time"),
        ({"limit": "many"}, "The option limit is not valid"),
        ({"metadata": {"a": object()}}, "The option metadata is not valid"),
        ({"home": 5}, "The option home is not valid"),
        ({"on_progress": "print"}, "The option on_progress is not valid"),
        ({"detectors": ["D01"]}, "The option detectors holds 'D01', which is no Detector"),
        ({"model": 5}, "The option model is not valid.*a int has no name"),
        ({"model": "m", "code": "nowhere"}, "The folder nowhere"),
        ({"model": "m", "background": Path("nowhere.md")}, "nowhere.md cannot be read as text"),
        ({"session_id": "a\udcff"}, "session_id: .* is not text"),
        ({"annotate": True}, "takes no annotations, so annotate=True would have no effect"),
    ],
)
def test_a_wrong_argument_is_an_error_that_names_it(
    traces: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        halo.run(traces, **{"home": tmp_path / "home", **options})
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("source", [None, 5, "", b"phoenix"])
def test_a_source_that_is_none_is_refused(source: Any) -> None:
    with pytest.raises(ConfigError, match="The source is the name of a platform or a path"):
        halo.pull(source)


def test_a_file_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not text in this locale"):
        halo.pull(tmp_path / "caf\udce9.jsonl")


def test_a_store_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="There is no trace store at"):
        halo.TraceStore(str(tmp_path / "none.duckdb"), read_only=True)
    with pytest.raises(ConfigError, match="not a int"):
        halo.TraceStore(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("keyword", "meant"),
    [("session", "session_id"), ("trace_name", "names"), ("context", "background")],
)
def test_the_name_of_a_flag_leads_to_the_keyword(traces: Path, keyword: str, meant: str) -> None:
    with pytest.raises(TypeError, match=f"Did you mean '{meant}'"):
        halo.run(traces, **{keyword: "x"})


def test_the_help_of_a_verb_names_flags_that_are_spelled_otherwise() -> None:
    text = halo.run.__doc__ or ""
    assert "session_id: Only traces of this session. On the command line --session." in text
    assert "--since" not in text, "it is spelled like its keyword"


def test_the_result_can_be_written_as_json(traces: Path, tmp_path: Path) -> None:
    result = halo.run(traces, since=date(2026, 1, 5), home=tmp_path / "home")
    assert json.loads(result.model_dump_json())["run_id"] == result.run_id
