"""SQL that a model or a stranger wrote, answered in a process of its own.

DuckDB bounds the memory of its tables, not of the texts that its functions make, and looks at the
clock between two batches of rows only: one `repeat('x', 1000000000)` over some rows takes all
memory of the process it runs in. Here that is one which can be lost: it is bounded by the system,
ended when its time is over, and started again when it is asked next.

Requests and answers are JSON, one a line, on the standard streams of the process.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import duckdb

from halo_engine.errors import EngineError
from halo_engine.store.database import open_to_read, time_limit

MEMORY_BYTES = 4_000_000_000
ANSWER_CHARS = 200_000_000
BATCH = 100
# After which a process that does not stop by itself is ended.
GRACE_SECONDS = 2.0


class SqlProcess:
    """The process that answers queries over the store at ``path``; started when first asked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def rows(
        self, query: str, *, rows: int, seconds: float, chars: int | None
    ) -> list[dict[str, Any]]:
        """See ``TraceStore.sql``."""
        asked = {"query": query, "rows": rows, "seconds": seconds, "chars": chars}
        with self._lock:
            answer = self._asked(json.dumps(asked), seconds + GRACE_SECONDS)
        if "error" in answer:
            raise EngineError(answer["error"])
        names = answer["names"]
        return [dict(zip(names, row, strict=True)) for row in answer["rows"]]

    def close(self) -> None:
        """End the process."""
        if self._process:
            self._process.kill()
            self._process.communicate()
        self._process = None

    def _asked(self, line: str, seconds: float) -> dict[str, Any]:
        """The answer to one request; the process is ended where none comes in time."""
        process = self._process = self._process or started(self._path)
        watchdog = threading.Timer(seconds, process.kill)
        watchdog.start()
        with contextlib.suppress(BrokenPipeError):
            stream(process.stdin).write(f"{line}\n")
            stream(process.stdin).flush()
        said = stream(process.stdout).readline()
        watchdog.cancel()
        if said.endswith("\n"):
            answer: dict[str, Any] = json.loads(said)
            return answer
        self.close()
        return {"error": "The query took too much memory or time: narrow it, select less text."}


def started(path: Path) -> subprocess.Popen[str]:
    """A new process, which an interrupt from the keyboard does not reach."""
    return subprocess.Popen(  # noqa: S603 - fixed words
        [sys.executable, "-P", "-c", f"from {__name__} import main; main()", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        start_new_session=True,
    )


def stream(pipe: IO[str] | None) -> IO[str]:
    """A stream that is there, since it was asked for."""
    assert pipe is not None
    return pipe


def main() -> None:
    """Answer queries over the store that is named, until the one who asks is gone."""
    bound_memory()
    connection = open_to_read(Path(sys.argv[1]))
    for line in sys.stdin:
        sys.stdout.write(f"{answered(connection, **json.loads(line))}\n")
        sys.stdout.flush()


def bound_memory() -> None:
    """Have the system refuse more memory than a query should need, where it can."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # not there on Windows

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def answered(connection: duckdb.DuckDBPyConnection, **asked: Any) -> str:
    """The rows of a query as JSON, or what was wrong with it."""
    try:
        return json.dumps(queried(connection, **asked), default=str)
    except duckdb.InterruptException:
        error = f"The query took longer than {asked['seconds']:g} s: narrow it."
    except (duckdb.OutOfMemoryException, MemoryError):
        error = "The query took too much memory: narrow it, select less text."
    except (duckdb.Error, EngineError) as failure:
        error = str(failure)
    return json.dumps({"error": error})


def queried(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    rows: int,
    seconds: float,
    chars: int | None,
) -> dict[str, Any]:
    """The first rows of a query, as far as they are small enough to be handed over."""
    found: list[list[Any]] = []
    size = 0
    with time_limit(connection, seconds):
        result = connection.execute(single_statement(query))
        while len(found) < rows and (batch := result.fetchmany(min(BATCH, rows - len(found)))):
            shown = [[shortened(value, chars) for value in row] for row in batch]
            size += sum(len(str(value)) for row in shown for value in row)
            if size > ANSWER_CHARS:
                raise EngineError(
                    f"The rows hold more than {ANSWER_CHARS:,} characters: select less text."
                )
            found += shown
    return {"names": [column[0] for column in result.description or ()], "rows": found}


def shortened(value: Any, chars: int | None) -> Any:
    """A value, its text cut at ``chars`` characters."""
    if chars is None or value is None or isinstance(value, (int, float, bool)):
        return value
    return str(value)[:chars]


def single_statement(query: str) -> duckdb.Statement:
    """``query`` as its one statement; several in one text are refused."""
    statements = duckdb.extract_statements(query)
    if len(statements) != 1:
        raise EngineError(f"One statement at a time: this text holds {len(statements)}.")
    return statements[0]
