"""What a verb works with: settings, runs, adapters and callbacks, resolved from its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from halo_adapters.base import Annotator, Source
from halo_adapters.registry import adapter_class, adapter_names, names_with_span_exporter
from halo_engine.detectors.base import Detector
from halo_engine.detectors.registry import configure, load_detectors
from halo_engine.detectors.settings import DetectorSettings
from halo_engine.errors import ConfigError
from halo_engine.executors import Executor
from halo_engine.text.redaction import redact
from halo_engine.timings import Timings
from halo_integrations.executor_choice import executor_of
from halo_integrations.options.callbacks import Notice
from halo_integrations.options.model import ModelAccess, ModelSettings, WatchSettings
from halo_integrations.options.privacy import PrivacySettings
from halo_integrations.options.resolve import (
    Resolved,
    close_names,
    read_tables,
    require_known_tables,
    resolve,
)
from halo_integrations.options.run import CommonOptions, PlatformOptions, RunSettings
from halo_integrations.options.selection import TraceSelection
from halo_integrations.sources import adapter_for
from halo_integrations.state.earlier_layout import IMPORT
from halo_integrations.state.home import Runs
from halo_integrations.state.run import Run

S = TypeVar("S", bound=BaseModel)

OWN_TABLES: Mapping[str, type[BaseModel]] = {
    "run": RunSettings,
    "privacy": PrivacySettings,
    "model": ModelSettings,
    "watch": WatchSettings,
}


class Context:
    """The settings that ``options`` come to; everything is resolved at first use."""

    def __init__(self, options: CommonOptions) -> None:
        self.on_progress = options.on_progress
        self.on_wait = options.on_wait
        self.on_notice = options.on_notice
        self._given = given_settings(options)
        self._further = options.settings.keys()
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

    @cached_property
    def privacy_settings(self) -> Resolved[PrivacySettings]:
        """What is masked or withheld."""
        return self._resolved(PrivacySettings, "privacy", self._given)

    @cached_property
    def watch_settings(self) -> Resolved[WatchSettings]:
        """What the questions of known issues may take."""
        return self._resolved(WatchSettings, "watch", self._given)

    @cached_property
    def executor(self) -> Executor:
        """What works on many traces; raises ``ConfigError`` where it cannot be used."""
        return executor_of(self.run_settings.settings, self._warn)

    @cached_property
    def timings(self) -> Timings | None:
        """What takes how long; None where nobody wants to know."""
        return Timings() if self.run_settings.settings.timings else None

    def tell_timings(self) -> None:
        """Tell what took how long, where that is wanted."""
        if self.timings:
            self.on_notice(Notice(text=self.timings.table()))

    def _warn(self, text: str) -> None:
        self.on_notice(Notice(text=redact(text), is_warning=True))

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

    def exporter_settings(self, adapter: str, source: str) -> Resolved[Any]:
        """Settings of the adapter that spans are sent to, while traces come from ``source``.

        What the caller gave counts for ``source`` alone where that has such a setting.
        """
        if adapter == source:
            return self.adapter_settings(adapter)
        taken = adapter_class(source).Settings.model_fields
        flags = {name: value for name, value in self._given.items() if name not in taken}
        return self._resolved(adapter_class(adapter).Settings, adapter, flags)

    def detector_settings(self) -> dict[str, DetectorSettings]:
        """The settings of detectors by name: the tables ``detectors`` of the configuration file."""
        self._require_known_tables()
        return read_tables(DetectorSettings, "detectors", self._config_file)

    def detectors(self, given: Sequence[Detector] | None = None) -> Sequence[Detector]:
        """Those that are ``given``, else the installed ones that are enabled, with their settings.

        Raises ``ConfigError`` for one that is no detector, and for settings that none can have.
        """
        if given is None:
            return configure(load_detectors(), self.detector_settings())
        for each in given:
            if not isinstance(each, Detector):
                raise ConfigError(
                    f"The option detectors holds {each!r}, which is no Detector: declare the rule "
                    f"with @halo.detector(...)."
                )
        return given

    def _resolved(
        self,
        model: type[S],
        section: str,
        given: Mapping[str, Any],
        *,
        profile: str | None = None,
    ) -> Resolved[S]:
        self._require_known_tables()
        flags = {name: value for name, value in given.items() if name in model.model_fields}
        return resolve(model, section, flags, file=self._config_file, profile=profile)

    def require_used(self, adapter: str) -> None:
        """Raise ``ConfigError`` for a setting that the caller gave and that nothing would read.

        ``adapter`` is the one that the traces come from. ``settings`` may also be for the platform
        that spans of an analysis are sent to.
        """
        general = {name for model in OWN_TABLES.values() for name in model.model_fields}
        unknown = self._given.keys() - general
        known = general.union(adapter_class(adapter).Settings.model_fields) if unknown else general
        for name in unknown - known:
            platforms = names_with_span_exporter() if name in self._further else []
            if not any(name in adapter_class(p).Settings.model_fields for p in platforms):
                flag = "" if name in self._further else f" (--{name.replace('_', '-')})"
                raise ConfigError(
                    f"{name!r}{flag} is no setting of {adapter}, so it would have no effect. "
                    f"{close_names(name, sorted(known), 'Settings')}"
                )

    def _require_known_tables(self) -> None:
        """Raise ``ConfigError`` for a part of the configuration file that nothing reads."""
        adapters = adapter_names()
        require_known_tables(
            self._config_file, [*OWN_TABLES, "detectors", *adapters], adapters, settings_model
        )

    # -- runs and adapters -----------------------------------------------------------------------

    @cached_property
    def runs(self) -> Runs:
        """The run folders."""
        return Runs(self.run_settings.settings.home)

    def run(self, run_id: str) -> Run:
        """The run called ``run_id``, or the newest for ``last``.

        Warns of what could not be taken over where an earlier version made it. Raises
        ``ConfigError`` where there is none, and for a given setting that it would not read.
        """
        run = self.runs.get(run_id)
        self.require_used(run.record.source)
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


def settings_model(section: str) -> type[BaseModel] | None:
    """The settings in a table of the configuration file; None for those of detectors.

    None also for an adapter that cannot be imported, which its use will say.
    """
    if section in OWN_TABLES or section == "detectors":
        return OWN_TABLES.get(section)
    try:
        return adapter_class(section).Settings
    except ConfigError:
        return None


def given_settings(options: CommonOptions) -> dict[str, Any]:
    """The settings that the caller gave: by name, and as options of their own."""
    declared = PlatformOptions, PrivacySettings, ModelAccess, ModelSettings, WatchSettings
    models = [m for m in declared if isinstance(options, m)]
    common = CommonOptions.model_fields.keys() | {"project"}
    names = {"home", "issue_project"} & set(type(options).model_fields) | (
        {name for m in models for name in m.model_fields} - common
    )
    explicit = {n: getattr(options, n) for n in names & options.model_fields_set}
    given = {**options.settings, **explicit}
    return {name: value for name, value in given.items() if value is not None}
