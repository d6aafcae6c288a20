"""What a verb works with: settings, runs, adapters and callbacks, resolved from its options."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from halo_adapters.base import Annotator, Source
from halo_adapters.registry import adapter_class
from halo_engine.detectors.base import Detector
from halo_engine.detectors.registry import configure, load_detectors
from halo_engine.detectors.settings import DetectorSettings
from halo_engine.errors import ConfigError
from halo_integrations.options.callbacks import Notice
from halo_integrations.options.model import ModelSettings
from halo_integrations.options.resolve import Resolved, read_tables, resolve
from halo_integrations.options.run import CommonOptions, PlatformOptions, RunSettings
from halo_integrations.options.selection import TraceSelection
from halo_integrations.sources import adapter_for
from halo_integrations.state.earlier_layout import IMPORT
from halo_integrations.state.home import Runs
from halo_integrations.state.run import Run

S = TypeVar("S", bound=BaseModel)


class Context:
    """The settings that ``options`` come to; everything is resolved at first use."""

    def __init__(self, options: CommonOptions) -> None:
        self.on_progress = options.on_progress
        self.on_wait = options.on_wait
        self.on_notice = options.on_notice
        self._given = given_settings(options)
        self._config_file = Path(options.config_file) if options.config_file else None

    # -- settings --------------------------------------------------------------------------------

    @cached_property
    def run_settings(self) -> Resolved[RunSettings]:
        """Settings of every run."""
        return self._resolved(RunSettings, "run", self._given)

    @cached_property
    def model_settings(self) -> Resolved[ModelSettings]:
        """Settings of the models."""
        return self._resolved(ModelSettings, "model", self._given)

    @property
    def profile(self) -> str | None:
        """The chosen profile."""
        return self.run_settings.settings.profile

    def adapter_settings(
        self, adapter: str, given: Mapping[str, Any] | None = None, profile: str | None = None
    ) -> Resolved[Any]:
        """Settings of an adapter; ``given`` ones take precedence over everything."""
        flags = {**self._given, **(given or {})}
        model = adapter_class(adapter).Settings
        return self._resolved(model, adapter, flags, profile=profile or self.profile)

    def detector_settings(self) -> dict[str, DetectorSettings]:
        """The settings of detectors by name: the tables ``detectors`` of the configuration file."""
        return read_tables(DetectorSettings, "detectors", self._config_file)

    def detectors(self) -> tuple[Detector, ...]:
        """The installed detectors that are enabled, with their settings."""
        return configure(load_detectors(), self.detector_settings())

    def _resolved(
        self,
        model: type[S],
        section: str,
        given: Mapping[str, Any],
        *,
        profile: str | None = None,
    ) -> Resolved[S]:
        flags = {name: value for name, value in given.items() if name in model.model_fields}
        return resolve(model, section, flags, file=self._config_file, profile=profile)

    # -- runs and adapters -----------------------------------------------------------------------

    @cached_property
    def runs(self) -> Runs:
        """The run folders."""
        return Runs(self.run_settings.settings.home)

    def run(self, run_id: str) -> Run:
        """The run called ``run_id``, or the newest for ``last``.

        Warns of what could not be taken over where an earlier version made it.
        """
        run = self.runs.get(run_id)
        for failure in run.failures():
            if failure.stage == IMPORT:
                text = f"Run {run.id}, of an earlier version: {failure.where}: {failure.what}"
                self.on_notice(Notice(text=text, is_warning=True))
        return run

    def source_for(self, selection: TraceSelection) -> Source:
        """The adapter that reads the traces of ``selection``."""
        adapter, given = adapter_for(selection)
        settings = self.adapter_settings(adapter, given).settings
        return adapter_class(adapter)(settings, on_wait=self.on_wait)

    def source_of(self, run: Run) -> Source:
        """The adapter that ``run`` was read through: with its settings, and the secrets of now."""
        record = run.record
        found = self.adapter_settings(
            record.source, record.request["settings"], record.request.get("profile")
        )
        return adapter_class(record.source)(found.settings, on_wait=self.on_wait)

    def annotator_of(self, run: Run) -> Annotator:
        """The adapter to write through; ``ConfigError`` where the source takes no annotations."""
        source = self.source_of(run)
        if not isinstance(source, Annotator):
            raise ConfigError(
                f"Run {run.id} was read from {run.record.source}, which takes no annotations. "
                f"Its findings are in {run.report_path_of('md')}."
            )
        return source


def given_settings(options: CommonOptions) -> dict[str, Any]:
    """The settings that the caller gave: by name, and as options of their own."""
    models = [m for m in (PlatformOptions, ModelSettings) if isinstance(options, m)]
    names = {"home"}.union(*(m.model_fields for m in models)) - {"project"}
    explicit = {n: getattr(options, n) for n in names & options.model_fields_set}
    return {**options.settings, **explicit}
