"""Settings of the adapter of trace files."""

from __future__ import annotations

from pydantic import Field

from halo_engine.schema import FrozenModel


class FilesSettings(FrozenModel):
    """Which files to read."""

    path: str = Field(description="A trace file, a folder of them, or - for standard input.")
    max_record_bytes: int = Field(
        256 << 20,
        gt=0,
        description="A line, or an indented JSON document, longer than this is not read.",
    )
