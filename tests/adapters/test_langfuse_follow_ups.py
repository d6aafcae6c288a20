"""Follow-ups on Langfuse: comments, review queues and datasets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from corpora import synthetic
from halo_cli import Halo
from halo_integrations.testing.langfuse import LangfuseServer, LangfuseVersion
from langfuse_data import environment


class Shop:
    """A project in which the same call is repeated in one trace."""

    def __init__(self, server: LangfuseServer, halo: Halo) -> None:
        self.server, self._halo = server, halo

    def halo(self, *arguments: str, code: int = 0) -> Any:
        done = self._halo(*arguments, "--json", **environment(self.server))
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def run(self, *flags: str, code: int = 0) -> Any:
        return self.halo("run", "langfuse", "--no-llm", "--yes", *flags, code=code)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with LangfuseServer(LangfuseVersion.V4) as server:
        server.send(synthetic())
        yield Shop(server, Halo(tmp_path))


def failures(run: Any) -> list[Any]:
    """The findings about the agent: gaps in the recording are followed up by nobody."""
    findings = run["report"]["findings"]
    return [finding for finding in findings if finding["failure_mode"] != "instrumentation"]


def affected(run: Any) -> set[str]:
    return {a["trace_id"] for finding in failures(run) for a in finding["affected"]}


def test_without_a_flag_there_are_scores_and_nothing_else(shop: Shop) -> None:
    shop.run()
    assert [*shop.server.comments, *shop.server.queues, *shop.server.dataset_items] == []


def test_a_comment_per_finding_and_trace_is_not_repeated(shop: Shop) -> None:
    run = shop.run("--comment")
    pairs = {
        (finding["id"], a["trace_id"]) for finding in failures(run) for a in finding["affected"]
    }
    written = [(c["objectType"], c["objectId"]) for c in shop.server.comments]
    assert sorted(written) == sorted(("TRACE", trace_id) for _, trace_id in pairs)
    shop.run("--comment")
    assert len(shop.server.comments) == len(pairs)


def test_a_queue_holds_each_affected_trace_once_with_the_score_configs_of_the_run(
    shop: Shop,
) -> None:
    run = shop.run("--queue", "halo review")
    shop.run("--queue", "halo review")
    (queue,) = shop.server.queues
    assert queue["name"] == "halo review"
    assert sorted(queue["scoreConfigIds"]) == sorted(c["id"] for c in shop.server.score_configs)
    assert sorted(i["objectId"] for i in shop.server.queue_items) == sorted(affected(run))


def test_a_dataset_holds_the_input_of_each_affected_trace_with_its_source(shop: Shop) -> None:
    run = shop.run("--dataset", "regressions")
    shop.run("--dataset", "regressions")
    items = shop.server.dataset_items
    assert {i["sourceTraceId"] for i in items} == affected(run)
    assert len(items) == len(affected(run))
    roots = {r["trace_id"]: r for r in synthetic() if not r["parent_span_id"]}
    for item in items:
        root = roots[item["sourceTraceId"]]
        assert item["sourceObservationId"] == root["span_id"]
        assert item["input"] == root["attributes"]["input.value"]


def test_undo_deletes_what_can_be_deleted_and_lists_the_comments_that_remain(shop: Shop) -> None:
    run = shop.run("--comment", "--queue", "q", "--dataset", "d")
    undone = shop.halo("undo", run["run"]["id"], "--yes")
    assert shop.server.queue_items == shop.server.dataset_items == []
    assert len(undone["left"]) == len(shop.server.comments) > 0
    assert "no way to delete a comment" in undone["left"][0]["what"]


def test_undo_keeps_a_dataset_item_to_which_a_person_added_the_expected_output(shop: Shop) -> None:
    run = shop.run("--dataset", "d")
    item = shop.server.dataset_items[0]
    item["expectedOutput"] = "Ask for the flight number first."
    undone = shop.halo("undo", run["run"]["id"], "--yes")
    assert shop.server.dataset_items == [item]
    assert undone["left"][0]["what"] == "A person has edited it."


def test_undo_keeps_a_queue_item_that_a_person_has_reviewed(shop: Shop) -> None:
    run = shop.run("--queue", "q")
    item = shop.server.queue_items[0]
    item.update(status="COMPLETED", completedAt=item["createdAt"])
    undone = shop.halo("undo", run["run"]["id"], "--yes")
    assert shop.server.queue_items == [item]
    assert undone["left"][0]["what"] == "A person has completed its review."


def test_undo_of_a_run_whose_queue_item_was_refused_leaves_the_one_of_a_person(shop: Shop) -> None:
    shop.server.fail(400, method="POST", path="/api/public/annotation-queues/")
    run = shop.run("--queue", "q", code=3)
    items = shop.server.queue_items
    (refused,) = affected(run) - {item["objectId"] for item in items}
    items.append({**items[0], "id": "of-a-person", "objectId": refused})
    shop.halo("undo", run["run"]["id"], "--yes")
    assert [item["id"] for item in shop.server.queue_items] == ["of-a-person"]


def test_undo_of_a_second_run_leaves_the_follow_ups_of_the_first(shop: Shop) -> None:
    shop.run("--queue", "q", "--dataset", "d")
    second = shop.run("--queue", "q", "--dataset", "d")
    before = (len(shop.server.queue_items), len(shop.server.dataset_items))
    shop.halo("undo", second["run"]["id"], "--yes")
    assert (len(shop.server.queue_items), len(shop.server.dataset_items)) == before


def test_a_refused_comment_is_listed_and_the_scores_are_written(shop: Shop, tmp_path: Path) -> None:
    shop.server.fail(400, times=99, method="POST", path="/api/public/comments")
    arguments = ("run", "langfuse", "--no-llm", "--yes", "--comment")
    done = Halo(tmp_path)(*arguments, **environment(shop.server))
    assert done.returncode == 3
    assert "follow up: comment for" in done.stderr
    assert shop.server.scores


@pytest.mark.parametrize(
    ("platform", "flags", "told"),
    [
        ("phoenix", ("--comment",), "There is --comment for langfuse, not for phoenix"),
        ("phoenix", ("--queue", "q"), "There is --queue for langfuse, mlflow, not for phoenix"),
        (
            "mlflow",
            ("--comment", "--queue", "q"),
            "There is --comment for langfuse, not for mlflow",
        ),
    ],
)
def test_follow_ups_on_a_platform_without_them_are_refused_before_anything_is_read(
    platform: str, flags: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    done = Halo(tmp_path)("run", platform, "--yes", *flags)
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())


def test_a_score_that_is_accepted_and_never_shown_is_listed(shop: Shop, tmp_path: Path) -> None:
    shop.server.lose_scores = lambda score: score["name"] == "halo.summary"
    arguments = ("run", "langfuse", "--no-llm", "--yes")
    done = Halo(tmp_path)(*arguments, **environment(shop.server), HALO_READ_BACK="2")
    assert done.returncode == 3
    assert "On their way: 2 annotations accepted and not shown yet" in done.stderr
    assert "A score config of the same name may have refused it" in " ".join(done.stderr.split())


def test_a_comment_whose_answer_was_lost_is_not_created_twice(shop: Shop, tmp_path: Path) -> None:
    halo = Halo(tmp_path, **environment(shop.server))
    shop.server.cut(method="POST", path="/api/public/comments")
    assert halo("run", "langfuse", "--no-llm", "--yes", "--comment").returncode == 3
    assert halo("annotate", "last", "--yes", "--comment").returncode == 0
    keys = [comment["content"].splitlines()[-1] for comment in shop.server.comments]
    assert keys
    assert len(keys) == len(set(keys))
