"""A full disk, and a read-only home: clear errors, and what is stored stays usable."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from corpora import synthetic
from halo_cli import QUIET, Halo
from synthetic import conversations
from trace_files import SPAN, row, written

FILL = "dd if=/dev/zero of=disk/filler bs=1024 2>/dev/null"
FREE = "rm disk/filler"


class Steps:
    """Commands in one shell, in a mount namespace of its own: the exit code and output of each."""

    def __init__(self, folder: Path, *mounts: str) -> None:
        self._folder = folder
        self._mounts = mounts

    def __call__(self, *steps: str) -> list[tuple[int, str]]:
        halo = f"{sys.executable} -m halo_integrations"
        commands = [step.replace("halo", halo, 1) for step in steps]
        lines = [f"({c}) >{n} 2>&1; echo $? >>codes" for n, c in enumerate(commands)]
        shell = ["bwrap", "--dev-bind", "/", "/", *self._mounts, "sh", "-c", "\n".join(lines)]
        subprocess.run(shell, cwd=self._folder, env={**os.environ, **QUIET}, check=True)
        codes = (self._folder / "codes").read_text().split()
        outputs = [(self._folder / str(n)).read_text(encoding="utf-8") for n in range(len(steps))]
        return list(zip(map(int, codes), outputs, strict=True))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "traces.jsonl").write_bytes(b"\n".join(map(orjson.dumps, synthetic())))
    (tmp_path / "disk").mkdir()
    return tmp_path


@pytest.mark.bubblewrap
def test_on_a_full_disk_a_command_says_so_and_goes_on_once_there_is_space(folder: Path) -> None:
    on_disk = Steps(folder, "--size", "4000000", "--tmpfs", str(folder / "disk"))
    home = "--home disk/home"
    results = on_disk(
        f"halo pull traces.jsonl {home}",
        FILL,
        f"halo analyze last {home}",
        f"halo runs {home}",
        FREE,
        f"halo run traces.jsonl {home}",
        f"halo analyze last {home}",
    )
    codes = [code for code, _ in results]
    assert codes == [0, 1, 3, 0, 0, 0, 0], results
    assert "home.sqlite cannot be used. The disk is full" in results[2][1]
    assert "Free some space, then give the same command again" in results[2][1]
    assert "pulled" in results[3][1]


@pytest.mark.bubblewrap
def test_a_pull_on_a_disk_that_gets_full_names_the_file_and_the_same_command_completes_it(
    folder: Path,
) -> None:
    """The store of so many traces takes more than what is left."""
    on_disk = Steps(folder, "--size", "100000000", "--tmpfs", str(folder / "disk"))
    (folder / "traces.jsonl").write_bytes(
        b"\n".join(map(orjson.dumps, conversations(1000, seed=7, loop_every=13)))
    )
    command = "halo pull traces.jsonl --home disk/home"
    half = "dd if=/dev/zero of=disk/filler bs=100000 count=987 2>/dev/null"
    results = on_disk(half, command, FREE, command)
    assert [code for code, _ in results] == [0, 3, 0, 0], results
    assert "traces cannot be used. The disk is full" in results[1][1]
    assert "the same command resumes run" in results[1][1]
    assert "1,000 traces" in results[3][1]


@pytest.mark.bubblewrap
def test_a_temporary_disk_that_gets_full_is_told_and_nothing_is_left_there(folder: Path) -> None:
    """Lines are sorted there by their traces, a stream is copied, log records wait for spans."""
    long = "x" * 4000
    written(folder, [row(f"t{n % 900}", f"s{n}", name=long) for n in range(2700)])
    message = {"eventName": "gen_ai.user.message", "body": {"stringValue": long}, "spanId": SPAN}
    records = ({**message, "traceId": f"{n + 1:032x}"} for n in range(2700))
    logs = [{"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]} for record in records]
    written(folder, logs, "logs.jsonl")
    on_disk = Steps(folder, "--size", "4000000", "--tmpfs", str(folder / "disk"))
    pull = f"TMPDIR={folder}/disk halo pull --home home"
    *pulls, left, runs = on_disk(
        f"{pull} traces.jsonl",
        f"{pull} - --limit 9 <traces.jsonl",
        f"{pull} logs.jsonl",
        "ls -A disk",
        "halo runs --home home",
    )
    for code, said in pulls:
        assert code == 3
        assert said.startswith(f"Error: {folder}/disk cannot be used. The disk is full"), said
        assert "Free some space, then give the same command again" in said
        assert said.count("\n") == 1
    assert left == (0, "")
    assert len(runs[1].splitlines()) == 1, "runs that have read nothing are left"


@pytest.mark.bubblewrap
def test_a_read_only_home_of_an_older_version_can_be_read(folder: Path) -> None:
    home = folder / "home"
    assert Halo(folder)("run", "traces.jsonl", "--home", home).returncode == 0
    with closing(sqlite3.connect(home / "home.sqlite")) as db:
        db.execute("ALTER TABLE tracked_runs DROP COLUMN traces")
        db.execute("UPDATE schema_versions SET version = 3 WHERE part = 'home'")
        db.commit()
    read_only = Steps(folder, "--ro-bind", str(home), str(home))
    results = read_only(
        "halo runs --home home",
        "halo report last --home home",
        "halo issues list --home home",
        "halo issues mute HALO-1 --reason known --home home",
    )
    assert [code for code, _ in results] == [0, 0, 0, 3], results
    assert "HALO-1" in results[2][1]
    assert "home.sqlite cannot be used. It is read-only for this user" in results[3][1]


@pytest.mark.bubblewrap
def test_a_run_of_the_first_versions_in_a_read_only_home_says_what_to_do(folder: Path) -> None:
    home = folder / "home"
    run = home / "runs" / "20250101-000000-abcd"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    read_only = Steps(folder, "--ro-bind", str(home), str(home))
    (listed, shown) = read_only("halo runs --home home", "halo report last --home home")
    assert listed[0] == 0
    for _, said in (listed, shown):
        assert "import.lock cannot be used. It is read-only" in " ".join(said.split())
        assert "Make its folder writable" in " ".join(said.split())


@pytest.mark.bubblewrap
def test_a_read_only_home_can_be_read_and_the_rest_names_what_cannot_be_written(
    folder: Path,
) -> None:
    home = folder / "home"
    assert Halo(folder)("run", "traces.jsonl", "--home", home).returncode == 0
    read_only = Steps(folder, "--ro-bind", str(home), str(home))
    results = read_only(
        "halo runs --home home",
        "halo report last --home home",
        "halo analyze last --home home",
        "halo run traces.jsonl --home home",
    )
    assert [code for code, _ in results] == [0, 0, 3, 3], results
    assert "It is read-only for this user" in results[2][1]
    assert "home.sqlite cannot be used" in results[3][1]
    assert "Make its folder writable, or choose another folder" in results[3][1]
