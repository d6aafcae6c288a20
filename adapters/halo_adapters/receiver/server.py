"""The HTTP server of a receiver."""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from socketserver import TCPServer, ThreadingMixIn
from types import MappingProxyType
from typing import Any

from halo_adapters.receiver.collector import Collector
from halo_adapters.receiver.exports import (
    SIGNALS,
    Encoding,
    read_export,
    status_answer,
    success_answer,
)
from halo_adapters.receiver.refusals import (
    GRPC,
    TLS,
    Refused,
    malformed,
    unknown_path,
    wrong_method,
)
from halo_adapters.receiver.requests import PIECE, read_body
from halo_engine.errors import ConfigError

# Requests that are read at a time; others wait.
CONNECTIONS = 32
QUEUED_CONNECTIONS = 128
SILENT_SECONDS = 30
LINGERING_SECONDS = 1.0
LAST_SECONDS = 2.0

HTTP2_PREFACE = b"PRI * HTTP/2.0"
TLS_HANDSHAKE = b"\x16\x03"
# Types of HTTP/2 frames, and the error that sends a client back to HTTP/1.1 (RFC 9113, section 7).
SETTINGS, GO_AWAY = 4, 7
HTTP_1_1_REQUIRED = 13

CONTENT_TYPES = (
    f"Exports are {Encoding.PROTOBUF} or {Encoding.JSON}: no other content type is read."
)


class Receiver(ThreadingMixIn, TCPServer):
    """Serves OTLP over HTTP on one address, and hands what it receives to ``collector``.

    Raises ``ConfigError`` where it cannot listen there.
    """

    daemon_threads = True
    # On Windows this would let two servers have one port.
    allow_reuse_address = os.name == "posix"
    request_queue_size = QUEUED_CONNECTIONS

    def __init__(self, host: str, port: int, collector: Collector) -> None:
        self.collector = collector
        self._slots = threading.BoundedSemaphore(CONNECTIONS)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            self.address_family, address = found[0][0], found[0][4]
            super().__init__(address, ExportHandler)  # type: ignore[arg-type]
        except (OSError, UnicodeError) as error:
            raise ConfigError(why_not_listening(error, host, port)) from error

    @property
    def is_local(self) -> bool:
        """Whether only programs on this machine can reach it."""
        return ip_address(str(self.server_address[0]).partition("%")[0]).is_loopback

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Read a request in a thread of its own, when fewer than ``CONNECTIONS`` are read."""
        self._slots.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Read a request, then make room for the next."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of a fault of ours; that a client has gone is none."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            fault = f"A request could not be read: {type(error).__name__}: {error}"
            self.collector.refuse(f"{fault}. This is a fault of halo-integrations.")

    def finish(self) -> None:
        """Take no other request, and wait a moment for the answers to those that are being read.

        A second Ctrl-C ends the wait.
        """
        end = time.monotonic() + LAST_SECONDS
        with suppress(KeyboardInterrupt):
            self.server_close()
            for _ in range(CONNECTIONS):
                self._slots.acquire(timeout=max(0.0, end - time.monotonic()))
        self.collector.close()


class ExportHandler(BaseHTTPRequestHandler):
    """Answers the one request of a connection."""

    server: Receiver
    raw_requestline: bytes
    timeout = SILENT_SECONDS
    disable_nagle_algorithm = True
    # A client that waits for "100 Continue" gets it only so.
    protocol_version = "HTTP/1.1"
    # For a request whose first line cannot be read: version 0.9 had no headers.
    default_request_version = "HTTP/1.0"

    def respond(self) -> None:
        """Read the request, keep what it holds, and answer."""
        encoding = encoding_of(self.headers.get_content_type())
        try:
            answer = self._kept(encoding)
        except Refused as refusal:
            self._refuse(refusal, encoding)
        else:
            self._reply(HTTPStatus.OK, answer, encoding)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = respond  # noqa: N815

    def _kept(self, encoding: Encoding | None) -> bytes:
        """The answer to an export, once it is on disk; raises ``Refused``."""
        body = read_body(self.rfile, self.headers)
        path = "/" + self.path.partition("?")[0].strip("/")
        signal = SIGNALS.get(path)
        if signal is None:
            raise unknown_path(path, self.command)
        if self.command != "POST":
            raise wrong_method()
        if encoding is None:
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, CONTENT_TYPES)
        export = read_export(signal, body, encoding)
        self.server.collector.keep(export)
        return success_answer(export, encoding)

    def _refuse(self, refusal: Refused, encoding: Encoding | None = None) -> None:
        """Say why, also beside the code, where SDKs log it."""
        self.server.collector.refuse(refusal.reason, is_lost=refusal.is_lost)
        answer = status_answer(str(refusal), encoding or Encoding.JSON)
        self._reply(refusal.status, answer, encoding, refusal.reason, refusal.headers)
        self._read_the_rest()

    def _reply(
        self,
        code: HTTPStatus,
        body: bytes,
        encoding: Encoding | None,
        reason: str | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Answer in the encoding of the request, and end the connection."""
        self.send_response_only(code, reason)
        own = {"Content-Type": encoding or Encoding.JSON, "Content-Length": str(len(body))}
        for name, value in {**own, "Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what the base class cannot read: another protocol, or what is no request."""
        self.close_connection = True
        if self.raw_requestline.startswith(HTTP2_PREFACE):
            self.server.collector.refuse(GRPC)
            self.wfile.write(frame(SETTINGS) + go_away(GRPC))
            self._read_the_rest()
        elif self.raw_requestline.startswith(TLS_HANDSHAKE):
            self.server.collector.refuse(TLS)
        else:
            self._refuse(malformed("No request of HTTP/1.1 could be read.", message or code))

    def _read_the_rest(self) -> None:
        """Let the client see the answer, which it would not if something of it were left unread."""
        end = time.monotonic() + LINGERING_SECONDS
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(LINGERING_SECONDS)
            while self.rfile.read1(PIECE) and time.monotonic() < end:
                continue

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: what there is to say goes to the collector."""


def encoding_of(content_type: str) -> Encoding | None:
    """The encoding with this content type; None for any other."""
    return next((encoding for encoding in Encoding if encoding == content_type), None)


def frame(kind: int, payload: bytes = b"") -> bytes:
    """A frame of HTTP/2 about the connection (RFC 9113, section 4.1)."""
    return len(payload).to_bytes(3, "big") + bytes([kind, 0]) + bytes(4) + payload


def go_away(reason: str) -> bytes:
    """The frame that ends a connection of HTTP/2; clients of gRPC show the reason."""
    return frame(GO_AWAY, bytes(4) + HTTP_1_1_REQUIRED.to_bytes(4, "big") + reason.encode())


def why_not_listening(error: OSError | UnicodeError, host: str, port: int) -> str:
    """What keeps a server from listening at an address, and what to do."""
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            return (
                f"Port {port} is in use, perhaps by another collector, Jaeger or Phoenix. End that, "
                "or name another with --port; the agent has to send to the same."
            )
        case errno.EACCES:
            return f"Port {port} is reserved. Name one above 1023 with --port."
        case errno.EADDRNOTAVAIL:
            return f"{host} is no address of this machine. Leave --host out, or name one that is."
    return f"Nothing can listen at {host}, port {port}: {error}. Name another --host or --port."
