"""The run folder: everything one run read, found and wrote, on disk before its next step.

.halo/runs/20260131-020500-3f9c/
    run.json          what was asked for and how far it got; no secrets
    traces.duckdb     the traces as they were read
    failures.jsonl    what could not be read
    ledger.sqlite     every call of a model, and where its analysis is
    events.jsonl      what the model did, step by step
    report.json       the findings with their proof
    report.md         the same for people
    report.html
    receipts.jsonl    every write, with what stood there before
    follow_ups.jsonl  comments, queue items and dataset items that were made
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from halo_adapters.base import Annotation, FollowUpResult, Links, TraceQuery
from halo_engine.errors import ConfigError
from halo_engine.findings import Report
from halo_engine.rlm.events import AnalysisEvent
from halo_engine.schema import Failure, FrozenModel
from halo_engine.store import TraceStore
from halo_integrations.version import __version__

M = TypeVar("M", bound=FrozenModel)

RESUME_WITHIN = timedelta(hours=1)


class Stage(StrEnum):
    """How far a run got."""

    PULLING = "pulling"
    PULLED = "pulled"
    ANALYZED = "analyzed"
    ANNOTATED = "annotated"
    UNDONE = "undone"


class RunRecord(FrozenModel):
    """What ``run.json`` holds.

    ``asked`` is the question as it was put, with the adapter's settings but without secrets;
    ``query`` is what it came to, with its window of time fixed; ``links`` lead to the platform's
    UI, also from a report that is made when the platform is out of reach; ``model`` is what its model
    was asked, and within which limits.
    """

    id: str
    created_at: datetime
    version: str = __version__
    source: str
    asked: dict[str, Any] = {}
    query: TraceQuery = TraceQuery()
    links: Links | None = None
    stage: Stage = Stage.PULLING
    traces: int = 0
    spans: int = 0
    pull_failures: int = 0
    findings: int = 0
    model: dict[str, Any] | None = None


class ReceiptState(StrEnum):
    """What happened to one annotation, in the order in which it can."""

    PLANNED = "planned"
    WRITTEN = "written"
    FAILED = "failed"
    REMOVED = "removed"
    RESTORED = "restored"
    SUPERSEDED = "superseded"


class Receipt(FrozenModel):
    """One step in the life of one written annotation.

    ``previous`` is what stood under its identity before this run first wrote it.
    """

    at: datetime
    state: ReceiptState
    annotation: Annotation
    previous: Annotation | None = None
    error: str | None = None


class ConfigReceipt(FrozenModel):
    """An annotation config that this run made known to the project."""

    name: str


class Run:
    """One run folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store_path = folder / "traces.duckdb"
        self.report_path = folder / "report.json"
        self.markdown_path = folder / "report.md"
        self.html_path = folder / "report.html"
        self.ledger_path = folder / "ledger.sqlite"
        self._events_path = folder / "events.jsonl"
        self._record_path = folder / "run.json"
        self._failures_path = folder / "failures.jsonl"
        self._receipts_path = folder / "receipts.jsonl"
        self._follow_ups_path = folder / "follow_ups.jsonl"
        self._configs_path = folder / "configs.jsonl"

    @property
    def id(self) -> str:
        """The name of the run, which is that of its folder."""
        return self.folder.name

    @property
    def record(self) -> RunRecord:
        """What was asked for and how far it got."""
        return read_model(self._record_path, RunRecord)

    def save(self, record: RunRecord) -> None:
        """Replace ``run.json``."""
        write_text(self._record_path, record.model_dump_json(indent=2))

    def update(self, **changes: Any) -> RunRecord:
        """Change some fields of ``run.json``."""
        record = self.record.model_copy(update=changes)
        self.save(record)
        return record

    @property
    def has_report(self) -> bool:
        """Whether it was analysed."""
        return self.report_path.is_file()

    @property
    def report(self) -> Report:
        """The findings; raises ``ConfigError`` where the run was not analysed."""
        if not self.has_report:
            raise ConfigError(
                f"Run {self.id} has no report yet: `halo-integrations analyze {self.id}` makes it."
            )
        return read_model(self.report_path, Report)

    def save_report(self, report: Report, markdown: str, html: str) -> None:
        """Write the report in its three forms."""
        write_text(self.report_path, report.model_dump_json(indent=1))
        write_text(self.markdown_path, markdown)
        write_text(self.html_path, html)

    def traces_held(self) -> int:
        """How many traces are in the store, also of a pull that was cut off."""
        if not self.store_path.exists():
            return 0
        with TraceStore(self.store_path, read_only=True) as store:
            return store.count()

    def discard(self) -> None:
        """Remove the folder of a run that read nothing."""
        shutil.rmtree(self.folder)

    def add_failures(self, failures: Iterable[Failure]) -> None:
        """Record what could not be read."""
        append(self._failures_path, failures)

    def failures(self) -> list[Failure]:
        """What could not be read, each once: a pull that goes on may meet the same thing again."""
        return list(dict.fromkeys(lines(self._failures_path, Failure)))

    def add_event(self, event: AnalysisEvent) -> None:
        """Record a step of the model."""
        append(self._events_path, [event])

    def add_receipts(self, receipts: Iterable[Receipt]) -> None:
        """Record steps of writing, before the next one is taken."""
        append(self._receipts_path, receipts)

    def receipts(self) -> dict[tuple[str, str, str, str], Receipt]:
        """The last step of every annotation that this run wrote or meant to write."""
        return {r.annotation.key: r for r in lines(self._receipts_path, Receipt)}

    def add_follow_up(self, made: FollowUpResult) -> None:
        """Record a follow-up, or that it was taken back (then with no id)."""
        append(self._follow_ups_path, [made])

    def follow_ups(self) -> list[FollowUpResult]:
        """The follow-ups that this run made and that still stand."""
        last = {(m.follow_up.kind, m.follow_up.key): m for m in self._all_follow_ups()}
        return [made for made in last.values() if made.id is not None]

    def _all_follow_ups(self) -> Iterator[FollowUpResult]:
        """Every one, but what was there before."""
        return (made for made in lines(self._follow_ups_path, FollowUpResult) if made.is_new)

    def add_configs(self, names: Iterable[str]) -> None:
        """Record annotation configs that were not there before this run."""
        append(self._configs_path, (ConfigReceipt(name=name) for name in names))

    def configs(self) -> list[str]:
        """The annotation configs that were not there before this run."""
        return [receipt.name for receipt in lines(self._configs_path, ConfigReceipt)]


class Runs:
    """All runs below one folder, ``.halo`` unless told otherwise."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._folder = home / "runs"

    def create(self, source: str, asked: dict[str, Any], query: TraceQuery) -> Run:
        """A new run."""
        now = datetime.now(UTC)
        run = Run(self._folder / f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}")
        try:
            run.folder.mkdir(parents=True)
        except OSError as error:
            raise ConfigError(
                f"The run folder {run.folder} cannot be made ({error.strerror}). Choose another "
                f"place with --home or HALO_HOME."
            ) from error
        keep_out_of_git(self.home)
        record = RunRecord(id=run.id, created_at=now, source=source, asked=asked, query=query)
        run.save(record)
        return run

    def get(self, run_id: str) -> Run:
        """The run called ``run_id``, or the newest for ``last``.

        Raises ``ConfigError`` where there is none.
        """
        runs = self.all()
        if run_id == "last" and runs:
            return runs[0]
        for run in runs:
            if run.id == run_id:
                return run
        known = ", ".join(run.id for run in runs[:3]) or "none"
        raise ConfigError(f"There is no run {run_id!r} in {self._folder}. Newest runs: {known}.")

    def all(self) -> list[Run]:
        """Every run, newest first."""
        found = self._folder.glob("*/run.json")
        return sorted((Run(path.parent) for path in found), key=lambda run: run.id, reverse=True)

    def unfinished(self, asked: dict[str, Any]) -> Run | None:
        """The newest run that asked for just this and was cut off while pulling, if it is recent.

        An older one asked about another window of time, even in the same words.
        """
        for run in self.all():
            record = run.record
            age = datetime.now(UTC) - record.created_at
            if record.stage is Stage.PULLING and record.asked == asked and age < RESUME_WITHIN:
                return run
        return None


def keep_out_of_git(home: Path) -> None:
    """Traces hold what users said: nobody should commit them by accident."""
    ignore = home / ".gitignore"
    if not ignore.exists():
        write_text(ignore, "*\n")


def write_text(path: Path, text: str) -> None:
    """Replace a file in one step: it is either the old one or the new one, never half."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def append(path: Path, items: Iterable[FrozenModel]) -> None:
    """Add lines to a file and wait until they are on disk."""
    text = "".join(item.model_dump_json() + "\n" for item in items)
    if not text:
        return
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def lines(path: Path, model: type[M]) -> Iterator[M]:
    """The lines of a file; a last one that a crash cut short is left out."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield model.model_validate_json(line)


def read_model(path: Path, model: type[M]) -> M:
    """A file as a value; ``ConfigError`` where it does not hold one."""
    try:
        return model.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ConfigError(
            f"{path} cannot be read as a {model.__name__}; was it written by another version?"
        ) from error
