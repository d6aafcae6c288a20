"""The home: the order of its runs, watermarks, and several processes at once."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from halo_adapters.base import TraceQuery
from halo_engine.errors import ConfigError, StorageError
from halo_integrations.state.home import Runs
from halo_integrations.state.run import Run
from halo_integrations.state.values import Step
from halo_integrations.state.watermarks import Watermarks

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "halo"


def new(runs: Runs, **request: object) -> Run:
    return runs.create("scripted", request, TraceQuery())


def run_python(code: str, home: Path, count: int) -> list[int]:
    """The exit codes of ``count`` processes that execute ``code`` at the same time."""
    command = [sys.executable, "-c", code, str(home)]
    processes = [subprocess.Popen([*command, str(number)]) for number in range(count)]
    return [process.wait(60) for process in processes]


# -- runs ----------------------------------------------------------------------------------------


def test_last_is_the_newest_run_also_within_one_second(home: Path) -> None:
    runs = Runs(home)
    made = [new(runs).id for _ in range(20)]
    assert [run.id for run in runs.all()] == made[::-1]
    assert runs.get("last").id == made[-1]


def test_a_run_is_found_by_its_id_and_an_unknown_one_is_refused_with_the_newest(home: Path) -> None:
    runs = Runs(home)
    first, second = new(runs), new(runs)
    assert runs.get(first.id).folder == first.folder
    with pytest.raises(ConfigError, match=f"no run 'x' in .*: {second.id}, {first.id}"):
        runs.get("x")


def test_looking_for_runs_writes_nothing(home: Path) -> None:
    assert Runs(home).all() == []
    with pytest.raises(ConfigError, match="There is no run 'last'"):
        Runs(home).get("last")
    assert not home.exists()


def test_runs_are_found_where_their_index_was_lost(home: Path) -> None:
    runs = Runs(home)
    first = new(runs)
    (home / "home.sqlite").unlink()
    second = new(runs)
    assert [run.id for run in runs.all()] == [second.id, first.id]


def test_a_run_whose_folder_was_removed_is_not_listed(home: Path) -> None:
    runs = Runs(home)
    kept, removed = new(runs), new(runs)
    removed.discard()
    assert [run.id for run in runs.all()] == [kept.id]


def test_a_run_that_is_reserved_and_not_begun_is_not_listed(home: Path) -> None:
    runs = Runs(home)
    runs.reserve()
    assert runs.all() == []


def test_the_home_is_kept_out_of_git(home: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(home.parent)], check=True)
    new(Runs(home))
    status = ["git", "-C", str(home.parent), "status", "--porcelain", "--untracked-files=all"]
    assert subprocess.run(status, capture_output=True, check=True).stdout == b""


def test_a_home_that_cannot_be_created_is_named_with_the_option_to_choose_another(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be created. Choose another folder with --home"):
        new(Runs(tmp_path / "file" / "halo"))


def test_only_recent_runs_with_the_same_request_and_no_complete_pull_are_interrupted(
    home: Path,
) -> None:
    runs = Runs(home)
    old = new(runs, project="shop")
    old.update(created_at=datetime.now(UTC) - timedelta(hours=2))
    first, second = new(runs, project="shop"), new(runs, project="shop")
    new(runs, project="other")
    new(runs, project="shop").complete(Step.PULL)
    found = [run.id for run in runs.interrupted({"project": "shop"})]
    assert found == [second.id, first.id]


@pytest.mark.parametrize("name", ["project", "trace_ids"])
def test_an_interrupted_run_is_told_by_all_that_is_requested_but_the_settings(
    name: str, home: Path
) -> None:
    runs = Runs(home)
    run = new(runs, settings={"timeout": 9}, **{name: "this"})
    same, other = {name: "this", "settings": {"timeout": 1}}, {name: "another"}
    assert [found.id for found in runs.interrupted(same)] == [run.id]
    assert list(runs.interrupted(other)) == []


def test_processes_that_create_runs_at_once_lose_none(home: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from halo_adapters.base import TraceQuery\n"
        "from halo_integrations.state.home import Runs\n"
        "for _ in range(5): Runs(pathlib.Path(sys.argv[1])).create('x', {}, TraceQuery())"
    )
    assert run_python(code, home, 3) == [0, 0, 0]
    assert len(Runs(home).all()) == 15


# -- watermarks ----------------------------------------------------------------------------------


def test_a_watermark_moves_forward_only(home: Path) -> None:
    marks = Watermarks(home)
    assert marks.get("shop") is None
    marks.advance("shop", NOW)
    marks.advance("shop", NOW - timedelta(hours=1))
    assert marks.get("shop") == NOW


def test_processes_that_set_watermarks_at_once_keep_every_one(home: Path) -> None:
    code = (
        "import sys, pathlib, datetime\n"
        "from halo_integrations.state.watermarks import Watermarks\n"
        "now = datetime.datetime.now(datetime.UTC)\n"
        "for i in range(10): Watermarks(pathlib.Path(sys.argv[1])).advance(f'{sys.argv[2]}-{i}', now)"
    )
    assert run_python(code, home, 4) == [0, 0, 0, 0]
    keys = [f"{process}-{i}" for process in range(4) for i in range(10)]
    assert all(Watermarks(home).get(key) for key in keys)


def test_a_trace_is_open_until_it_settles_or_was_waited_for_long_enough(home: Path) -> None:
    marks, hour = Watermarks(home), timedelta(hours=1)
    marks.advance("shop", NOW, opened=["a", "b"])
    marks.advance("shop", NOW + hour, opened=["b", "c"], settled=["a"])
    assert marks.open_traces("shop") == ["b", "c"]
    assert marks.open_traces("other") == []
    marks.advance("shop", NOW + 2 * hour, waited_since=NOW + hour)
    assert marks.open_traces("shop") == ["c"]


def test_a_damaged_home_is_named_with_what_to_do(home: Path) -> None:
    runs = Runs(home)
    new(runs)
    (home / "home.sqlite").write_bytes(b"\0" * 5000)
    with pytest.raises(StorageError, match=r"home\.sqlite is damaged .* move it away"):
        runs.all()
