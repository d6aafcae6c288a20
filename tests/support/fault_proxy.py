"""A proxy on loopback that does harm to chosen requests, in front of any server over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx

from halo_adapters.transport.client import trusted_authorities
from loopback import Answer, Loopback, Request, serving

# Headers that concern one connection, not the request or the answer.
HOP_BY_HOP = {"host", "connection", "content-length", "transfer-encoding", "content-encoding"}

HTML = b"<!DOCTYPE html><html><head><title>A gateway</title></head><body>Sorry.</body></html>"

Forward = Callable[[], Answer]
# Makes an answer, and may forward the request for it.
Harm = Callable[[Forward], Answer]


@dataclass
class FaultProxy:
    """The proxy: every request that it received, and what it does to the next ones.

    ``harm`` gets the number of a request, from 0, and the request; it gives the harm to be done.
    ``statuses`` are those of the answers, in order.
    """

    upstream: str
    url: str = ""
    harm: Callable[[int, Request], Harm | None] = lambda _number, _request: None
    requests: list[Request] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._client = httpx.Client(timeout=60, trust_env=False, verify=trusted_authorities())

    def move_to(self, upstream: str) -> None:
        """Forward to another server from now on."""
        self.upstream = upstream

    def do(self, harm: Callable[[int, Request], Harm | None]) -> None:
        """Do ``harm`` from now on; numbers begin anew."""
        with self._lock:
            self.harm = harm
            self.requests.clear()
            self.statuses.clear()

    def respond(self, request: Request) -> Answer:
        """The answer of the server, or what is done to it."""
        with self._lock:
            harm = self.harm(len(self.requests), request)
            self.requests.append(request)
        answer = harm(lambda: self.forward(request)) if harm else self.forward(request)
        self.statuses.append(answer.status)
        return answer

    def forward(self, request: Request) -> Answer:
        """What the server answers."""
        headers = {n: v for n, v in request.headers.items() if n not in HOP_BY_HOP}
        found = self._client.request(
            request.method, self.upstream + request.target, content=request.body, headers=headers
        )
        kept = {n: v for n, v in found.headers.items() if n not in HOP_BY_HOP}
        return Answer(found.status_code, found.content, kept)


@contextmanager
def proxying(upstream: str) -> Iterator[FaultProxy]:
    """A proxy in front of the server at ``upstream``, until the end of the block."""
    proxy = FaultProxy(upstream)
    with serving(proxy.respond) as loopback:
        proxy.url = loopback.url
        yield proxy


# -- harms ------------------------------------------------------------------------------------------


def answering(status: int, body: object = b"harm", **headers: str) -> Harm:
    """An answer in place of that of the server, which does not get the request."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Answer(status, body, named)


def refusing(_: Forward) -> Answer:
    """A connection that is closed without an answer; the server does not get the request."""
    return Answer(reset=True)


def timing_out(seconds: float) -> Harm:
    """The answer comes too late, though the server has carried the request out."""
    return lambda forward: replace(forward(), delay=seconds)


def cutting(forward: Forward) -> Answer:
    """The connection is closed in the middle of the answer; the request is carried out."""
    return replace(forward(), cut=True)


def truncating(forward: Forward) -> Answer:
    """A body without its end, of the right length by its header; the request is carried out."""
    answer = forward()
    content = answer.content()
    return replace(answer, body=content[: len(content) * 2 // 3])


def replacing(body: bytes, kind: str = "application/json") -> Harm:
    """Another body with the status of success; the request is carried out."""

    def harm(forward: Forward) -> Answer:
        answer = forward()
        return replace(answer, status=200, body=body, headers={"content-type": kind})

    return harm


def dripping(seconds: float) -> Harm:
    """A byte now and then; the request is carried out."""
    return lambda forward: replace(forward(), drip=seconds)


def twice(forward: Forward) -> Answer:
    """The server gets the request twice, as from a gateway that tries again."""
    forward()
    return forward()


def redirecting(elsewhere: Loopback) -> Harm:
    """A redirect to another server, which must never see the key."""
    location = f"{elsewhere.url}/login?token=made-up"
    return lambda _: Answer(307, b"", {"location": location})


def in_a_second() -> str:
    """A Retry-After as a date."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)
