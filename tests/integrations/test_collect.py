"""``collect``: what the exporters of OpenTelemetry send is in the file before they are told so."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.json.http._log_exporter import OTLPLogExporter as JsonLogs
from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter as JsonSpans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as ProtobufLogs
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as ProtobufSpans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import LogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter

from collecting import JSON, Collecting, collecting, log_record, span, wait_for, wait_for_next_press
from halo_cli import QUIET, Halo
from halo_engine.schema import Message
from recordings import root_of, traces_in

RESOURCE = Resource.create({"service.name": "lamp-shop"})
TRACES, LOGS = "/v1/traces", "/v1/logs"
SECRET = "sk-proj-Zq3vT8mK2pLw9RxB4nYc6JhFd1GsUa7EoXi5"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Collecting]:
    with collecting(tmp_path) as process:
        yield process


def play(exporter: SpanExporter) -> None:
    """One run of an agent, exported span by span."""
    provider = TracerProvider(resource=RESOURCE)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("shop")
    with tracer.start_as_current_span("agent", attributes={"openinference.span.kind": "AGENT"}):
        with tracer.start_as_current_span("stock") as tool:
            tool.set_attributes({"numbers": [1, 2], "share": 0.5, "whole": 2**60, "is_it": True})
            tool.record_exception(ValueError("no lamp"))
            tool.set_status(trace.StatusCode.ERROR, "no lamp")
    provider.shutdown()


# -- what is sent is in the file -------------------------------------------------------------------


@pytest.mark.parametrize("exporter", [ProtobufSpans, JsonSpans])
@pytest.mark.parametrize("compression", ["none", "gzip", "deflate"])
def test_the_spans_of_an_exporter_are_read_whole_from_the_file(
    running: Collecting,
    exporter: type[SpanExporter],
    compression: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", compression)
    play(exporter())
    assert running.end() == 0
    (found,) = traces_in(running.file).values()
    root, (tool,) = root_of(found), [s for s in found.spans if s.name == "stock"]
    assert (root.name, root.kind, tool.parent_span_id) == ("agent", "AGENT", root.span_id)
    sent = {"numbers": [1, 2], "share": 0.5, "whole": 2**60, "is_it": True}
    assert {name: tool.attributes[name] for name in sent} == sent
    assert tool.is_error
    assert tool.events[0].name == "exception"
    assert tool.resource["service.name"] == "lamp-shop"
    assert "1 trace, 2 spans of lamp-shop" in running.printed


@pytest.mark.parametrize("exporter", [ProtobufLogs, JsonLogs])
def test_messages_that_are_sent_as_log_records_are_those_of_their_span(
    running: Collecting, exporter: type[LogRecordExporter]
) -> None:
    logs = LoggerProvider(resource=RESOURCE)
    logs.add_log_record_processor(SimpleLogRecordProcessor(exporter(endpoint=running.url + LOGS)))
    spans = TracerProvider(resource=RESOURCE)
    spans.add_span_processor(SimpleSpanProcessor(ProtobufSpans(endpoint=running.url + TRACES)))
    with spans.get_tracer("shop").start_as_current_span("chat") as chat:
        chat.set_attribute("gen_ai.operation.name", "chat")
        said = {"content": "Is there a lamp?"}
        logs.get_logger("shop").emit(event_name="gen_ai.user.message", body=said)
    assert running.end() == 0
    (found,) = traces_in(running.file).values()
    assert root_of(found).input_messages == (Message(role="user", content="Is there a lamp?"),)
    assert "1 trace, 1 span, 1 log record of lamp-shop" in running.printed


def test_the_next_command_that_is_printed_analyses_the_file(
    running: Collecting, tmp_path: Path
) -> None:
    play(ProtobufSpans(endpoint=running.url + TRACES))
    assert running.end() == 0
    (command,) = [line for line in running.complained.splitlines() if line.startswith("Next: ")]
    assert command == "Next: halo-integrations run traces.jsonl"
    done = Halo(tmp_path)(*command.split()[2:])
    assert done.returncode == 0, done.stderr
    assert "1 trace, 2 spans analysed" in done.stdout


def test_many_senders_at_a_time_lose_nothing(running: Collecting) -> None:
    def send(first: int) -> None:
        for number in range(first, first + 10):
            assert running.send(span(number)).status_code == 200

    threads = [threading.Thread(target=send, args=[100 * n]) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert running.end() == 0
    sent = {f"{100 * n + m:016x}" for n in range(1, 9) for m in range(10)}
    assert sorted(running.spans()) == sorted(sent)


# -- how it ends -------------------------------------------------------------------------------------


def test_a_kill_after_an_answer_loses_nothing(running: Collecting, tmp_path: Path) -> None:
    assert running.send(span(1), span(2)).status_code == 200
    assert running.post(LOGS, logs_of(log_record(1)), **JSON).status_code == 200
    assert running.end(signal.SIGKILL) == -signal.SIGKILL
    assert running.spans() == ["0" * 15 + "1", "0" * 15 + "2"]
    with collecting(tmp_path) as again:
        assert f"after the {running.file.stat().st_size} bytes that it holds" in again.complained
        again.send(span(3))
    assert len(running.spans()) == 3


def logs_of(*records: object) -> bytes:
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).encode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_what_was_received(
    running: Collecting, number: signal.Signals
) -> None:
    running.send(span(1), span(2))
    assert running.end(number) == 0
    assert running.printed == "Received: 2 traces, 2 spans of lamp-shop.\n"
    assert "Traceback" not in running.complained


@contextmanager
def half_sent(running: Collecting) -> Iterator[tuple[socket.socket, bytes]]:
    """A connection on which half of an export was sent, and is being read; the other half."""
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span(1)]}]}]}).encode()
    head = f"POST {TRACES} HTTP/1.1\r\ncontent-type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", running.port), 10) as connection:
        connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body[:10])
        play(ProtobufSpans(endpoint=running.url + TRACES))  # so the other is being read as well
        yield connection, body[10:]


def test_a_request_that_is_being_read_when_it_ends_is_answered(running: Collecting) -> None:
    with half_sent(running) as (connection, rest):
        running.signal(signal.SIGINT)
        wait_for(lambda: refuses_connections(running.port))
        connection.sendall(rest)
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
    assert running.ended() == 0
    assert len(running.spans()) == 3


def test_a_second_ctrl_c_while_a_request_is_being_read_is_no_error(running: Collecting) -> None:
    with half_sent(running):
        running.signal(signal.SIGINT)
        wait_for(lambda: refuses_connections(running.port))
        wait_for_next_press()
        assert running.end() == 0
    assert len(running.spans()) == 2


def refuses_connections(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) != 0


def test_where_nothing_came_it_says_what_to_look_at(running: Collecting) -> None:
    assert running.end() == 0
    assert "Nothing was received. Are these variables set where the agent runs" in running.printed
    assert "Next:" not in running.complained
    assert not running.file.exists()


def test_a_request_without_spans_is_told_once(running: Collecting) -> None:
    assert [running.post(TRACES, b'{"hello":1}', **JSON).status_code for _ in range(2)] == [200] * 2
    assert running.end() == 0
    assert running.complained.count("A request held no span") == 1


def test_what_was_sent_just_now_is_said_to_be_judged_later(
    running: Collecting, tmp_path: Path
) -> None:
    play(ProtobufSpans(endpoint=running.url + TRACES))
    assert running.end() == 0
    done = Halo(tmp_path)("run", "traces.jsonl")
    assert "More may come of 1 trace: what they lack is judged 5 minutes after" in done.stderr


def test_the_result_is_printed_as_json(tmp_path: Path) -> None:
    with collecting(tmp_path, "--json") as running:
        running.send(span(1), span(2, spanId=""))
        running.post(TRACES, b"{", **JSON)
        assert running.end() == 3
    assert json.loads(running.printed) == {
        "file": "traces.jsonl",
        "traces": 1,
        "spans": 1,
        "log_records": 0,
        "services": ["lamp-shop"],
        "rejected_spans": 1,
        "rejected_log_records": 0,
        "refused_requests": {"The body is no export of spans in JSON.": 1},
    }


# -- the file ----------------------------------------------------------------------------------------


def test_the_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    (tmp_path / "traces.jsonl").touch(0o644)
    with collecting(tmp_path) as running:
        running.send(span(1))
        assert running.file.stat().st_mode & 0o777 == 0o600
        running.file.rename(tmp_path / "moved.jsonl")
        before = os.umask(0)
        running.send(span(2))
        os.umask(before)
        assert running.file.stat().st_mode & 0o777 == 0o600
    assert running.spans() == ["0" * 15 + "2"]


def test_what_is_sent_is_written_as_it_is_and_masked_when_it_is_analysed(
    running: Collecting, tmp_path: Path
) -> None:
    told = {"key": "input.value", "value": {"stringValue": f"my key is {SECRET}"}}
    running.send(span(1, attributes=[told]))
    assert running.end() == 0
    assert "secrets too, for you only; they are masked when the file is analysed" in (
        " ".join(running.complained.split())
    )
    assert SECRET in running.file.read_text()
    assert Halo(tmp_path)("run", "traces.jsonl").returncode == 0
    kept = [path.read_bytes() for path in (tmp_path / ".halo").rglob("*") if path.is_file()]
    assert [content for content in kept if SECRET.encode() in content] == []


def test_a_line_that_a_power_failure_left_unfinished_does_not_spoil_the_next(
    tmp_path: Path,
) -> None:
    unfinished = '{"resourceSpans":[{"scopeSp'
    (tmp_path / "traces.jsonl").write_text(unfinished)
    with collecting(tmp_path) as running:
        running.send(span(1))
    first, second, end = running.file.read_text().split("\n")
    assert (first, end) == (unfinished, "")
    assert json.loads(second)["resourceSpans"]


@pytest.mark.bubblewrap
def test_on_a_full_disk_senders_are_told_to_try_again_and_what_is_stored_stays_whole(
    tmp_path: Path,
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = f"{sys.executable} -m halo_integrations collect --port 0 --out traces.jsonl"
    script = f"echo $$ >pid; cd disk; exec {command} >../collect.out 2>../collect.err"
    mounts = ["--dev-bind", "/", "/", "--size", "65536", "--tmpfs", str(disk)]
    environment = {**os.environ, **QUIET}
    (tmp_path / "collect.err").touch()
    with subprocess.Popen(
        ["bwrap", *mounts, "sh", "-c", script], cwd=tmp_path, env=environment
    ) as process:
        running = Collecting(tmp_path, disk / "traces.jsonl", process.wait)
        pid = int((tmp_path / "pid").read_text())
        assert running.send(span(1)).status_code == 200
        refused = running.send(span(2, name="x" * 100_000))
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert "cannot be stored now" in refused.text
        assert running.send(span(3)).status_code == 200
        seen = Path(f"/proc/{pid}/root{running.file}").read_text()
        assert [len(json.loads(line)["resourceSpans"]) for line in seen.splitlines()] == [1, 1]
        os.kill(pid, signal.SIGINT)
        assert process.wait() == 3
    said = " ".join(running.complained.split())
    assert "traces.jsonl cannot be used. The disk is full (No space left on device). Until" in said
    assert "Refused: 1 request." in said


# -- mistakes of the command line --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (["--out", "nowhere/traces.jsonl"], 2, "There is no folder nowhere: create it"),
        (["--out", "folder"], 2, "folder is no file. Name another with --out"),
        (["--out", "notes.txt"], 2, "notes.txt holds something else than OTLP in lines of JSON"),
        (["--out", "/proc/traces.jsonl"], 3, "/proc/traces.jsonl cannot be used."),
        (["--host", "192.0.2.1"], 2, "192.0.2.1 is no address of this machine."),
        (["--host", "no.such.host.invalid"], 2, "Nothing can listen at no.such.host.invalid"),
        (["--port", "70000"], 2, "70000 is not in the range"),
    ],
)
def test_a_mistake_is_one_sentence_with_what_to_do(
    tmp_path: Path, arguments: list[str], code: int, what: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("# notes\n")
    done = Halo(tmp_path)("collect", "--port", "0", *arguments)
    assert done.returncode == code, done.stderr
    assert what in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert (tmp_path / "notes.txt").read_text() == "# notes\n"


def test_a_port_in_use_is_named_with_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = Halo(tmp_path)("collect", "--port", port)
    assert done.returncode == 2
    assert f"Port {port} is in use, perhaps by another collector" in done.stderr


def test_another_host_than_loopback_comes_with_a_warning(tmp_path: Path) -> None:
    with collecting(tmp_path, "--host", "0.0.0.0") as running:
        assert running.send(span(1)).status_code == 200
        assert running.host == socket.gethostname()
        assert "Warning: Whoever can reach this machine" in running.complained
    with collecting(tmp_path) as running:
        assert "Warning" not in running.complained


# -- other clients -----------------------------------------------------------------------------------


def test_a_client_of_grpc_is_told_the_variable_to_set(running: Collecting) -> None:
    exporter = GrpcSpans(endpoint=f"127.0.0.1:{running.port}", insecure=True, timeout=1)
    play(exporter)
    assert running.end() == 3
    said = " ".join(running.complained.split())
    assert said.count("A client speaks gRPC or HTTP/2, here it is HTTP/1.1") == 2
    assert "set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in said
