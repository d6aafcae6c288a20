"""The run folder: everything one run read, found and wrote, on disk before its next step.

.halo/runs/20260131-020500-3f9c/
    run.json          the request and the stage of the run; no secrets
    traces.duckdb     the traces as they were read
    failures.jsonl    what could not be read
    ledger.sqlite     every model call, and the state of the analysis
    events.jsonl      the steps of the model's analysis
    report.json       the findings with their evidence
    report.<format>   the same by every installed renderer (md, html, ...)
    receipts.jsonl    every write, with the previous value
    follow_ups.jsonl  created comments, queue items and dataset items
    configs.jsonl     created annotation configs
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from pydantic import AliasChoices, Field, ValidationError

from halo_adapters.base import Annotation, FollowUpResult, Links, TraceQuery
from halo_engine.errors import ConfigError
from halo_engine.findings import Report
from halo_engine.report.renderer import RunInfo
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

    ``request`` holds the trace selection, the adapter's settings without secrets, and the profile;
    ``query`` is the selection with its time window resolved; ``links`` lead to the platform's UI,
    also while the platform is unreachable; ``model`` holds models, limits and questions of the last
    analysis by a model.
    """

    id: str
    created_at: datetime
    version: str = __version__
    source: str
    request: dict[str, Any] = Field({}, validation_alias=AliasChoices("request", "asked"))
    query: TraceQuery = TraceQuery()
    links: Links | None = None
    stage: Stage = Stage.PULLING
    traces: int = 0
    spans: int = 0
    pull_failures: int = 0
    findings: int = 0
    model: dict[str, Any] | None = None


class ReceiptState(StrEnum):
    """What happened to one annotation, in the order in which it can happen."""

    PLANNED = "planned"
    WRITTEN = "written"
    FAILED = "failed"
    REMOVED = "removed"
    RESTORED = "restored"
    SUPERSEDED = "superseded"


class Receipt(FrozenModel):
    """One state of one written annotation.

    ``previous`` is what was stored under its identity before this run first wrote it.
    """

    at: datetime
    state: ReceiptState
    annotation: Annotation
    previous: Annotation | None = None
    error: str | None = None


class ConfigReceipt(FrozenModel):
    """An annotation config that this run created in the project."""

    name: str


class Run:
    """One run folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store_path = folder / "traces.duckdb"
        self.report_path = self.report_path_of("json")
        self.ledger_path = folder / "ledger.sqlite"
        self._events_path = folder / "events.jsonl"
        self._record_path = folder / "run.json"
        self._failures_path = folder / "failures.jsonl"
        self._receipts_path = folder / "receipts.jsonl"
        self._follow_ups_path = folder / "follow_ups.jsonl"
        self._configs_path = folder / "configs.jsonl"

    @property
    def id(self) -> str:
        """The id of the run: the name of its folder."""
        return self.folder.name

    @property
    def record(self) -> RunRecord:
        """What was requested, and how far the run got."""
        return read_model(self._record_path, RunRecord)

    def save(self, record: RunRecord) -> None:
        """Replace ``run.json``."""
        replace_text(self._record_path, record.model_dump_json(indent=2))

    def update(self, **changes: Any) -> RunRecord:
        """Change some fields of ``run.json``."""
        record = self.record.model_copy(update=changes)
        self.save(record)
        return record

    def report_path_of(self, renderer: str) -> Path:
        """The file of the report by the renderer of this name."""
        return self.folder / f"report.{renderer}"

    @property
    def info(self) -> RunInfo:
        """What report renderers get to know of the run."""
        links = self.record.links
        return RunInfo(self.id, links.url) if links else RunInfo(self.id)

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

    def save_report(self, rendered: Mapping[str, bytes]) -> None:
        """Write the report by renderer name; ``json`` is the one that is read back."""
        for renderer, content in rendered.items():
            replace_bytes(self.report_path_of(renderer), content)

    def stored_traces(self) -> int:
        """How many traces are in the store, also of an interrupted pull."""
        if not self.store_path.exists():
            return 0
        with TraceStore(self.store_path, read_only=True) as store:
            return store.count()

    def discard(self) -> None:
        """Remove the folder of a run that read nothing."""
        shutil.rmtree(self.folder)

    def add_failures(self, failures: Iterable[Failure]) -> None:
        """Record what could not be read."""
        append_lines(self._failures_path, failures)

    def failures(self) -> list[Failure]:
        """What could not be read, each once: a resumed pull may read the same item again."""
        return list(dict.fromkeys(read_lines(self._failures_path, Failure)))

    def add_event(self, event: AnalysisEvent) -> None:
        """Record a step of the model's analysis."""
        append_lines(self._events_path, [event])

    def add_receipts(self, receipts: Iterable[Receipt]) -> None:
        """Record states of annotations, on disk before the next step."""
        append_lines(self._receipts_path, receipts)

    def receipts(self) -> dict[tuple[str, str, str, str], Receipt]:
        """The last state of every annotation that this run wrote or planned, by identity."""
        return {r.annotation.key: r for r in read_lines(self._receipts_path, Receipt)}

    def add_follow_up(self, made: FollowUpResult) -> None:
        """Record a created follow-up, or a deleted one (then without id)."""
        append_lines(self._follow_ups_path, [made])

    def follow_ups(self) -> list[FollowUpResult]:
        """The follow-ups that this run created and that were not deleted."""
        last = {(m.follow_up.kind, m.follow_up.key): m for m in self._all_follow_ups()}
        return [made for made in last.values() if made.id is not None]

    def _all_follow_ups(self) -> Iterator[FollowUpResult]:
        """Every one that this run created."""
        return (made for made in read_lines(self._follow_ups_path, FollowUpResult) if made.is_new)

    def add_configs(self, names: Iterable[str]) -> None:
        """Record annotation configs that this run created."""
        append_lines(self._configs_path, (ConfigReceipt(name=name) for name in names))

    def configs(self) -> list[str]:
        """The annotation configs that this run created."""
        return [receipt.name for receipt in read_lines(self._configs_path, ConfigReceipt)]


class Runs:
    """All runs below the folder ``home``."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._folder = home / "runs"

    def create(self, source: str, request: dict[str, Any], query: TraceQuery) -> Run:
        """A new run."""
        now = datetime.now(UTC)
        run = Run(self._folder / f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}")
        try:
            run.folder.mkdir(parents=True)
        except OSError as error:
            raise ConfigError(
                f"The run folder {run.folder} cannot be created ({error.strerror}). Choose another "
                f"folder with --home or HALO_HOME."
            ) from error
        keep_out_of_git(self.home)
        record = RunRecord(id=run.id, created_at=now, source=source, request=request, query=query)
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

    def interrupted(self, request: dict[str, Any]) -> Run | None:
        """The newest run with this request whose pull was interrupted, if it is recent.

        In an older run the same relative time window meant another one.
        """
        for run in self.all():
            record = run.record
            age = datetime.now(UTC) - record.created_at
            if record.stage is Stage.PULLING and record.request == request and age < RESUME_WITHIN:
                return run
        return None


def keep_out_of_git(home: Path) -> None:
    """Traces hold users' texts: prevent an accidental commit."""
    ignore = home / ".gitignore"
    if not ignore.exists():
        replace_text(ignore, "*\n")


def replace_text(path: Path, text: str) -> None:
    """``replace_bytes`` with UTF-8 text."""
    replace_bytes(path, text.encode())


def replace_bytes(path: Path, content: bytes) -> None:
    """Replace a file atomically: it holds either the old content or the new one."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def append_lines(path: Path, items: Iterable[FrozenModel]) -> None:
    """Append JSON lines to a file and wait until they are on disk."""
    text = "".join(item.model_dump_json() + "\n" for item in items)
    if not text:
        return
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path, model: type[M]) -> Iterator[M]:
    """The JSON lines of a file; an incomplete last one, left by a crash, is ignored."""
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
