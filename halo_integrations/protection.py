"""How secrets are kept from leaving, all of it in one place.

IN. ``scanning.scan_unit`` passes every trace through the ``Protection`` of its run before anything
else gets it, in whichever process. What detectors, SQL and models read, what quotes are looked up
in, and what reports, annotations, comments and dataset items are made of, is this text: a run folder
holds no other.

OUT. Other texts come from elsewhere: source code, questions, answers of models, errors of servers.
They pass the ``redactor_of`` their run where they leave:

- prompts, and so the ledger and ``--trace-to``: ``ModelClient``
- steps of the analysis: ``verbs.model_analysis.investigate``
- the report in every format, ``--json``, the table on the terminal: ``verbs.analyze.save_report``
- annotations: ``verbs.annotate.planned_annotations``; follow-ups: ``verbs.follow_up.follow_up``
- failures of a pull: ``verbs.pull.read_into``

Errors are redacted where they quote what a server said (``halo_adapters.transport.errors.excerpt``,
``halo_engine.llm.litellm_model``), and again where the command line prints them
(``cli.commands.failed``).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple, Protocol

from halo_engine.errors import ConfigError
from halo_engine.findings import Report
from halo_engine.metadata_only import TextWithholder, is_without_texts
from halo_engine.private_files import replace_bytes
from halo_engine.report.renderer import RunInfo
from halo_engine.schema import Trace
from halo_engine.store import TraceStore
from halo_engine.text.levels import Level
from halo_engine.text.redaction import Redactor
from halo_integrations.options.privacy import PrivacySettings
from halo_integrations.state.run import Run

REQUESTED = "privacy"
KEY_FILE = "placeholders.key"
KEY_BYTES = 32


class Protection(Protocol):
    """What a trace passes through before it is stored."""

    def trace(self, trace: Trace) -> Trace:
        """``trace`` without what may not be stored."""


class ProtectionKey(NamedTuple):
    """What the protection of a run is made from: the same in every process.

    ``key`` is random, so that placeholders are equal for equal secrets of this run alone.
    """

    redact: Level
    metadata_only: bool
    key: bytes


@lru_cache(maxsize=1)  # it remembers what it has masked
def protection_by(key: ProtectionKey) -> Protection:
    """The protection that ``key`` stands for."""
    return TextWithholder(key.key) if key.metadata_only else Redactor(key.redact, key.key)


def privacy_of(run: Run) -> PrivacySettings:
    """What the pull of ``run`` was asked for; runs of earlier versions have the defaults."""
    return PrivacySettings.model_validate(run.record.request.get(REQUESTED, {}))


def redactor_of(run: Run) -> Redactor:
    """What texts pass that leave ``run`` without having been in a trace."""
    return Redactor(privacy_of(run).redact)


def report_of(run: Run) -> Report:
    """The report of ``run``. Earlier versions stored reports that were not redacted."""
    return redactor_of(run).model(run.report)


def info_of(run: Run) -> RunInfo:
    """What report renderers get to know of ``run``, with the context of its report."""
    context = run.context
    return replace(run.info, context=context and redactor_of(run).model(context))


@contextmanager
def protection_while_reading(run: Run) -> Iterator[ProtectionKey]:
    """The key of what the traces of ``run`` pass through.

    An interrupted pull finds it again. It is removed with the end of the block: nothing that is
    stored then leads to a secret.
    """
    path = run.folder / KEY_FILE
    if not path.is_file():
        replace_bytes(path, secrets.token_bytes(KEY_BYTES))
    privacy = privacy_of(run)
    try:
        yield ProtectionKey(privacy.redact, privacy.metadata_only, path.read_bytes())
    finally:
        protection_by.cache_clear()
    path.unlink()


def require_texts(privacy: PrivacySettings, need: str) -> None:
    """Raise ``ConfigError`` where texts are withheld; ``need`` says what needs them."""
    if privacy.metadata_only:
        raise ConfigError(f"{need}, and --metadata-only withholds every text: leave one out.")


def require_stored_texts(store: TraceStore, need: str) -> None:
    """As ``require_texts``, of traces of which an earlier pull, into a lake, withheld every text."""
    if are_texts_withheld(store):
        raise ConfigError(
            f"{need}, and those of all traces were withheld (--metadata-only) when they were written "
            "to where they are read from: leave it out, or read another source."
        )


def are_texts_withheld(store: TraceStore) -> bool:
    """Whether an earlier pull, into a lake, withheld every text of all traces in ``store``."""
    return bool(store.trace_ids()) and all(map(is_without_texts, store.traces()))


def privacy_notice(privacy: PrivacySettings) -> str | None:
    """What the user should know before traces are read; None where nothing is out of the ordinary."""
    if privacy.metadata_only:
        return METADATA_ONLY
    return NOTHING_MASKED if privacy.redact is Level.OFF else None


FOR_DATASET = "--dataset stores the inputs of traces"
FOR_MODEL = "A model reads the texts of traces (--no-llm uses none)"
NOTHING_MASKED = (
    "--redact off: secrets in the traces are masked nowhere, neither on disk, nor in prompts, "
    "reports and annotations."
)
METADATA_ONLY = (
    "--metadata-only: no text of a trace is stored, shown, sent or written. Detectors that read "
    "texts judge nothing, and neither a model nor --dataset can be used."
)
