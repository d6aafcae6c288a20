"""Untrusted SQL, run in a worker process with limits on time and memory.

DuckDB limits the memory of its tables but not of the strings that its functions build, and checks
for an interrupt only between two batches of rows: ``repeat('x', 1000000000)`` over a few rows takes
all memory of its process. So queries run in a separate process: the operating system limits its
memory, it ends itself at the hard time limit, and the next query starts it again.

Requests and responses are JSON, one a line, on the standard streams of the worker. It is a plain
subprocess, since ``multiprocessing`` would import the main module of the user again.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import duckdb

from halo_engine.errors import EngineError
from halo_engine.store.database import derived_path, open_parts, time_limit
from halo_engine.store.manifest import read_manifest
from halo_engine.store.statements import parse_select

MEMORY_BYTES = 4_000_000_000
RESPONSE_CHARS = 200_000_000
FETCHED_ROWS = 1000
# Seconds after its time limit at which the process of a query that ignores the interrupt is ended.
GRACE_SECONDS = 2.0
# The exit code of a worker that ended itself at the hard time limit.
TIMED_OUT = 75

PACKAGES = Path(__file__).parents[2]
# The worker imports the package from where this process has it.
WORKER = f"import sys; sys.path.insert(0, sys.argv[1]); from {__name__} import main; main()"


class SqlWorker:
    """A worker process for queries on the store at ``path``, started by the first query."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def rows(self, query: str, **limits: Any) -> list[dict[str, Any]]:
        """The rows of ``query``; see ``TraceStore.sql``. One query at a time, from any thread."""
        with self._lock:
            response = self._request(json.dumps({"query": query, **limits}))
        if "error" in response:
            raise EngineError(response["error"])
        names = response["names"]
        return [dict(zip(names, row, strict=True)) for row in response["rows"]]

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """A block in which no worker has the file open; the next query starts it again."""
        with self._lock:
            self.close()
            yield

    def close(self) -> None:
        """End the worker, and remove the folder of its temporary files."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        process.communicate()
        shutil.rmtree(self._spill_folder, ignore_errors=True)

    def _request(self, line: str) -> dict[str, Any]:
        """The response to one request, or an error if the worker ended without one.

        After an interrupt here the worker is ended, so that its response cannot be taken for the
        response to the next request.
        """
        process = self._process = self._process or self._start()
        try:
            with contextlib.suppress(OSError):
                opened(process.stdin).write(f"{line}\n")
                opened(process.stdin).flush()
            text = opened(process.stdout).readline()
        except BaseException:
            self.close()
            raise
        if text.endswith("\n"):
            response: dict[str, Any] = json.loads(text)
            return response
        code = process.wait()
        self.close()
        return {"error": exit_message(code)}

    def _start(self) -> subprocess.Popen[str]:
        """Start a worker in a session of its own, which a keyboard interrupt does not reach."""
        self._spill_folder = tempfile.mkdtemp(prefix="halo-sql-")
        arguments = [str(PACKAGES), str(self._path), self._spill_folder]
        return subprocess.Popen(  # noqa: S603 - no shell, and no untrusted argument
            [sys.executable, "-P", "-c", WORKER, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )


def exit_message(code: int) -> str:
    """Why a worker that ended with exit ``code`` gave no response."""
    if code == TIMED_OUT:
        return "The query took too long and could not be stopped: narrow it, select less text."
    if code < 0:
        return "The query took too much memory, its process was ended: narrow it."
    return f"The process that answers SQL could not be started or failed (exit code {code})."


def opened(stream: IO[str] | None) -> IO[str]:
    """``stream``, which is not None since it was requested as a pipe."""
    assert stream is not None
    return stream


def main() -> None:
    """The worker: answer requests until standard input is closed, as it is when the parent ends."""
    _, _, path, spill_folder = sys.argv
    limit_memory()
    store = Path(path)
    try:
        manifest = read_manifest(store)
        # From here the parts have names that tell nothing of this machine.
        os.chdir(store)
        connection = open_parts(
            Path(), manifest, spill_to=spill_folder, derived=derived_path(store)
        )
    except EngineError as error:
        for _ in sys.stdin:
            answer(json.dumps({"error": str(error)}))
        return
    for line in sys.stdin:
        request = json.loads(line)
        with hard_time_limit(request["seconds"] + GRACE_SECONDS, spill_folder):
            response = respond(connection, **request)
        answer(response)
    shutil.rmtree(spill_folder, ignore_errors=True)


def answer(response: str) -> None:
    """Write one response."""
    sys.stdout.write(f"{response}\n")
    sys.stdout.flush()


def limit_memory() -> None:
    """Limit the address space of this process, where the operating system supports it."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # missing on Windows

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


@contextlib.contextmanager
def hard_time_limit(seconds: float, spill_folder: str) -> Iterator[None]:
    """End this process if the block takes longer than ``seconds``, even after the parent ended."""

    def stop() -> None:
        shutil.rmtree(spill_folder, ignore_errors=True)
        os._exit(TIMED_OUT)

    watchdog = threading.Timer(seconds, stop)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()


def respond(connection: duckdb.DuckDBPyConnection, **request: Any) -> str:
    """The rows of a query as JSON, or its error as JSON."""
    try:
        return run_query(connection, **request)
    except duckdb.InterruptException:
        error = f"The query took longer than {request['seconds']:g} s: narrow it."
    except (duckdb.OutOfMemoryException, MemoryError):
        error = "The query took too much memory: narrow it, select less text."
    except (duckdb.Error, EngineError, TypeError, ValueError) as failure:
        error = str(failure)
    return json.dumps({"error": error})


def run_query(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    rows: int | None,
    seconds: float,
    chars: int | None = None,
    columns: Sequence[str] | None = None,
) -> str:
    """The first ``rows`` rows of a query (None: all) as JSON.

    Raises ``EngineError`` over ``RESPONSE_CHARS``.
    """
    parts: list[str] = []
    left, size = math.inf if rows is None else rows, 0
    with time_limit(connection, seconds):
        result = connection.execute(parse_select(connection, query))
        names = [column[0] for column in result.description or ()]
        kept = [n for n, name in enumerate(names) if columns is None or name in columns]
        while left > 0 and (batch := result.fetchmany(int(min(FETCHED_ROWS, left)))):
            part = [[truncated_value(row[n], chars) for n in kept] for row in batch]
            parts.append(json.dumps(part, default=str)[1:-1])
            left -= len(batch)
            size += len(parts[-1])
            if size > RESPONSE_CHARS:
                raise EngineError(
                    f"The rows hold more than {RESPONSE_CHARS:,} characters: select less text."
                )
    return f'{{"names": {json.dumps([names[n] for n in kept])}, "rows": [{", ".join(parts)}]}}'


def truncated_value(value: Any, chars: int | None) -> Any:
    """``value``; with ``chars``, all but numbers as text truncated to so many characters."""
    if chars is None or value is None or isinstance(value, (int, float, bool)):
        return value
    return str(value)[:chars]
