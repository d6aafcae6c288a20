"""SQL that a model or a stranger wrote, answered in a process of its own.

DuckDB bounds the memory of its tables, not of the texts that its functions make, and looks at the
clock between two batches of rows only: one `repeat('x', 1000000000)` over some rows takes all
memory of the process it runs in. Here that is one which can be lost: the system bounds it, it ends
itself when its time is over, and it is started again when it is asked next.

Requests and answers are JSON, one a line, on the standard streams of the process.
"""

from __future__ import annotations

import contextlib
import json
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
from halo_engine.store.database import open_to_read, time_limit

MEMORY_BYTES = 4_000_000_000
ANSWER_CHARS = 200_000_000
BATCH = 1000
# After which a query that does not stop when it is told to ends with its process.
GRACE_SECONDS = 2.0
TOO_LONG = 75  # the exit code of that

PACKAGES = Path(__file__).parents[2]
# The process runs the code that this one runs, wherever that was imported from.
START = f"import sys; sys.path.insert(0, sys.argv[1]); from {__name__} import main; main()"


class SqlProcess:
    """The process that answers queries over the store at ``path``; started when first asked."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def rows(self, query: str, **asked: Any) -> list[dict[str, Any]]:
        """See ``TraceStore.sql``."""
        with self._lock:
            answer = self._asked(json.dumps({"query": query, **asked}))
        if "error" in answer:
            raise EngineError(answer["error"])
        names = answer["names"]
        return [dict(zip(names, row, strict=True)) for row in answer["rows"]]

    def close(self) -> None:
        """End the process, and forget what it kept on disk."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        process.communicate()
        shutil.rmtree(self._spilled, ignore_errors=True)

    def _asked(self, line: str) -> dict[str, Any]:
        """The answer to one request. Whoever is interrupted here must not get it next time."""
        process = self._process = self._process or self._started()
        try:
            with contextlib.suppress(OSError):
                stream(process.stdin).write(f"{line}\n")
                stream(process.stdin).flush()
            said = stream(process.stdout).readline()
        except BaseException:
            self.close()
            raise
        if said.endswith("\n"):
            answer: dict[str, Any] = json.loads(said)
            return answer
        code = process.wait()
        self.close()
        return {"error": ended(code)}

    def _started(self) -> subprocess.Popen[str]:
        """A new process, which an interrupt from the keyboard does not reach."""
        self._spilled = tempfile.mkdtemp(prefix="halo-sql-")
        return subprocess.Popen(  # noqa: S603 - fixed words
            [sys.executable, "-P", "-c", START, str(PACKAGES), str(self._path), self._spilled],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )


def ended(code: int) -> str:
    """Why there is no answer from a process that ended with ``code``."""
    if code == TOO_LONG:
        return "The query took too long and could not be stopped: narrow it, select less text."
    if code < 0:
        return "The query took too much memory, its process was ended: narrow it."
    return f"The process that answers SQL could not be started or failed (exit code {code})."


def stream(pipe: IO[str] | None) -> IO[str]:
    """A stream that is there, since it was asked for."""
    assert pipe is not None
    return pipe


def main() -> None:
    """Answer queries over the store that is named, until the one who asks is gone."""
    _, _, path, spilled = sys.argv
    bound_memory()
    connection = open_to_read(Path(path), spill_to=spilled)
    for line in sys.stdin:
        asked = json.loads(line)
        with hard_stop(asked["seconds"] + GRACE_SECONDS, spilled):
            said = answered(connection.cursor(), **asked)
        sys.stdout.write(f"{said}\n")
        sys.stdout.flush()
    shutil.rmtree(spilled, ignore_errors=True)


def bound_memory() -> None:
    """Have the system refuse more memory than a query should need, where it can."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # not there on Windows

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


@contextlib.contextmanager
def hard_stop(seconds: float, spilled: str) -> Iterator[None]:
    """End this process where the block has not ended in ``seconds``, whoever still waits for it."""

    def stop() -> None:
        shutil.rmtree(spilled, ignore_errors=True)
        os._exit(TOO_LONG)

    watchdog = threading.Timer(seconds, stop)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()


def answered(connection: duckdb.DuckDBPyConnection, **asked: Any) -> str:
    """The rows of a query as JSON, or what was wrong with it."""
    try:
        return queried(connection, **asked)
    except duckdb.InterruptException:
        error = f"The query took longer than {asked['seconds']:g} s: narrow it."
    except (duckdb.OutOfMemoryException, MemoryError):
        error = "The query took too much memory: narrow it, select less text."
    except (duckdb.Error, EngineError, TypeError, ValueError) as failure:
        error = str(failure)
    return json.dumps({"error": error})


def queried(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    rows: int,
    seconds: float,
    chars: int | None,
    columns: Sequence[str] | None,
) -> str:
    """The first rows of a query as JSON, as far as they are small enough to be handed over."""
    parts: list[str] = []
    left, size = rows, 0
    with time_limit(connection, seconds):
        result = connection.execute(selection(query))
        names = [column[0] for column in result.description or ()]
        kept = [n for n, name in enumerate(names) if columns is None or name in columns]
        while left > 0 and (batch := result.fetchmany(min(BATCH, left))):
            part = [[shortened(row[n], chars) for n in kept] for row in batch]
            parts.append(json.dumps(part, default=str)[1:-1])
            left -= len(batch)
            size += len(parts[-1])
            if size > ANSWER_CHARS:
                raise EngineError(
                    f"The rows hold more than {ANSWER_CHARS:,} characters: select less text."
                )
    return f'{{"names": {json.dumps([names[n] for n in kept])}, "rows": [{", ".join(parts)}]}}'


def shortened(value: Any, chars: int | None) -> Any:
    """A value, its text cut at ``chars`` characters."""
    if chars is None or value is None or isinstance(value, (int, float, bool)):
        return value
    return str(value)[:chars]


def selection(query: str) -> duckdb.Statement:
    """``query`` as its one statement, which selects: others could change what later ones see."""
    statements = duckdb.extract_statements(query)
    if len(statements) != 1:
        raise EngineError(f"One statement at a time: this text holds {len(statements)}.")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise EngineError(f"Only SELECT: this is {statements[0].type.name}.")
    return statements[0]
