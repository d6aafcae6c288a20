"""Trace files: JSON lines, OTLP JSON, Phoenix spans; plain or gzip."""

from halo_adapters.files.adapter import FilesAdapter, FilesSettings

__all__ = ["FilesAdapter", "FilesSettings"]
