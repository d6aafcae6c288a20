"""Versions of a platform's server."""

from __future__ import annotations

Version = tuple[int, ...]


def parse_version(text: str) -> Version:
    """Major, minor and patch of ``text``, without what follows a hyphen.

    Raises ``ValueError`` where that is not numbers with dots between them.
    """
    return tuple(int(part) for part in text.partition("-")[0].split(".")[:3])


def version_text(version: Version) -> str:
    """``version`` as people write it."""
    return ".".join(map(str, version))
