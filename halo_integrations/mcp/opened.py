"""The store of a run, opened for one call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from halo_engine.errors import ConfigError, EngineError, StorageError
from halo_engine.rlm.checks import CheckRules
from halo_engine.rlm.host.store_context import Bounds, StoreContext
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.store import TraceStore
from halo_engine.store.earlier_file import has_store
from halo_engine.text.redaction import Redactor
from halo_integrations.context import Context
from halo_integrations.protection import redactor_of
from halo_integrations.state.run import Run, require_own_traces

MAX_ROWS, MAX_CHARS = 200, 15_000


class OpenRun(NamedTuple):
    """A run whose traces can be read, and what its texts pass before they are shown."""

    run: Run
    context: StoreContext
    redactor: Redactor

    @property
    def traces(self) -> int:
        """The number of its traces."""
        return len(self.context.short_ids.trace_ids)

    def span_name(self, span: str, trace: str | None) -> str:
        """The short name of a span by its full id in ``trace``; any other ``span`` as it is."""
        if trace is None:
            return span
        pair = self.context.trace_id(trace), span
        return self.context.short_ids.span_names([pair]).get(pair, span)


@contextmanager
def opened_run(context: Context, run_id: str) -> Iterator[OpenRun]:
    """The run called ``run_id`` (``last``: the newest) with its store, which is closed at the end.

    Nothing stays open between two calls, so that the next one sees what was written meanwhile.
    Raises ``ConfigError`` for a run that does not exist or has no traces, ``StorageError`` for a
    store that is damaged.
    """
    run = context.run(run_id)
    require_own_traces(run)
    if not has_store(run.store_path):
        raise ConfigError(f"Run {run.id} has no traces: its pull read none, or goes on.")
    try:
        store = TraceStore(run.store_path, read_only=True)
    except EngineError as error:
        raise StorageError(f"The traces of run {run.id} cannot be read now. {error}") from None
    with store:
        short_ids = ShortIds(store)
        if not short_ids.trace_ids:
            raise ConfigError(f"Run {run.id} holds no trace: no trace passed its filters.")
        bounds = Bounds(rows=MAX_ROWS, chars=MAX_CHARS)
        yield OpenRun(
            run, StoreContext(CheckRules(store), short_ids, bounds=bounds), redactor_of(run)
        )
