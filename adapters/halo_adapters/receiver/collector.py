"""What a receiver does with exports: it keeps them in a trace file, and counts them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson

from halo_adapters.files.settings import FilesSettings
from halo_adapters.receiver.exports import TRACES, Export
from halo_adapters.receiver.refusals import too_large, unavailable
from halo_adapters.receiver.trace_file import TraceFile
from halo_engine.errors import StorageError

LONGEST_LINE: int = FilesSettings.model_fields["max_record_bytes"].default
ENDING = "The receiver is ending."
NOT_NOW = "What was sent cannot be stored now; the receiver's terminal says why."


@dataclass
class Tally:
    """What was kept so far, what of it was rejected, and why requests were refused."""

    trace_ids: set[str] = field(default_factory=set)
    services: set[str] = field(default_factory=set)
    kept: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def add(self, export: Export) -> None:
        """Count an export that is kept."""
        self.trace_ids |= export.trace_ids
        self.services |= export.services
        self.kept[export.signal.noun] += export.kept
        self.rejected[export.signal.noun] += export.rejected

    @property
    def has_losses(self) -> bool:
        """Whether something was sent that is not in the file and could have been."""
        return bool(self.refused or self.rejected[TRACES.noun])


class Collector:
    """Appends exports to ``file``, one at a time; any thread may call it.

    ``on_change`` gets the tally after each, ``on_problem`` each reason why something is not kept
    when it first occurs.
    """

    def __init__(
        self,
        file: TraceFile,
        on_change: Callable[[Tally], None],
        on_problem: Callable[[str], None],
    ) -> None:
        self.tally = Tally()
        self._file = file
        self._on_change = on_change
        self._on_problem = on_problem
        self._told: set[str] = set()
        self._is_closed = False
        self._lock = threading.Lock()

    def keep(self, export: Export) -> None:
        """Store ``export`` on disk. Raises ``Refused`` where that is not possible."""
        line = orjson.dumps(export.document, option=orjson.OPT_APPEND_NEWLINE)
        if len(line) > LONGEST_LINE:
            raise too_large(LONGEST_LINE)
        with self._lock:
            if self._is_closed:
                raise unavailable(ENDING)
            if export.kept:
                self._append(line)
            self.tally.add(export)
            if export.rejected:
                self._tell(export.signal.rule)
            elif not export.kept:
                self._tell(
                    f"A request held no {export.signal.noun}: it was no export, or an empty one."
                )
            self._on_change(self.tally)

    def refuse(self, reason: str, *, is_lost: bool = True) -> None:
        """Tell that a request was refused, and count it where it ``is_lost``."""
        with self._lock:
            if is_lost:
                self.tally.refused[reason] += 1
            self._tell(reason)

    def close(self) -> None:
        """Keep nothing more: after this the file and the tally stay as they are."""
        with self._lock:
            self._is_closed = True

    def _append(self, line: bytes) -> None:
        try:
            self._file.append(line)
        except StorageError as error:
            self._tell(str(error))
            raise unavailable(NOT_NOW) from error

    def _tell(self, problem: str) -> None:
        if problem not in self._told:
            self._told.add(problem)
            self._on_problem(problem)
