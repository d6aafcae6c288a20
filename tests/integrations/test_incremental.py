"""Incremental runs: when ``--since last`` moves on, and traces that go on after they were read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import halo_integrations as halo
from halo_cli import Halo
from halo_integrations.testing.langfuse import LangfuseServer, LangfuseVersion
from langfuse_data import environment

NOW = datetime.now(UTC)
MINUTE = timedelta(minutes=1)
TRACE = "0af7651916cd43dd8448eb211c80319c"
ROOT = "b7ad6b7169203331"


def line(span_id: str, at: datetime, parent: str | None = None, trace: str = TRACE) -> str:
    """A model call that was cut at its token limit, which every detector run finds."""
    return json.dumps(
        {
            "trace_id": trace,
            "span_id": span_id,
            "parent_span_id": parent,
            "name": "answer",
            "start_time": at.isoformat(),
            "end_time": (at + timedelta(seconds=1)).isoformat(),
            "status": {"code": "STATUS_CODE_OK"},
            "attributes": {
                "openinference.span.kind": "LLM",
                "input.value": "Where is it?",
                "output.value": "It is",
                "llm.finish_reason": "length",
            },
        }
    )


class Project:
    """A trace file and a home; every run is one of ``--since last``."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "traces.jsonl"
        self.halo = Halo(folder)

    def write(self, *lines: str) -> None:
        self.file.write_text("\n".join(lines) + "\n")

    def run(self, *flags: str) -> Any:
        done = self.halo("run", str(self.file), "--since", "last", "--json", *flags)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def traces(self, *flags: str) -> int:
        traces: int = self.run(*flags)["run"]["traces"]
        return traces


@pytest.fixture
def project(tmp_path: Path) -> Project:
    found = Project(tmp_path)
    found.write(line(ROOT, NOW - 20 * MINUTE))
    return found


# -- the watermark -------------------------------------------------------------------------------


def test_what_a_run_dealt_with_is_not_read_again(project: Project) -> None:
    assert [project.traces(), project.traces()] == [1, 0]


def test_a_dry_run_moves_nothing(project: Project) -> None:
    assert [project.traces("--dry-run"), project.traces()] == [1, 1]


def test_an_estimate_moves_nothing(project: Project) -> None:
    arguments = ("run", str(project.file), "--since", "last", "--estimate")
    model = ("--model", "openai/gpt-5", "--price", "1,1")
    assert project.halo(*arguments, *model).returncode == 0
    assert project.traces() == 1


def test_a_pull_alone_moves_nothing(project: Project) -> None:
    assert project.halo("pull", str(project.file), "--since", "last").returncode == 0
    assert project.traces() == 1


def test_a_limit_moves_nothing(project: Project) -> None:
    assert [project.traces("--limit", "1"), project.traces()] == [1, 1]


def test_without_an_earlier_run_it_says_that_everything_is_read(project: Project) -> None:
    done = project.halo("run", str(project.file), "--since", "last")
    assert "reads everything that there is" in done.stderr


# -- traces that go on ---------------------------------------------------------------------------


def test_a_trace_without_its_root_is_not_judged_as_broken_while_it_may_go_on(
    project: Project,
) -> None:
    project.write(line("c7ad6b7169203331", NOW - 20 * MINUTE, parent=ROOT))
    report = project.run()["report"]
    assert "orphan_span" not in {f["detector"] for f in report["findings"]}
    reasons = {n["detector"]: n["reason"] for n in report["not_judged"]}
    assert reasons["orphan_span"] == "read while more of it may have come"


def test_a_trace_without_its_root_is_broken_a_day_after_its_last_activity(
    project: Project,
) -> None:
    project.write(line("c7ad6b7169203331", NOW - timedelta(hours=25), parent=ROOT))
    assert "orphan_span" in {f["detector"] for f in project.run()["report"]["findings"]}


def test_a_trace_that_goes_on_is_read_again_whole_however_long_it_takes(project: Project) -> None:
    child = line("c7ad6b7169203331", NOW - 40 * MINUTE, parent=ROOT)
    project.write(child)
    assert project.traces() == 1
    project.write(child, line(ROOT, NOW - 41 * MINUTE))
    again = project.run()
    assert (again["run"]["traces"], again["run"]["spans"]) == (1, 2)
    assert project.traces() == 0


def test_a_trace_that_has_settled_is_not_read_again(project: Project) -> None:
    project.write(line(ROOT, NOW - 40 * MINUTE))
    assert [project.traces(), project.traces()] == [1, 0]


# -- a platform ----------------------------------------------------------------------------------


@pytest.fixture
def langfuse() -> Iterator[LangfuseServer]:
    with LangfuseServer(LangfuseVersion.V4) as server:
        server.send([json.loads(line(ROOT, NOW - 20 * MINUTE))])
        yield server


def run_langfuse(command: Halo, server: LangfuseServer, *flags: str, **env: str) -> tuple[int, int]:
    """The exit code, and how many traces were read."""
    arguments = ("run", "langfuse", "--since", "last", "--json", *flags)
    done = command(*arguments, **{**environment(server), "HALO_READ_BACK": "5", **env})
    assert done.returncode in (0, 3), done.stderr
    return done.returncode, json.loads(done.stdout)["run"]["traces"]


def test_a_failed_write_moves_nothing(langfuse: LangfuseServer, tmp_path: Path) -> None:
    command = Halo(tmp_path)
    langfuse.lose_scores = lambda score: True
    assert run_langfuse(command, langfuse, "--yes", HALO_READ_BACK="0") == (3, 1)
    langfuse.lose_scores = lambda score: False
    assert run_langfuse(command, langfuse, "--yes") == (0, 1)
    assert run_langfuse(command, langfuse, "--yes") == (0, 0)


def test_other_time_outs_ask_for_the_same(langfuse: LangfuseServer, tmp_path: Path) -> None:
    command = Halo(tmp_path)
    assert run_langfuse(command, langfuse, "--yes") == (0, 1)
    assert run_langfuse(command, langfuse, "--yes", "--timeout", "90") == (0, 0)


def test_an_analysis_that_is_not_to_be_written_moves_the_watermark_too(
    langfuse: LangfuseServer, tmp_path: Path
) -> None:
    names = {"base_url": langfuse.url, "public_key": langfuse.public_key}
    settings = {**names, "secret_key": langfuse.secret_key}
    runs = [halo.run("langfuse", since="last", settings=settings, home=tmp_path) for _ in range(2)]
    assert [run.report.traces for run in runs] == [1, 0]


def test_writing_a_run_later_moves_the_watermark(langfuse: LangfuseServer, tmp_path: Path) -> None:
    command = Halo(tmp_path)
    assert run_langfuse(command, langfuse, "--dry-run") == (0, 1)
    assert command("annotate", "last", "--yes", **environment(langfuse)).returncode == 0
    assert run_langfuse(command, langfuse, "--yes") == (0, 0)
