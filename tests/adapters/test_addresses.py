"""Addresses: which are refused, and that connections are made to one that was checked."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Sequence

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from halo_adapters.phoenix.exporter import phoenix_exporter
from halo_adapters.phoenix.settings import PhoenixSettings
from halo_adapters.transport.addresses import (
    CheckedTransport,
    IPAddress,
    Resolve,
    check_address,
    resolve_host,
)
from halo_adapters.transport.client import http_client
from halo_adapters.transport.encryption import is_plain_remote
from halo_engine.errors import ConfigError, Unavailable
from loopback import Answer, in_turn, serving

NAME = "platform.test"
# Link-local addresses that no machine has: the lookup is a function of the test.
LINK_LOCAL = "169.254.10.20"
OK = Answer(body={"ok": True})


def finding(*texts: str) -> Resolve:
    """A lookup that finds these addresses, whatever the host."""
    return lambda _: [ipaddress.ip_address(text) for text in texts]


def client(url: str, resolve: Resolve | None = None) -> httpx.Client:
    return http_client(
        url, platform="Phoenix", headers={}, timeout=5, retry_timeout=0.1, resolve=resolve
    )


@pytest.mark.parametrize(
    "address", ["ftp://x", "localhost:6006", "", "http://", "http://a:b", "http://a:65536"]
)
def test_an_invalid_base_url_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="is not an address"):
        check_address(address)


@pytest.mark.parametrize(
    "address",
    ["http://ann:made-up@x", "http://made-up@x", "http://x?made-up=1", "http://x#made-up"],
)
def test_a_base_url_with_credentials_or_a_query_is_refused_and_not_shown(address: str) -> None:
    with pytest.raises(ConfigError, match="The address of x holds more") as caught:
        check_address(address)
    assert "made-up" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        LINK_LOCAL,
        "fe80::1",
        f"::ffff:{LINK_LOCAL}",  # IPv4-mapped
        f"::{LINK_LOCAL}",  # IPv4-compatible
        f"::ffff:0:{LINK_LOCAL}",  # IPv4-translated
        f"64:ff9b::{LINK_LOCAL}",  # NAT64
        f"64:ff9b:1::{LINK_LOCAL}",  # NAT64 of a network of one's own
        "2002:a9fe:a14::1",  # 6to4
        "2001:0:c000:201::5601:f5eb",  # Teredo
        f"2001:db8::5efe:{LINK_LOCAL}",  # ISATAP
        f"2001:db8::200:5efe:{LINK_LOCAL}",  # ISATAP, of an address that is unique
        "fd00:ec2::254",
        "fd20:ce::254",
        "100.100.100.200",
        "::ffff:100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
    ],
)
def test_an_address_where_a_cloud_serves_credentials_is_refused_in_every_form(address: str) -> None:
    with pytest.raises(ConfigError, match="never contacted"):
        check_address(f"http://{NAME}", finding(address))
    with pytest.raises(ConfigError, match="never contacted"):
        client(f"http://{NAME}", finding("192.0.2.1", address))


@pytest.mark.parametrize("address", ["http://169.254.169.254/", "http://[fe80::1]:6006"])
def test_a_link_local_address_is_never_contacted(address: str) -> None:
    with pytest.raises(ConfigError, match="link-local"):
        client(address)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1"])
def test_a_number_is_judged_as_the_system_reads_it(host: str) -> None:
    assert resolve_host(host) == [ipaddress.ip_address("127.0.0.1")]


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "192.0.2.1", "::1", "2001:db8::1", "64:ff9b::192.0.2.1"),
        f"2001:db8::5eff:{LINK_LOCAL}",  # almost ISATAP
    ],
)
def test_other_addresses_are_allowed(address: str) -> None:
    check_address(f"http://{NAME}", finding(address))


def test_the_connection_is_made_to_the_address_that_was_checked() -> None:
    """Not to what the name has when it is looked up again: the second lookup is another one."""
    lookups: list[str] = []

    def changing(host: str) -> Sequence[IPAddress]:
        lookups.append(host)
        return finding("127.0.0.1" if len(lookups) < 2 else LINK_LOCAL)(host)

    with serving(in_turn(OK)) as server:
        port = httpx.URL(server.url).port
        transport = CheckedTransport(httpx.HTTPTransport(), changing)
        with httpx.Client(transport=transport) as http:
            for _ in range(3):
                assert http.get(f"http://{NAME}:{port}/x").json() == {"ok": True}
        assert lookups == [NAME]
        assert server.requests[0].headers["host"] == f"{NAME}:{port}"


def test_a_name_that_moves_to_a_refused_address_during_a_run_is_refused() -> None:
    found = ["127.0.0.1"]
    with serving(in_turn(OK)) as server:
        port = httpx.URL(server.url).port
        unpooled = httpx.HTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))
        transport = CheckedTransport(unpooled, lambda _: finding(*found)(NAME))
        http = httpx.Client(transport=transport)
        assert http.get(f"http://{NAME}:{port}/x").json() == {"ok": True}
    found[:] = [LINK_LOCAL]
    with pytest.raises(httpx.HTTPError):  # the server is gone: the name is looked up again
        http.get(f"http://{NAME}:{port}/x")
    with pytest.raises(ConfigError, match="never contacted"):
        http.get(f"http://{NAME}:{port}/x")


def test_of_several_addresses_the_first_that_takes_the_connection_is_used() -> None:
    with serving(in_turn(OK)) as server:
        port = httpx.URL(server.url).port
        http = client(f"http://{NAME}:{port}", finding("127.0.0.9", "::1", "127.0.0.1"))
        assert http.get("/x").json() == {"ok": True}


def test_the_address_that_took_the_connection_is_tried_first_and_the_others_after_it() -> None:
    tried: list[str] = []
    down = {"127.0.0.9"}

    def answer(request: httpx.Request) -> httpx.Response:
        tried.append(request.url.host)
        if request.url.host in down:
            raise httpx.ConnectError("down")
        return httpx.Response(200)

    transport = CheckedTransport(httpx.MockTransport(answer), finding("127.0.0.9", "127.0.0.1"))
    with httpx.Client(transport=transport, base_url=f"http://{NAME}") as http:
        http.get("/x")
        http.get("/x")
        down = {"127.0.0.1"}
        http.get("/x")
    assert tried == ["127.0.0.9", "127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.9"]


def test_a_host_that_cannot_be_resolved_is_an_error_of_the_request() -> None:
    with pytest.raises(Unavailable, match=r"http://nowhere.invalid/ did not answer"):
        client("http://nowhere.invalid").get("/x")


def test_tls_asks_for_the_name_so_that_the_certificate_has_to_be_its() -> None:
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _socket, asked, _context: names.append(asked)
    with serving(in_turn(OK), tls=context) as server:
        port = httpx.URL(server.url).port
        transport = CheckedTransport(httpx.HTTPTransport(), finding("127.0.0.1"))
        with httpx.Client(transport=transport) as http, pytest.raises(httpx.ConnectError):
            http.get(f"https://{NAME}:{port}/")  # it has no certificate at all
    assert names == [NAME]


def test_spans_are_not_sent_to_where_a_redirect_leads() -> None:
    with serving(in_turn(OK)) as elsewhere:
        redirect = Answer(307, b"", {"location": f"{elsewhere.url}/v1/traces"})
        with serving(in_turn(redirect)) as server:
            exporter = phoenix_exporter(PhoenixSettings(base_url=server.url))
            provider = TracerProvider()
            provider.add_span_processor(SimpleSpanProcessor(exporter))
            provider.get_tracer("test").start_span("made-up").end()
        assert len(server.requests) == 1
        assert elsewhere.requests == []


def test_unencrypted_http_to_another_machine_is_recognised() -> None:
    assert is_plain_remote("http://phoenix.example.com")
    assert not is_plain_remote("https://phoenix.example.com")
    assert not is_plain_remote("http://localhost:6006")
