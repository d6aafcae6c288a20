"""The receiver of OTLP/HTTP: the answers that the specification asks for, and wrong input.

https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import zlib
from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collecting import JSON, PROTOBUF, Collecting, collecting, log_record, span
from exports.otlp_json import group, message
from halo_adapters.transport.client import trusted_authorities

TRACES, LOGS = "/v1/traces", "/v1/logs"
NUMBERS = count(1)


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collecting]:
    with collecting(tmp_path_factory.mktemp("receiver")) as running:
        yield running


@pytest.fixture
def number() -> int:
    """The number of a span that no other test sends."""
    return next(NUMBERS)


def document(*spans: dict[str, Any]) -> bytes:
    return json.dumps({"resourceSpans": [group(spans)]}).encode()


def stored(receiver: Collecting, number: int) -> dict[str, Any]:
    """The span ``number`` as it is in the file."""
    wanted = f"{number:016x}"
    documents = map(json.loads, receiver.file.read_text(encoding="utf-8").splitlines())
    groups = [g for found in documents for g in found.get("resourceSpans", ())]
    spans = [s for g in groups for scope in g["scopeSpans"] for s in scope["spans"]]
    (found,) = [one for one in spans if one["spanId"] == wanted]
    return found


# -- what is kept ------------------------------------------------------------------------------------


def test_an_answer_in_protobuf_is_the_message_of_the_signal(
    receiver: Collecting, number: int
) -> None:
    answer = receiver.send(span(number))
    assert (answer.status_code, answer.headers["content-type"]) == (200, PROTOBUF["content-type"])
    assert ExportTraceServiceResponse.FromString(answer.content) == ExportTraceServiceResponse()
    assert stored(receiver, number)["name"] == f"step {number}"


def test_an_answer_in_json_is_the_message_of_the_signal(receiver: Collecting, number: int) -> None:
    answer = receiver.post(TRACES, document(span(number)), **JSON)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {}
    assert stored(receiver, number)["name"] == f"step {number}"


def test_both_encodings_are_stored_alike(receiver: Collecting) -> None:
    """In OTLP JSON: ids in hex, enums as numbers, 64-bit integers as texts."""
    values = {"whole": {"intValue": "9007199254740993"}, "not_a_number": {"doubleValue": "NaN"}}
    members: dict[str, Any] = {
        "kind": 3,
        "status": {"code": 2, "message": "no lamp"},
        "attributes": [{"key": key, "value": value} for key, value in values.items()],
        "parentSpanId": "00000000000000ff",
    }
    first, second = next(NUMBERS), next(NUMBERS)
    link = {"traceId": f"{first:032x}", "spanId": f"{first:016x}"}
    receiver.post(TRACES, document(span(first, name="x", **members, links=[link])), **JSON)
    receiver.send(span(second, name="x", **members))
    of_json, of_protobuf = stored(receiver, first), stored(receiver, second)
    assert of_json.pop("links") == [link]
    assert (of_json.pop("traceId"), of_json.pop("spanId")) == tuple(link.values())
    assert of_json == {k: v for k, v in of_protobuf.items() if k not in ("traceId", "spanId")}
    assert of_json["kind"] == 3
    assert of_json["parentSpanId"] == "00000000000000ff"
    assert [pair["value"] for pair in of_json["attributes"]] == list(values.values())


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("traceId", "trace_id").replace("resourceSpans", "resource_spans"),
        lambda text: text[:-1] + ', "fromALaterVersion": {"x": 1}}',
        lambda text: text.replace("step", "half an emoji: \\ud83d, step"),
        lambda text: text.replace("step", "Größe 库存, step"),
        lambda text: "\n" + json.dumps(json.loads(text), indent=2),
    ],
)
def test_json_is_read_in_all_ways_in_which_exporters_write_it(
    receiver: Collecting, number: int, change: Any
) -> None:
    answer = receiver.post(TRACES, change(document(span(number)).decode()).encode(), **JSON)
    assert answer.status_code == 200, answer.text
    assert f"step {number}" in stored(receiver, number)["name"]


@pytest.mark.parametrize(
    ("coding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("GZIP", gzip.compress)],
)
def test_a_compressed_body_is_read(
    receiver: Collecting, number: int, coding: str, pack: Any
) -> None:
    packed = pack(message(group([span(number)])))
    answer = receiver.post(TRACES, packed, **PROTOBUF, **{"content-encoding": coding})
    assert answer.status_code == 200
    assert stored(receiver, number)


def test_a_body_in_chunks_is_read(receiver: Collecting, number: int) -> None:
    """As Node's exporters send what they compress."""
    whole = gzip.compress(document(span(number)))
    parts = iter([whole[:7], whole[7:]])
    assert receiver.post(TRACES, parts, **JSON, **{"content-encoding": "gzip"}).status_code == 200
    assert stored(receiver, number)


def test_a_client_that_waits_to_be_told_to_continue_is_told(
    receiver: Collecting, number: int
) -> None:
    body = document(span(number))
    head = f"POST {TRACES} HTTP/1.1\r\nexpect: 100-continue\r\ncontent-type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", receiver.port), 10) as connection:
        connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("headers", [PROTOBUF, JSON])
def test_an_export_of_nothing_is_accepted_and_not_written(
    receiver: Collecting, headers: dict[str, str]
) -> None:
    before = receiver.file.stat().st_size
    empty = b"{}" if headers is JSON else b""
    for path in (TRACES, LOGS):
        assert receiver.post(path, empty, **headers).status_code == 200
    assert receiver.file.stat().st_size == before


# -- partial success ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"traceId": "0" * 32},
        {"traceId": "abc"},
        {"traceId": 7},
        {"spanId": "0" * 16},
        {"spanId": ""},
        {"spanId": None},
    ],
)
def test_a_span_without_valid_ids_is_rejected_and_the_others_are_kept(
    receiver: Collecting, number: int, wrong: dict[str, Any]
) -> None:
    body = document(span(number), {**span(number), "name": "lost", **wrong})
    answer = receiver.post(TRACES, body, **JSON)
    assert answer.status_code == 200
    partial = answer.json()["partialSuccess"]
    assert partial["rejectedSpans"] == "1"
    assert "without a valid trace id and span id" in partial["errorMessage"]
    assert stored(receiver, number)["name"] == f"step {number}"


def test_log_records_that_are_no_events_of_spans_are_rejected(
    receiver: Collecting, number: int
) -> None:
    records = [
        log_record(number),
        log_record(number, eventName=""),
        log_record(number, traceId=""),
        {"body": {"stringValue": "GET / 200"}},
    ]
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).encode()
    answer = receiver.post(LOGS, body, **JSON)
    assert answer.json()["partialSuccess"]["rejectedLogRecords"] == "3"
    kept = json.loads(receiver.file.read_text().splitlines()[-1])["resourceLogs"]
    (record,) = kept[0]["scopeLogs"][0]["logRecords"]
    assert record["eventName"] == "gen_ai.user.message"


def test_a_partial_success_in_protobuf_counts_what_is_rejected(receiver: Collecting) -> None:
    answer = receiver.post(LOGS, b"\n\x04\x12\x02\x12\x00", **PROTOBUF)  # one empty log record
    partial = ExportLogsServiceResponse.FromString(answer.content).partial_success
    assert partial.rejected_log_records == 1
    assert partial.error_message


# -- wrong input -------------------------------------------------------------------------------------

BROKEN = b"\xff\xff\xff"
# Without the time of day: it stands in the name of a test, which all workers have to collect alike.
CUT = gzip.compress(b"{}", mtime=0)[:-8]


@pytest.mark.parametrize(
    ("path", "headers", "body", "status", "what"),
    [
        (TRACES, PROTOBUF, BROKEN, 400, "no export of spans in protobuf"),
        (LOGS, PROTOBUF, BROKEN, 400, "no export of log records in protobuf"),
        (TRACES, JSON, b"{", 400, "no export of spans in JSON"),
        (TRACES, JSON, b"[]", 400, "no export of spans in JSON"),
        (TRACES, JSON, b"[" * 100_000, 400, "no export of spans in JSON"),
        (TRACES, JSON, b'"\xff"', 400, "no export of spans in JSON"),
        (TRACES, JSON, b'{"resourceSpans": 5}', 400, "no export of spans in JSON"),
        (TRACES, JSON, b'{"resourceSpans": [{"scopeSpans": [{"spans": [1]}]}]}', 400, "no export"),
        (TRACES, {"content-type": "text/plain"}, b"", 415, "Exports are application/x-protobuf or"),
        (TRACES, {}, b"", 415, "no other content type is read"),
        (TRACES, {**JSON, "content-encoding": "br"}, b"x", 415, "OTEL_EXPORTER_OTLP_COMPRESSION"),
        (TRACES, {**JSON, "content-encoding": "gzip"}, b"no gzip", 400, "is not gzip"),
        (TRACES, {**JSON, "content-encoding": "gzip"}, CUT, 400, "breaks off"),
        ("/v1/metrics", PROTOBUF, b"", 404, "OTEL_METRICS_EXPORTER=none"),
        ("/", PROTOBUF, b"", 404, "is the whole address with that path"),
        ("/v1/traces/v1/traces", PROTOBUF, b"", 404, "the address without a path"),
        ("/api/public/otel/v1/traces", PROTOBUF, b"", 404, "LANGFUSE_OTEL_TRACES_EXPORT_PATH"),
        ("/v1/projects/default/spans", JSON, b"", 404, "a path of Phoenix"),
        ("/api/v2/spans", JSON, b"", 404, "send OTLP over HTTP"),
        (
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            {"content-type": "application/grpc"},
            b"",
            404,
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
        ),
    ],
)
def test_what_is_wrong_is_answered_in_the_encoding_of_the_request(
    receiver: Collecting, path: str, headers: dict[str, str], body: bytes, status: int, what: str
) -> None:
    before = receiver.file.stat().st_size
    answer = receiver.post(path, body, **headers)
    assert answer.status_code == status
    assert what in message_of(answer, headers)
    assert receiver.file.stat().st_size == before


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_what_is_too_large_as_it_is_or_decompressed_is_refused(
    receiver: Collecting, coding: str
) -> None:
    body = bytes(65 << 20)
    content = gzip.compress(body, 1) if coding == "gzip" else body
    answer = receiver.post(TRACES, content, **PROTOBUF, **{"content-encoding": coding})
    assert answer.status_code == 413
    told = "takes more than 64 MiB. OTEL_BSP_MAX_EXPORT_BATCH_SIZE=64"
    assert told in message_of(answer, PROTOBUF)


def message_of(answer: httpx.Response, headers: dict[str, str]) -> str:
    """The message of a ``google.rpc.Status``, which is JSON for requests in another encoding."""
    if headers.get("content-type") == PROTOBUF["content-type"]:
        assert answer.headers["content-type"] == PROTOBUF["content-type"]
        return Status.FromString(answer.content).message
    assert answer.headers["content-type"] == "application/json"
    return str(answer.json()["message"])


def test_the_reason_stands_beside_the_code_where_sdks_log_it(receiver: Collecting) -> None:
    answer = receiver.post("/v1/metrics", b"", **PROTOBUF)
    assert answer.reason_phrase.startswith("Metrics are not kept.")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_another_method_is_refused_with_the_one_that_is_right(
    receiver: Collecting, method: str
) -> None:
    answer = httpx.request(
        method, f"{receiver.url}{TRACES}", timeout=10, verify=trusted_authorities()
    )
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/v1/traces/", "//v1/traces", "/v1/traces?project=shop"])
def test_a_path_is_the_same_with_slashes_around_and_a_query(
    receiver: Collecting, number: int, path: str
) -> None:
    head = f"POST {path} HTTP/1.1\r\ncontent-type: application/json\r\n"
    body = document(span(number))
    answer = receiver.raw(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "request_line",
    [b"BREW /v1/traces HTTP/1.1\r\n\r\n", b"nonsense\r\n\r\n", b"POST /" + b"x" * 70_000 + b"\r\n"],
)
def test_what_is_no_request_of_http_is_answered(receiver: Collecting, request_line: bytes) -> None:
    answer = receiver.raw(request_line)
    assert answer.startswith(b"HTTP/1.1 400 No request of HTTP/1.1 could be read.")


@pytest.mark.parametrize(
    ("head", "rest", "what"),
    [
        ("content-length: lamp", b"", b"is no number"),
        ("content-length: -5", b"", b"is no number"),
        ("content-length: 10", b"{}", b"breaks off"),
        ("transfer-encoding: chunked", b"lamp\r\n", b"has no length"),
        ("transfer-encoding: chunked", b"-1\r\n", b"has no length"),
        ("transfer-encoding: chunked", b"2\r\n{}lamp\r\n", b"longer than it says"),
        ("transfer-encoding: chunked", b"2\r\n{}\r\n", b"breaks off"),
    ],
)
def test_a_body_that_is_not_as_its_headers_say_is_refused(
    receiver: Collecting, head: str, rest: bytes, what: bytes
) -> None:
    request = f"POST {TRACES} HTTP/1.1\r\ncontent-type: application/json\r\n{head}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", receiver.port), 10) as connection:
        connection.sendall(request.encode() + rest)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert what in answer


def test_a_client_of_http_2_is_sent_back_to_http_1(receiver: Collecting) -> None:
    answer = receiver.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5))
    settings, go_away = answer[:9], answer[9:]
    assert settings == bytes(3) + b"\x04" + bytes(5)
    assert go_away[3] == 7
    assert int.from_bytes(go_away[13:17], "big") == 13  # HTTP_1_1_REQUIRED
    assert b"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in go_away


def test_a_client_of_https_is_named(receiver: Collecting) -> None:
    context = ssl.create_default_context()
    with socket.create_connection(("127.0.0.1", receiver.port), 10) as connection:
        with pytest.raises(OSError, match=r"SSL|reset|EOF"):
            context.wrap_socket(connection, server_hostname="localhost")
    assert "A client speaks HTTPS, here it is plain HTTP" in receiver.complained


def test_a_client_that_leaves_in_the_middle_changes_nothing(
    receiver: Collecting, number: int
) -> None:
    before = receiver.file.stat().st_size
    for _ in range(40):  # more than are read at a time
        with socket.create_connection(("127.0.0.1", receiver.port), 10) as connection:
            connection.sendall(f"POST {TRACES} HTTP/1.1\r\ncontent-length: 900\r\n\r\n{{".encode())
    assert receiver.file.stat().st_size == before
    assert receiver.send(span(number)).status_code == 200


def test_each_problem_is_told_once_in_words_of_ours(receiver: Collecting) -> None:
    for name in ("ann", "bob", "cat"):
        receiver.post(TRACES, f'{{"{name}": '.encode(), **JSON)
    said = " ".join(receiver.complained.split())
    assert said.count("Warning: The body is no export of spans in JSON.") == 1
    assert "ann" not in said
    assert "Traceback" not in said
