"""The list of the runs of a home, as a page with links to their reports."""

from __future__ import annotations

from pathlib import Path

from halo_engine.errors import ConfigError, StorageError
from halo_engine.private_files import make_private_folder, replace_bytes
from halo_engine.report.figures import Figures, figures_of
from halo_engine.report.index import IndexedRun, render_index
from halo_integrations.state.home import Runs
from halo_integrations.state.run import Run

INDEX_FILE = "index.html"


def write_index(runs: Runs) -> Path:
    """Write the list of ``runs`` into their home, and return where; raises ``StorageError``."""
    page = render_index([indexed(run, runs.home) for run in runs.all()])
    make_private_folder(runs.home)
    path = runs.home / INDEX_FILE
    replace_bytes(path, page)
    return path


def indexed(run: Run, home: Path) -> IndexedRun:
    """A run as an entry of the list. One that cannot be read is in it, with the reason."""
    try:
        record = run.record
        figures = figures_of_run(run)
    except (ConfigError, StorageError) as error:
        return IndexedRun(run.id, note=str(error))
    page = run.report_path_of("html")
    return IndexedRun(
        id=run.id,
        at=record.created_at,
        source=record.what_was_read,
        stage="rehearsal" if record.is_rehearsal else record.stage.value,
        traces=record.traces,
        href=page.relative_to(home).as_posix() if page.is_file() else None,
        figures=figures,
    )


def figures_of_run(run: Run) -> Figures | None:
    """The figures of its report; None where there is none. Reports of earlier versions keep none."""
    context = run.context
    if context and context.figures:
        return context.figures
    return figures_of(run.report) if run.has_report else None
