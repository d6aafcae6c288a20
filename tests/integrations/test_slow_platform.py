"""A platform that takes its time: what is on its way is said to be so, and asked for once."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from collecting import wait_for, wait_for_next_press
from corpora import synthetic
from fault_proxy import Forward, Harm, proxying
from halo_cli import QUIET, Halo
from halo_integrations.testing.langfuse import LangfuseServer, LangfuseVersion
from langfuse_data import environment
from loopback import Answer, Request
from prepared import forker


class Shop:
    """A project with findings in it, and a command that waits ``seconds`` at the most."""

    def __init__(self, server: LangfuseServer, folder: Path) -> None:
        self.server = server
        self.seconds = "0.3"
        self._halo = Halo(folder, **environment(server))

    def __call__(self, *arguments: str, code: int = 0) -> Any:
        done = self._halo(*arguments, "--json", HALO_READ_BACK=self.seconds)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def text(self, *arguments: str) -> str:
        done = self._halo(*arguments, HALO_READ_BACK=self.seconds)
        assert done.returncode == 0, done.stderr
        return " ".join((done.stdout + done.stderr).split())

    def questions(self) -> int:
        """How often it was asked which scores are stored."""
        return sum(r.method == "GET" and "/scores" in r.path for r in self.server.requests)

    def deletions(self) -> int:
        return sum(r.method == "DELETE" for r in self.server.requests)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with LangfuseServer(LangfuseVersion.V4) as server:
        server.send(synthetic())
        yield Shop(server, tmp_path)


def test_reading_back_waits_as_long_as_the_platform_goes_on_storing(shop: Shop) -> None:
    shop.seconds, shop.server.score_seconds = "2", 1.5
    written = shop("run", "langfuse", "--no-llm", "--yes")["annotated"]
    assert written["total"] > 2
    assert (written["confirmed"], written["pending"]) == (written["total"], 0)


def test_what_is_not_shown_yet_is_on_its_way_and_no_failure(shop: Shop) -> None:
    shop.server.score_seconds = 60
    written = shop("run", "langfuse", "--no-llm", "--yes", code=3)["annotated"]
    assert (written["confirmed"], written["pending"]) == (0, written["total"])
    assert written["failures"] == []
    shop.server.score_seconds = 0
    shop.server.catch_up()
    assert shop("annotate", "last", "--yes")["annotated"]["pending"] == 0


def test_a_deletion_is_sent_once_and_remembered_as_accepted(shop: Shop) -> None:
    total = shop("run", "langfuse", "--no-llm", "--yes")["annotated"]["total"]
    shop.server.deletion_seconds = 60
    undone = shop("undo", "last", "--yes")
    assert undone["deletions"]["accepted"] == total
    assert undone["deletions"]["gone"] == 0
    assert undone["failures"] == []
    shop("undo", "last", "--yes")
    shop("undo", "last", "--status")
    assert shop.deletions() == total


def test_a_deletion_that_was_accepted_before_another_failed_is_not_sent_again(shop: Shop) -> None:
    total = shop("run", "langfuse", "--no-llm", "--yes")["annotated"]["total"]
    shop.server.deletion_seconds = 60
    last = list(shop.server.scores)[-1]  # others are accepted before it is asked for
    shop.server.fail(401, method="DELETE", path=f"/api/public/scores/{last}")
    assert shop("undo", "last", "--yes", code=3)["failures"]
    assert shop("undo", "last", "--yes")["deletions"]["accepted"] == total
    assert shop.deletions() == total + 1


def test_the_status_of_an_undo_tells_how_many_are_gone_and_how_long_the_rest_takes(
    shop: Shop,
) -> None:
    total = shop("run", "langfuse", "--no-llm", "--yes")["annotated"]["total"]
    shop.seconds, shop.server.deletion_seconds = "2", 1.5
    first = shop.text("undo", "last", "--yes")
    assert re.search(rf"The platform has deleted [12] of {total}", first)
    assert "take about 0:00:" in first
    assert "--status" in first
    shop.server.catch_up()
    assert shop("undo", "last", "--status")["gone"] == total
    assert shop.text("undo", "last", "--yes").startswith("There is nothing to undo")
    assert shop.server.scores == {}


def test_the_status_of_an_undo_is_one_question_and_no_waiting(shop: Shop) -> None:
    shop("run", "langfuse", "--no-llm", "--yes")
    shop.server.deletion_seconds = 60
    shop("undo", "last", "--yes")
    asked = shop.questions()
    assert shop("undo", "last", "--status")["gone"] == 0
    assert shop.questions() == asked + 1


def test_nothing_is_written_where_it_would_be_deleted_in_place_of_what_stood_there(
    shop: Shop,
) -> None:
    shop("run", "langfuse", "--no-llm", "--yes")
    shop.server.deletion_seconds = 60
    shop("undo", "last", "--yes")
    again = shop("annotate", "last", "--yes", code=3)["annotated"]
    assert again["confirmed"] == 0
    assert all("has not yet deleted" in f["what"] for f in again["failures"])


def test_doctor_names_the_settings_that_make_deletions_fast(shop: Shop) -> None:
    (check,) = (c for c in shop("doctor", "langfuse") if c["what"] == "deleting")
    assert "LANGFUSE_SCORE_DELETE_CONCURRENCY" in check["found"]
    assert "LANGFUSE_CLICKHOUSE_TRACE_DELETION_CONCURRENCY_DURATION_MS" in check["found"]


def test_undo_without_a_terminal_does_not_name_a_dry_run(shop: Shop, tmp_path: Path) -> None:
    shop("run", "langfuse", "--no-llm", "--yes")
    done = Halo(tmp_path, **environment(shop.server))("undo", "last")
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert "--dry-run" not in done.stderr


def test_a_second_ctrl_c_while_writes_are_waited_for_ends_at_once(tmp_path: Path) -> None:
    asked, is_over = Event(), Event()
    answers = list[Answer]()

    def answer_late(forward: Forward) -> Answer:
        asked.set()
        is_over.wait(30)
        answers.append(forward())
        return answers[0]

    def harm(_: int, request: Request) -> Harm | None:
        return answer_late if request.path.endswith("/ingestion") else None

    with LangfuseServer() as server, proxying(server.url) as proxy:
        server.send(synthetic())
        variables = {**QUIET, **environment(server), "LANGFUSE_BASE_URL": proxy.url}
        Halo(tmp_path, **variables)("run", "langfuse", "--no-llm", "--dry-run")
        proxy.do(harm)
        printed = tmp_path / "printed.txt"
        process = forker().start(("annotate", "last", "--yes"), tmp_path, variables, printed)
        assert asked.wait(30)
        os.kill(process.pid, signal.SIGINT)
        wait_for(lambda: "Ctrl-C now ends at once" in printed.read_text("utf-8"))
        wait_for_next_press()
        os.kill(process.pid, signal.SIGINT)
        assert process.wait() == 130
        assert answers == []
        is_over.set()
