"""Which addresses a platform may have, and connections that are made to a checked address only.

A host name is judged by the IP addresses that it has, and an IP address by those that it stands for:
an IPv6 address can carry an IPv4 address to which a gateway or the operating system passes the
connection on. What a name has can change from one lookup to the next, so the connection is made to
the very address that was checked.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator, Sequence

import httpx

from halo_engine.errors import ConfigError

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# The IP addresses of a host; raises ``OSError`` where it cannot be resolved.
Resolve = Callable[[str], Sequence[IPAddress]]

MAX_PORT = 65_535

# Where machines of a cloud get their credentials from; link-local ones are judged as such.
METADATA_NETWORKS = tuple(
    map(
        ipaddress.ip_network,
        (
            "fd00:ec2::/32",  # AWS
            "fd20:ce::254/128",  # Google Cloud
            "100.100.100.200/32",  # Alibaba Cloud
            "168.63.129.16/32",  # Azure
            "192.0.0.192/32",  # Oracle Cloud
        ),
    )
)

# IPv6 addresses whose last 32 bits are an IPv4 address (RFC 4291, 2765, 6052, 8215).
EMBEDDING_NETWORKS = tuple(
    map(ipaddress.ip_network, ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48"))
)
# The middle of the interface identifier of an ISATAP address, before an IPv4 address (RFC 5214).
ISATAP = (0x00005EFE, 0x02005EFE)


def check_address(base_url: str, resolve: Resolve | None = None) -> None:
    """Raise ``ConfigError`` for a base URL that no platform can have.

    That is anything but http(s) with a host, one with credentials or a query (it is recorded and
    shown), and an address where a cloud serves the credentials of its machines.
    """
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL()
    is_valid = url.scheme in ("http", "https") and url.host and (url.port or 1) <= MAX_PORT
    if not is_valid:
        raise ConfigError(f"{base_url!r} is not an address: write http(s)://host[:port].")
    if url.userinfo or url.query or url.fragment:
        raise ConfigError(
            f"The address of {url.host} holds more than host and path: a user name, a password, a "
            f"query or a fragment. It is recorded and shown: write http(s)://host[:port], and give "
            f"credentials as the key or a header."
        )
    try:
        require_allowed(url.host, (resolve or resolve_host)(url.host))
    except OSError:
        return  # the request will fail, and say so


def require_allowed(host: str, addresses: Sequence[IPAddress]) -> None:
    """Raise ``ConfigError`` where one of the ``addresses`` of ``host`` must not be contacted."""
    for address in addresses:
        for meant in (address, *embedded_addresses(address)):
            if meant.is_link_local or any(meant in network for network in METADATA_NETWORKS):
                shown = host if host == str(meant) else f"{host} ({meant})"
                raise ConfigError(
                    f"{shown} is a link-local address, or one where a cloud serves the credentials "
                    f"of its machines, which is never contacted."
                )


def embedded_addresses(address: IPAddress) -> Iterator[IPAddress]:
    """The IPv4 addresses that an IPv6 address stands for, whichever way it carries them."""
    if isinstance(address, ipaddress.IPv4Address):
        return
    if address.ipv4_mapped:
        yield address.ipv4_mapped
    if address.sixtofour:
        yield address.sixtofour
    if address.teredo:
        yield from address.teredo
    last = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    is_isatap = (int(address) >> 32) & 0xFFFF_FFFF in ISATAP
    if is_isatap or any(address in network for network in EMBEDDING_NETWORKS):
        yield last


def resolve_host(host: str) -> list[IPAddress]:
    """The IP addresses of ``host``, as the operating system finds them; raises ``OSError``."""
    try:
        found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    except UnicodeError as error:  # a label that is too long, or empty
        raise OSError(f"{host!r} is not a host name") from error
    texts = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    return [ipaddress.ip_address(text) for text in texts]


def is_private_network(base_url: str, resolve: Resolve | None = None) -> bool:
    """Whether the server is on this machine or in a private network."""
    try:
        found = (resolve or resolve_host)(httpx.URL(base_url).host)
    except OSError:
        return False
    return bool(found) and all(ip.is_private for ip in found)


class CheckedTransport(httpx.BaseTransport):
    """Connects to an address of the host that was checked, not to what a second lookup would give.

    The server is still asked for by its name: in the ``Host`` header, and in TLS, whose certificate
    has to be that of the name. A host is looked up again when no connection can be made.
    """

    def __init__(self, transport: httpx.BaseTransport, resolve: Resolve | None = None) -> None:
        self._transport = transport
        self._resolve = resolve or resolve_host
        self._checked: dict[str, list[IPAddress]] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send ``request`` to the first address of its host that takes the connection.

        Raises ``ConfigError`` for an address that must not be contacted.
        """
        host = request.url.host
        addresses = self._checked.get(host) or self._look_up(request)
        for address in addresses:
            try:
                response = self._transport.handle_request(request_to(address, request))
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failed = error
                continue
            self._checked[host] = [address, *(a for a in addresses if a != address)]
            return response
        self._checked.pop(host, None)
        raise failed

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _look_up(self, request: httpx.Request) -> list[IPAddress]:
        try:
            addresses = list(self._resolve(request.url.host))
        except OSError as error:
            raise httpx.ConnectError(str(error), request=request) from error
        if not addresses:
            raise httpx.ConnectError("the host has no address", request=request)
        require_allowed(request.url.host, addresses)
        return addresses


def request_to(address: IPAddress, request: httpx.Request) -> httpx.Request:
    """``request`` to the server at ``address``, by the name that it was made for."""
    return httpx.Request(
        request.method,
        request.url.copy_with(host=str(address)),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": request.url.host},
    )
