"""``collect``: what instrumentations send is appended to a file, until Ctrl-C."""

from __future__ import annotations

import shlex
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.filesize import decimal
from rich.status import Status
from rich.text import Text

from halo_adapters.receiver.collector import Collector, Tally
from halo_adapters.receiver.exports import LOGS, TRACES
from halo_adapters.receiver.server import Receiver
from halo_adapters.receiver.trace_file import TraceFile
from halo_engine.text.redaction import redact
from halo_engine.text.sanitize import safe_line
from halo_integrations.cli.exits import OK, PARTIAL
from halo_integrations.cli.interrupts import INTERRUPTS, STOPS
from halo_integrations.cli.progress import PLAIN_SECONDS
from halo_integrations.cli.terminal import Terminal
from halo_integrations.cli.texts import plural

SHOWN_SERVICES = 5
PROBLEM_CHARS = 400
TO_OTHERS = (
    "Whoever can reach this machine at that port can send traces, and fill the disk: there is no "
    "password, and what is sent is not encrypted on its way. Do so in a network that you trust only."
)
NOTHING_YET = (
    "Nothing was received. Are these variables set where the agent runs, does it record spans, and "
    "does it send them before it ends (shutdown() or force_flush() of the tracer provider)?"
)


def receive(*, host: str, port: int, out: Path, as_json: bool) -> int:
    """Append what is sent to ``host`` and ``port`` to the file ``out`` until Ctrl-C.

    Raises ``ConfigError`` where it cannot listen there or ``out`` is another kind of file, and
    ``StorageError`` where that cannot be written.
    """
    terminal, file = Terminal(as_json=as_json), TraceFile(out)
    view = CollectView(terminal)
    collector = Collector(file, view.received, view.problem)
    there = file.prepare()
    with ended_by_signals(), Receiver(host, port, collector) as receiver, view:
        try:
            view.greet(receiver, host, out, there)
            receiver.serve_forever()
        except KeyboardInterrupt:
            receiver.finish()
    file.remove_if_empty()
    view.result(collector.tally, out)
    return PARTIAL if collector.tally.has_losses else OK


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the block also in jobs of a shell, which ignore the first."""
    before = {number: signal.signal(number, INTERRUPTS) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class CollectView:
    """What is shown: progress, on a terminal in one line that changes, elsewhere now and then."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._status = Status("Waiting for the first spans", console=terminal.err)
        self._printed = 0.0

    def __enter__(self) -> None:
        """Begin to show progress."""
        if self._terminal.err.is_terminal:
            self._status.start()

    def __exit__(self, *_: object) -> None:
        """End to show progress."""
        self._status.stop()

    def greet(self, receiver: Receiver, host: str, out: Path, there: int) -> None:
        """Print the address, and how an agent is made to send there."""
        address = address_of(receiver, host)
        appended = f", after the {decimal(there)} that it holds" if there else ""
        self._terminal.info(f"Receiving OTLP over HTTP at {address} into {out}{appended}.")
        if not receiver.is_local:
            self._terminal.info(f"Warning: {TO_OTHERS}", style="yellow")
        self._terminal.info(
            "Start the agent with its instrumentation switched on, and with these variables:\n\n"
            f"  export OTEL_EXPORTER_OTLP_ENDPOINT={address}\n"
            "  export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n\n"
            "What it sends is written as it is, secrets too, for you only; they are masked when the "
            "file is analysed. Ctrl-C ends."
        )

    def received(self, tally: Tally) -> None:
        """Show what was received so far."""
        if self._terminal.err.is_terminal:
            self._status.update(Text(tally_text(tally)))
        elif time.monotonic() - self._printed > PLAIN_SECONDS:
            self._printed = time.monotonic()
            self._terminal.info(f"received: {tally_text(tally)}")

    def problem(self, sentence: str) -> None:
        """Print why something that was sent is not kept."""
        self._terminal.info(
            f"Warning: {safe_line(redact(sentence), PROBLEM_CHARS)}", style="yellow"
        )

    def result(self, tally: Tally, out: Path) -> None:
        """Print what was received, and what to do with it."""
        self._terminal.json(tally_values(tally, out))
        if not tally.kept.total():
            self._terminal.out.print(NOTHING_YET, soft_wrap=True)
        else:
            self._terminal.out.print(
                f"Received: {tally_text(tally)}.", soft_wrap=True, markup=False
            )
        for noun, number in tally.rejected.items():
            if number:
                self._terminal.info(f"Not kept: {plural(number, noun)}.")
        for reason, times in tally.refused.most_common():
            told = safe_line(redact(reason), PROBLEM_CHARS)
            self._terminal.info(f"Refused: {plural(times, 'request')}. {told}", style="yellow")
        if tally.kept[TRACES.noun]:
            self._terminal.info(f"Next: halo-integrations run {shlex.quote(str(out))}")


def tally_text(tally: Tally) -> str:
    """How many traces, spans and log records of which services."""
    parts = [plural(len(tally.trace_ids), "trace"), plural(tally.kept[TRACES.noun], TRACES.noun)]
    if tally.kept[LOGS.noun]:
        parts.append(plural(tally.kept[LOGS.noun], LOGS.noun))
    names = sorted(tally.services)
    shown = ", ".join(names[:SHOWN_SERVICES])
    more = f" and {len(names) - SHOWN_SERVICES} more" if len(names) > SHOWN_SERVICES else ""
    return safe_line(", ".join(parts) + (f" of {shown}{more}" if names else ""), PROBLEM_CHARS)


def tally_values(tally: Tally, out: Path) -> dict[str, object]:
    """The result for programs."""
    return {
        "file": str(out),
        "traces": len(tally.trace_ids),
        "spans": tally.kept[TRACES.noun],
        "log_records": tally.kept[LOGS.noun],
        "services": sorted(tally.services),
        "rejected_spans": tally.rejected[TRACES.noun],
        "rejected_log_records": tally.rejected[LOGS.noun],
        "refused_requests": dict(tally.refused),
    }


def address_of(receiver: Receiver, host: str) -> str:
    """The address to send to: the name of this machine where it listens on all of its addresses."""
    name = socket.gethostname() if host in ("", "0.0.0.0", "::") else host  # noqa: S104
    return f"http://[{name}]:{receiver.port}" if ":" in name else f"http://{name}:{receiver.port}"
