"""The model and the receiver of spans, on loopback: ``/RUN/v1/...`` belongs to one run.

A run's address holds its name, so that its calls are counted, and its spans kept, apart.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

import model
from script import Fail, turn_of

INTERFACES = {
    "/chat/completions": (model.chat_completion, model.chat_stream),
    "/responses": (model.response, model.response_stream),
    "/messages": (model.message, model.message_stream),
}


class Bench(ThreadingHTTPServer):
    """The server; ``spans`` holds the OTLP resource spans of each run."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answered: Counter[str] = Counter()
        self.spans: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)

    def address(self, run: str) -> str:
        """Where the run ``run`` finds the model, and sends its spans."""
        return f"http://127.0.0.1:{self.server_port}/{run}"


@contextmanager
def served() -> Iterator[Bench]:
    """A running bench."""
    with Bench() as bench:
        Thread(target=bench.serve_forever, daemon=True).start()
        try:
            yield bench
        finally:
            bench.shutdown()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Bench

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        _, run, path = self.path.partition("?")[0].split("/", 2)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if path.endswith("v1/traces"):
            self.server.spans[run] += resource_spans(body)
            empty = ExportTraceServiceResponse().SerializeToString()
            self.reply(200, empty, "application/x-protobuf")
        else:
            self.answer(run, f"/{path}", json.loads(body))

    def answer(self, run: str, path: str, request: dict[str, Any]) -> None:
        """Answer a call of the model."""
        forms = next((forms for end, forms in INTERFACES.items() if path.endswith(end)), None)
        if forms is None:
            self.reply(404, b'{"error": {"message": "no such path"}}')
            return
        turn = turn_of(json.dumps(request), self.server.answered[run])
        if isinstance(turn, Fail):
            self.reply(turn.status, json.dumps(model.error(turn)).encode())
            return
        self.server.answered[run] += 1
        whole, streamed = forms
        if request.get("stream"):
            self.reply(200, b"".join(map(sent, streamed(request, turn))), "text/event-stream")
        else:
            self.reply(200, json.dumps(whole(request, turn)).encode())

    def reply(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        """Send an answer."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(body)


def sent(event: model.Event) -> bytes:
    """An event as a server sends it."""
    name, data = event
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def resource_spans(body: bytes) -> list[dict[str, Any]]:
    """The resource spans of an export request, as OTLP JSON: ids are hexadecimal there."""
    request = ExportTraceServiceRequest.FromString(body)
    groups = MessageToDict(request, use_integers_for_enums=True).get("resourceSpans", [])
    for group in groups:
        for scope in group["scopeSpans"]:
            for span in scope["spans"]:
                for holder in (span, *span.get("links", ())):
                    holder.update(hexadecimal(holder))
    return groups


def hexadecimal(holder: dict[str, Any]) -> dict[str, str]:
    """The ids of a span or link, which protobuf's JSON has in base64."""
    names = ("traceId", "spanId", "parentSpanId")
    return {name: base64.b64decode(holder[name]).hex() for name in names if name in holder}
