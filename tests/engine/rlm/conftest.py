"""A store of synthetic conversations, shared by the tests of the model analysis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from halo_engine.llm import Budget, Ledger, Limits, ModelClient
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.store import TraceStore
from rlm_context import RlmContext, conversation


@pytest.fixture(scope="session")
def conversations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rlm") / "traces.duckdb"
    with TraceStore(path) as store:
        store.ingest(conversation(number) for number in range(1, 61))
    return path


@pytest.fixture
def context(conversations: Path) -> Iterator[RlmContext]:
    with TraceStore(conversations, read_only=True) as store:
        client = ModelClient(Budget(Limits(usd=5)), Ledger(), retry_timeout=0)
        yield RlmContext(store, ShortIds(store), client)
