"""The adapter of trace files: NDJSON and JSON of spans, OTLP JSON, also gzip-compressed."""

from halo_adapters.files.adapter import FilesAdapter
from halo_adapters.files.settings import FilesSettings

__all__ = ["FilesAdapter", "FilesSettings"]
