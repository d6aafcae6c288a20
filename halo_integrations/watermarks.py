"""Watermarks: when a project was last pulled, for ``--since last``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import orjson

from halo_integrations.run_folder import replace_text


class Watermarks:
    """The watermarks below ``home``: what was pulled -> the start of the last complete pull."""

    def __init__(self, home: Path) -> None:
        self._path = home / "watermarks.json"

    def all(self) -> Mapping[str, datetime]:
        """Every watermark by its key."""
        if not self._path.exists():
            return {}
        stored = orjson.loads(self._path.read_bytes())
        return {key: datetime.fromisoformat(at) for key, at in stored.items()}

    def get(self, key: str) -> datetime | None:
        """The watermark of ``key``, None where there was no complete pull."""
        return self.all().get(key)

    def set(self, key: str, at: datetime) -> None:
        """Replace the watermark of ``key``."""
        replace_text(self._path, orjson.dumps({**self.all(), key: at}).decode())
