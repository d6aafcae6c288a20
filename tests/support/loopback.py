"""A real HTTP server on loopback whose answers a test chooses."""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Request:
    """A request that was received."""

    method: str
    target: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """A response, after ``delay`` seconds.

    ``cut`` closes the connection in the middle of it, ``reset`` before it. ``drip`` is the seconds
    between two bytes of its body.
    """

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    delay: float = 0
    reset: bool = False
    drip: float = 0

    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Respond = Callable[[Request], Answer]


class Loopback:
    """The server's address and every request that it received."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[Request] = []


class LoopbackServer(ThreadingHTTPServer):
    """Prints the errors of a test's own code, but not that a client has gone."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serving(respond: Respond, tls: ssl.SSLContext | None = None) -> Iterator[Loopback]:
    """Serve on a free port until the end of the block."""
    server = LoopbackServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    if tls:
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    loopback = Loopback(f"http://127.0.0.1:{server.server_port}")
    server.RequestHandlerClass = handler_of(respond, loopback)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield loopback
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def handler_of(respond: Respond, loopback: Loopback) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            url = urlsplit(self.path)
            length = int(self.headers.get("content-length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(length)
            request = Request(self.command, self.path, url.path, parse_qs(url.query), headers, body)
            loopback.requests.append(request)
            self.send(respond(request))

        def send(self, answer: Answer) -> None:
            time.sleep(answer.delay)
            if answer.reset:
                self.close_connection = True
                return
            content = answer.content()
            self.send_response_only(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            with suppress(ConnectionError):  # the client may have given up
                for part in parts_of(content, answer):
                    self.wfile.write(part)
                    time.sleep(answer.drip)
            self.close_connection = self.close_connection or answer.cut

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    return Handler


def parts_of(content: bytes, answer: Answer) -> list[bytes]:
    """What is written of ``content``, in the parts in which it is written."""
    if answer.cut:
        content = content[: len(content) // 2]
    if answer.drip:
        return [content[i : i + 1] for i in range(len(content))]
    return [content]


def in_turn(*answers: Answer) -> Respond:
    """Each answer once, and then the last one again and again."""
    left = list(answers)

    def respond(_: Request) -> Answer:
        return left.pop(0) if len(left) > 1 else left[0]

    return respond


def is_open(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something listens there."""
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((host, port)) == 0
