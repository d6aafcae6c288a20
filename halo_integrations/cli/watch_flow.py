"""What `watch` does: one pass over what is new, or one after another."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import click

from halo_engine.errors import AdapterError, HaloError
from halo_integrations.cli.exits import OK, most_important
from halo_integrations.cli.flows import Flow
from halo_integrations.cli.repeating import StopRequest, repeat
from halo_integrations.options.callbacks import Progress
from halo_integrations.options.keywords import source_text, validated
from halo_integrations.options.run import WatchOptions
from halo_integrations.options.selection import TraceSelection
from halo_integrations.verbs.watch import one_pass, watching


class WatchFlow(Flow):
    """A watch with the options that were given to it."""

    def watch(self, source: str) -> int:
        """One pass over what is new, or one after another."""
        if self._every is None:
            options = self._watch_options(self._options)
            with watching(source_text(source), options) as selection:
                return self._watched(selection, options)
        return self._watch_on(source_text(source), self._every)

    def _watch_on(self, source: str, every: timedelta) -> int:
        """One pass after another, until Ctrl-C or SIGTERM."""
        if "fail_on" in self._options["settings"]:
            raise click.UsageError("--fail-on is about one pass, and --every makes many.")
        watched: list[TraceSelection] = []
        with StopRequest() as stop, ExitStack() as stack:

            def on_progress(progress: Progress) -> None:
                self._progress(progress)
                stop.check()

            options = self._watch_options({**self._options, "on_progress": on_progress})

            def attempt() -> None:
                try:
                    watched[:] = watched or [stack.enter_context(watching(source, options))]
                    self._watched(watched[0], options)
                except HaloError as error:
                    if not (watched or isinstance(error, AdapterError)):
                        raise  # a mistake, or another watch
                    self._terminal.failed_pass(error)

            repeat(attempt, every.total_seconds(), stop)
        self._terminal.info("Stopped. The next `watch` goes on from here.")
        return OK

    def _watch_options(self, given: Mapping[str, Any]) -> WatchOptions:
        return validated(WatchOptions, {**given, "annotate": self._yes})

    def _watched(self, selection: TraceSelection, options: WatchOptions) -> int:
        """One pass, and what it gives."""
        with self._progress:
            watched = one_pass(selection, options)
        self._terminal.watched(watched)
        annotated = watched.annotated
        failures = (*watched.report.failures, *(annotated.failures if annotated else ()))
        self._terminal.failures(failures)
        self._terminal.info(f"Report: {self._run(watched.run_id).report_path_of('html')}")
        return most_important(self._exit_codes(watched.report, failures, annotated))
