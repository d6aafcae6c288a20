"""A store of synthetic conversations, shared by the tests of the model analysis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from halo_engine.llm import Budget, Ledger, Limits, ModelClient
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.store import TraceStore
from halo_engine.store.database import derived_path
from rlm_context import RlmContext, conversation


@pytest.fixture(scope="session")
def conversations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TraceStore]:
    """Sixty conversations; one store, and one process that answers its SQL, for all tests."""
    path = tmp_path_factory.mktemp("rlm") / "traces"
    with TraceStore(path) as store:
        store.ingest(conversation(number) for number in range(1, 61))
    with TraceStore(path, read_only=True) as store:
        yield store


@pytest.fixture
def context(conversations: TraceStore) -> Iterator[RlmContext]:
    client = ModelClient(Budget(Limits(usd=5)), Ledger(), retry_timeout=0)
    yield RlmContext(conversations, ShortIds(conversations), client)
    if derived_path(conversations.path).exists():
        conversations.forget_derived()
