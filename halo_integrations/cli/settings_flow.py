"""What `config` and `doctor` do: show the settings, and check that they work."""

from __future__ import annotations

from collections.abc import Iterator

from halo_adapters.base import HealthCheck, HealthStatus
from halo_adapters.registry import default_platform, unusable_platforms
from halo_engine.errors import AdapterError, HaloError
from halo_integrations.cli.doctor_checks import loss_check, writable_check
from halo_integrations.cli.exits import OK, USAGE
from halo_integrations.cli.flows import Flow
from halo_integrations.model_health import model_health
from halo_integrations.options.selection import TraceSelection
from halo_integrations.sources import adapter_for, losses_of


class SettingsFlow(Flow):
    """A command about settings with the options that were given to it."""

    def config(self, source: str | None) -> int:
        """Show the settings."""
        project = {"project": self._options.get("project")}
        adapter = source or default_platform()
        self._context.require_used(adapter)
        values = [
            *self._context.run_settings.values(),
            *self._context.privacy_settings.values(),
            *self._context.adapter_settings(adapter, project).values(),
            *self._context.model_settings.values(),
            *self._context.watch_settings.values(),
        ]
        self._terminal.values(values)
        return OK

    def doctor(self, source: str | None) -> int:
        """Check everything that a run needs."""
        project = self._options.get("project")
        selection = TraceSelection(source=source or default_platform(), project=project)
        checks: list[HealthCheck] = []
        for check in self._checks(selection):
            self._terminal.check(check)
            checks.append(check)
        self._terminal.json(checks)
        return USAGE if any(c.status is HealthStatus.FAILED for c in checks) else OK

    def _checks(self, selection: TraceSelection) -> Iterator[HealthCheck]:
        yield writable_check(self._context.runs.home)
        for reason in unusable_platforms():
            yield HealthCheck(what="adapters", status=HealthStatus.WARNING, found=reason)
        try:
            adapter, _ = adapter_for(selection)
            self._context.require_used(adapter)
            yield from self._context.source_for(selection).health_checks()
            yield from map(loss_check, losses_of(adapter))
        except HaloError as error:
            what = error.platform if isinstance(error, AdapterError) else "settings"
            yield HealthCheck(what=what, status=HealthStatus.FAILED, found=str(error))
        yield from model_health(self._context.model_settings.settings)
