"""Checks of a platform's base URL: validity, private network, encryption."""

from __future__ import annotations

import ipaddress
import socket

import httpx

from halo_engine.errors import ConfigError

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


def check_address(base_url: str) -> None:
    """Raise ``ConfigError`` for a base URL that no platform can have.

    That is anything but http(s) with a host, and link-local addresses, where clouds serve the
    credentials of their machines.
    """
    url = httpx.URL(base_url)
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigError(f"{base_url!r} is not an address: write http(s)://host[:port].")
    if any(ip.is_link_local for ip in ip_addresses(url.host)):
        raise ConfigError(f"{base_url!r} is a link-local address, which is never contacted.")


def ip_addresses(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The IP addresses of ``host``; none where it cannot be resolved (the request will fail)."""
    try:
        found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    except OSError:
        return []
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


def is_private_network(base_url: str) -> bool:
    """Whether the server is on this machine or in a private network."""
    found = ip_addresses(httpx.URL(base_url).host)
    return bool(found) and all(ip.is_private for ip in found)


def is_plain_remote(base_url: str) -> bool:
    """Whether a key would be sent unencrypted to another machine."""
    url = httpx.URL(base_url)
    return url.scheme == "http" and url.host not in LOCAL_HOSTS
