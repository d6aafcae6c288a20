"""The adapter of trace files: spans in every format that people have them in, in any file."""

from halo_adapters.files.adapter import FilesAdapter
from halo_adapters.files.settings import FilesSettings

__all__ = ["FilesAdapter", "FilesSettings"]
