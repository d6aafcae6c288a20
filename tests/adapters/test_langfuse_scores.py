"""Reading of scores and comments by several threads at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from halo_adapters.langfuse.scores import LegacyScoreReader, ScoreReader

THREADS = 8


class SlowClient:
    """Counts how often all comments, and all scores, are read, which takes a moment."""

    def __init__(self) -> None:
        self.comment_reads = 0
        self.score_reads = 0

    def comments(self) -> Iterator[Any]:
        self.comment_reads += 1
        time.sleep(0.05)
        yield from ()

    def scores(self, _: Any) -> Iterator[Any]:
        yield from ()


class SlowDivider:
    """Stands for the reading of all scores in parts."""

    def __init__(self, client: SlowClient) -> None:
        self._client = client

    def answers(self, _window: Any, _page: Any) -> Iterator[Any]:
        self._client.score_reads += 1
        time.sleep(0.05)
        yield from ()


@pytest.mark.parametrize("is_legacy", [False, True])
def test_what_is_read_of_a_whole_project_is_read_once_by_all_threads(is_legacy: bool) -> None:
    client: Any = SlowClient()
    divider: Any = SlowDivider(client)
    reader = LegacyScoreReader(client, divider=divider) if is_legacy else ScoreReader(client)
    barrier = threading.Barrier(THREADS)

    def read(number: int) -> None:
        barrier.wait(30)
        reader.by_trace({f"t{number}": ()})

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(read, range(THREADS)))
    assert client.comment_reads == 1
    assert client.score_reads == int(is_legacy)
