"""The HTTP client of a platform."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import cache

import httpx

from halo_adapters.base import OnWait
from halo_adapters.transport.addresses import (
    CheckedTransport,
    Resolve,
    check_address,
    is_private_network,
)
from halo_adapters.transport.retry import IsNonIdempotent, RetryTransport, never


@cache
def trusted_authorities() -> ssl.SSLContext:
    """The certificate authorities that are trusted, read once: that takes longer than a request."""
    return httpx.create_ssl_context()


def http_transport() -> httpx.HTTPTransport:
    """Plain HTTP and HTTPS, with connections of its own."""
    return httpx.HTTPTransport(verify=trusted_authorities())


def http_client(
    base_url: str,
    *,
    platform: str,
    headers: Mapping[str, str],
    timeout: float,
    retry_timeout: float,
    on_wait: OnWait | None = None,
    transport: httpx.BaseTransport | None = None,
    is_non_idempotent: IsNonIdempotent = never,
    key_settings: str = "",
    resolve: Resolve | None = None,
) -> httpx.Client:
    """A client of the server at ``base_url``, whose requests raise ``AdapterError``.

    ``timeout`` limits one answer, ``retry_timeout`` all tries of one request, both in seconds.
    ``transport`` sends each try (plain HTTP unless given); ``is_non_idempotent`` selects the
    requests that must not be sent again when their answer is lost, and ``key_settings`` names the
    variables that hold the key, for the error about a wrong one. ``resolve`` looks up the host (as
    the operating system does unless given); connections are made to what it gave. Redirects are
    not followed: they would send the key to another host. Raises ``ConfigError`` for a base URL that
    is not one.
    """
    check_address(base_url, resolve)
    if is_private_network(base_url, resolve):
        # There, compressing an answer costs more time than sending it uncompressed.
        headers = {"accept-encoding": "identity", **headers}
    retrying = RetryTransport(
        CheckedTransport(transport or http_transport(), resolve),
        platform=platform,
        retry_timeout=retry_timeout,
        on_wait=on_wait,
        is_non_idempotent=is_non_idempotent,
        key_settings=key_settings,
    )
    return httpx.Client(
        base_url=base_url.rstrip("/"),
        headers=dict(headers),
        timeout=timeout,
        transport=retrying,
        follow_redirects=False,
    )
