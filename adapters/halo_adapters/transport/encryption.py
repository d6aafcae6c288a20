"""Whether what is sent to an address is encrypted, in a module that is imported fast."""

from __future__ import annotations

from urllib.parse import urlsplit

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


def is_plain_remote(base_url: str) -> bool:
    """Whether a key would be sent unencrypted to another machine."""
    url = urlsplit(base_url)
    return url.scheme == "http" and url.hostname not in LOCAL_HOSTS
