"""Where a report or a comparison goes besides the terminal: files, and the summary of a job in GitHub
Actions.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from halo_engine.private_files import file_errors
from halo_engine.report.registry import renderer_names

SUMMARY = "GITHUB_STEP_SUMMARY"
SUMMARY_FORMAT = "md"
# What files of a format are called besides.
OTHER_ENDINGS = {"xml": "junit", "markdown": "md"}

# The content in the format of this name.
Render = Callable[[str], bytes]


@dataclass(frozen=True)
class RenderedOutput:
    """What was asked for, in the formats of ``group``: a ``renderer`` (None: what the terminal shows,
    and for files the one of their ending), the ``files`` to write, and whether the ``summary`` of the
    job is to be extended.
    """

    group: str
    renderer: str | None = None
    files: Sequence[Path] = ()
    summary: bool = False

    @property
    def printed(self) -> str | None:
        """The format to print."""
        return None if self.files else self.renderer

    def require_possible(self) -> None:
        """Raise ``UsageError`` for what could not be written, before anything is done."""
        for path in self.files:
            self._format_of(path)
            if not path.absolute().parent.is_dir():
                raise click.UsageError(f"--out {path}: there is no folder {path.parent}.")
        if self.summary and not os.environ.get(SUMMARY):
            raise click.UsageError(
                f"--summary extends the file that GitHub Actions name in {SUMMARY}, which is not "
                f"set. Elsewhere: --out summary.md"
            )

    def write(self, render: Render) -> None:
        """Write the files, and extend the summary; raises ``StorageError``."""
        for path in self.files:
            content = render(self._format_of(path))
            with file_errors(path):
                path.write_bytes(content)
        if self.summary:
            path = Path(os.environ[SUMMARY])
            with file_errors(path), path.open("ab") as file:
                file.write(b"\n" + render(SUMMARY_FORMAT))

    def _format_of(self, path: Path) -> str:
        """The format of the file at ``path``; ``UsageError`` where its ending is that of none."""
        ending = path.suffix.removeprefix(".").lower()
        name = self.renderer or OTHER_ENDINGS.get(ending, ending)
        if name not in renderer_names(self.group):
            endings = ", ".join(f".{name}" for name in self._known_endings())
            raise click.UsageError(
                f"--out {path}: its ending is that of no format ({endings}). Name one with --format."
            )
        return name

    def _known_endings(self) -> Iterator[str]:
        """The endings by which formats are told."""
        yield from renderer_names(self.group)
        yield from OTHER_ENDINGS
