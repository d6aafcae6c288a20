"""A run: its folder, and what is recorded of it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from halo_adapters.base import Annotation, AnnotationKey, TraceQuery
from halo_engine.errors import ConfigError
from halo_engine.findings import Report
from halo_engine.private_files import replace_by_pieces, replace_bytes
from halo_engine.report.context import ReportContext
from halo_engine.report.renderer import RunInfo, no_url
from halo_engine.rlm.events import AnalysisEvent
from halo_engine.schema import Failure
from halo_engine.sqlite_files import SqliteFile
from halo_engine.store import TraceStore
from halo_engine.store.earlier_file import has_store
from halo_integrations.state.earlier_layout import import_earlier_layout
from halo_integrations.state.files import read_model
from halo_integrations.state.rows import (
    RUN_FILE,
    created_whole,
    insert_configs,
    insert_events,
    insert_failures,
    insert_follow_ups,
    insert_receipts,
    insert_step,
    read_fields,
    select_follow_ups,
    select_receipts,
    write_fields,
)
from halo_integrations.state.schemas import RUN
from halo_integrations.state.values import (
    SETTLED,
    FollowUpReceipt,
    Receipt,
    ReceiptState,
    RunRecord,
    Step,
    stage_of,
)


class Run:
    """One run folder. What is recorded is on disk when the method returns.

    Every method raises ``StorageError`` where a file of the folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state_path = folder / RUN_FILE
        self.store_path = folder / "traces"
        self.report_path = self.report_path_of("json")
        self.context_path = folder / "context.json"
        self._state = SqliteFile(self.state_path, RUN)

    @property
    def id(self) -> str:
        """The id of the run: the name of its folder."""
        return self.folder.name

    @property
    def home(self) -> Path:
        """The folder of this run, of the others and of what they share."""
        return self.folder.parents[1]

    @property
    def info(self) -> RunInfo:
        """What report renderers get to know of the run."""
        record = self.record
        return RunInfo(
            id=self.id,
            url=record.links.url if record.links else no_url,
            source=record.what_was_read,
            at=record.created_at,
        )

    def begin(
        self,
        source: str,
        request: dict[str, Any],
        query: TraceQuery,
        reread: Sequence[str] = (),
    ) -> None:
        """Record what is requested; from then on the folder is a run."""
        record = RunRecord(
            id=self.id,
            created_at=datetime.now(UTC),
            source=source,
            request=request,
            query=query,
            reread=tuple(reread),
        )
        with created_whole(self.state_path, RUN) as db:
            write_fields(db, record.model_dump(exclude={"stage"}))

    def discard(self) -> None:
        """Remove the folder of a run that read nothing."""
        shutil.rmtree(self.folder)

    def stored_traces(self) -> int:
        """How many traces are in the store, or in the lake, also of an interrupted pull."""
        record = self.record
        if record.lake is not None:
            return record.traces
        if not has_store(self.store_path):
            return 0
        with TraceStore(self.store_path, read_only=True) as store:
            return store.count()

    # -- record and history ----------------------------------------------------------------------

    @property
    def record(self) -> RunRecord:
        """What was requested, and how far the run got."""
        with self._reading() as db:
            fields = read_fields(db)
            steps = db.execute("SELECT DISTINCT step FROM history").fetchall()
            states = db.execute("SELECT DISTINCT state FROM last_receipts").fetchall()
        stage = stage_of({Step(s) for (s,) in steps}, {ReceiptState(s) for (s,) in states})
        return RunRecord.model_validate({**fields, "stage": stage})

    def update(self, **changes: Any) -> None:
        """Change some fields of the record."""
        with self._writing() as db:
            write_fields(db, changes)

    def complete(self, step: Step, **changes: Any) -> None:
        """Record that ``step`` was completed, with the fields of the record that it changed."""
        with self._writing() as db:
            write_fields(db, changes)
            insert_step(db, step, datetime.now(UTC))

    def completed(self, step: Step) -> datetime | None:
        """When ``step`` was last completed; None where it never was."""
        query = "SELECT at FROM history WHERE step = ? ORDER BY id DESC LIMIT 1"
        with self._reading() as db:
            row = db.execute(query, [step]).fetchone()
        return datetime.fromisoformat(row[0]) if row else None

    # -- report ----------------------------------------------------------------------------------

    def report_path_of(self, renderer: str) -> Path:
        """The file of the report by the renderer of this name."""
        return self.folder / f"report.{renderer}"

    @property
    def has_report(self) -> bool:
        """Whether it was analysed."""
        return self.report_path.is_file()

    @property
    def report(self) -> Report:
        """The findings; raises ``ConfigError`` where the run was not analysed."""
        if not self.has_report:
            raise ConfigError(
                f"Run {self.id} has no report yet: `halo-integrations analyze {self.id}` makes one."
            )
        return read_model(self.report_path, Report)

    @property
    def context(self) -> ReportContext | None:
        """What the report says besides its findings; None where an earlier version made it."""
        return read_model(self.context_path, ReportContext) if self.context_path.is_file() else None

    def save_context(self, context: ReportContext) -> None:
        """Keep what the report says besides its findings."""
        replace_bytes(self.context_path, context.model_dump_json().encode())

    def save_report(self, rendered: Mapping[str, Iterable[bytes]]) -> None:
        """Write the report, in pieces by renderer name; ``json`` is the one that is read back."""
        for renderer, pieces in rendered.items():
            replace_by_pieces(self.report_path_of(renderer), pieces)

    # -- failures and events ---------------------------------------------------------------------

    def add_failures(self, failures: Iterable[Failure]) -> None:
        """Record what could not be read; a resumed pull may record the same again."""
        new = list(failures)
        with self._writing() as db:
            insert_failures(db, new)

    def failures(self) -> list[Failure]:
        """What could not be read, each once."""
        with self._reading() as db:
            rows = db.execute("SELECT failure FROM failures ORDER BY id").fetchall()
        return [Failure.model_validate_json(row) for (row,) in rows]

    def add_event(self, event: AnalysisEvent) -> None:
        """Record a step of the model's analysis."""
        with self._writing() as db:
            insert_events(db, [event])

    def events(self) -> list[AnalysisEvent]:
        """The steps of the analyses by a model, in order."""
        with self._reading() as db:
            rows = db.execute("SELECT event FROM events ORDER BY id").fetchall()
        return [AnalysisEvent.model_validate_json(row) for (row,) in rows]

    # -- receipts, follow-ups, configs -----------------------------------------------------------

    def add_receipts(self, receipts: Iterable[Receipt]) -> None:
        """Record states of annotations."""
        new = list(receipts)
        with self._writing() as db:
            insert_receipts(db, new)

    def receipts(
        self,
        states: Iterable[ReceiptState] = ReceiptState,
        trace_ids: Iterable[str] | None = None,
    ) -> dict[AnnotationKey, Receipt]:
        """The last state of every annotation that this run wrote or planned, by identity.

        Only of those in one of ``states``, and in the traces ``trace_ids`` (None: in all).
        """
        with self._reading() as db:
            found = select_receipts(db, states, trace_ids)
        return {receipt.annotation.key: receipt for receipt in found}

    def written(self) -> list[Annotation]:
        """Everything that this run ever wrote, or planned to write."""
        query = "SELECT DISTINCT annotation FROM receipts WHERE state = ?"
        with self._reading() as db:
            rows = db.execute(query, [ReceiptState.PLANNED]).fetchall()
        return [Annotation.model_validate_json(row) for (row,) in rows]

    def names_in_use(self) -> set[str]:
        """The annotation names under which this run has something that is not undone, or is kept."""
        with self._reading() as db:
            rows = db.execute("SELECT DISTINCT name, state FROM last_receipts").fetchall()
        unused = SETTLED - {ReceiptState.KEPT}
        return {name for name, state in rows if ReceiptState(state) not in unused}

    @property
    def is_undone(self) -> bool:
        """Whether everything that this run wrote is undone."""
        return all(receipt.state.is_settled for receipt in self.receipts().values())

    def deletions(self) -> tuple[int, datetime] | None:
        """How many deletions the platform accepted since the last write, and the time of the first.

        None where it did each at once, or nothing was undone.
        """
        query = (
            "SELECT count(*), min(at) FROM receipts WHERE state = ? AND "
            "id > coalesce((SELECT max(id) FROM receipts WHERE state = ?), 0)"
        )
        states = [ReceiptState.DELETING, ReceiptState.WRITTEN]
        with self._reading() as db:
            number, first = db.execute(query, states).fetchone()
        return (number, datetime.fromisoformat(first)) if number else None

    def add_follow_ups(self, receipts: Iterable[FollowUpReceipt]) -> None:
        """Record states of follow-ups."""
        new = list(receipts)
        with self._writing() as db:
            insert_follow_ups(db, new)

    def follow_ups(self) -> list[FollowUpReceipt]:
        """The last state of every follow-up that this run created or planned."""
        with self._reading() as db:
            return select_follow_ups(db)

    def add_configs(self, names: Iterable[str]) -> None:
        """Record annotation configs that this run created."""
        new = list(names)
        with self._writing() as db:
            insert_configs(db, new)

    def remove_configs(self, names: Iterable[str]) -> None:
        """Record that annotation configs that this run created are retired."""
        rows = [(name,) for name in names]
        with self._writing() as db:
            db.executemany("DELETE FROM configs WHERE name = ?", rows)

    def configs(self) -> list[str]:
        """The annotation configs that this run created and that are not retired."""
        with self._reading() as db:
            return [name for (name,) in db.execute("SELECT name FROM configs ORDER BY rowid")]

    # -- the file --------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        import_earlier_layout(self.folder)
        with self._state.reading() as db:
            yield db

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        import_earlier_layout(self.folder)
        with self._state.writing() as db:
            yield db


def require_pulled(run: Run) -> None:
    """Raise ``ConfigError`` for a run whose traces are not all read, or are in a lake."""
    require_own_traces(run)
    if run.completed(Step.PULL) is None:
        raise ConfigError(
            f"The pull of run {run.id} was interrupted. Give the same `run` or `pull` command "
            f"again to resume it."
        )


def require_own_traces(run: Run) -> None:
    """Raise ``ConfigError`` for a run whose traces were written to a lake."""
    if lake := run.record.lake:
        raise ConfigError(
            f"The traces of run {run.id} are in the lake {lake}, not in the run: "
            f"`halo-integrations run {lake}` analyses them."
        )
