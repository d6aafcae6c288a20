"""Made-up secrets of every kind in traces, and every output of the product searched for them.

The functions ``outputs_...`` run files with and without a model over HTTP, a Langfuse server with
follow-ups, and servers that refuse; they return all that comes out: run folders (every file, table
and row), reports in every format, standard output and error, prompts, the exported trace of the
analysis, and what the platform was sent. ``leaks`` searches that.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from halo_cli import Halo
from halo_integrations.testing.langfuse import LangfuseServer, LangfuseVersion
from labelled_texts.credentials import labelled_credentials
from labelled_texts.labels import Labelled
from langfuse_data import environment
from loopback import Answer, serving
from model_endpoint import Analyst, code, endpoint, refusal
from trace_files import lines_of, row

Row = dict[str, Any]

NEEDLE_CHARS = 12
# Words of a person, by which texts are found that are withheld as a whole.
SENTENCE = "the caribou walks at dawn"
WORDS = ("caribou", "dawn", "not found:", "refused:")


@dataclass(frozen=True)
class Leak:
    """A part of a secret, and the output that shows it."""

    kind: str
    output: str


def canary_texts(seed: int = 5) -> list[Labelled]:
    """One text of every kind of credential."""
    return list(labelled_credentials(seed, examples=1))


def canary_rows(texts: Iterable[Labelled]) -> list[Row]:
    """A trace for each text, which stands in every field of its spans."""
    return [row for number, text in enumerate(texts) for row in trace_rows(number, text.text)]


def trace_rows(number: int, text: str) -> Iterator[Row]:
    """An agent that calls a tool three times in vain, fails once, and answers."""
    trace, root = f"{number + 1:032x}", f"{number + 1:016x}"
    arguments = json.dumps({"note": text, "say": SENTENCE})
    call = {"message.tool_calls.0.tool_call.function.name": "look_up"}
    call["message.tool_calls.0.tool_call.function.arguments"] = arguments
    messages = {f"llm.output_messages.0.{key}": value for key, value in call.items()}
    yield step(trace, root, "", 0, "AGENT", {"input.value": text, "output.value": ""})
    yield step(
        *(trace, f"{number + 1:08x}00000001", root, 1, "LLM"),
        {
            "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.content": f"{SENTENCE}: {text}",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.content": text,
            **messages,
        },
    )
    for turn in range(2, 5):
        io = {"input.value": arguments, "output.value": f"not found: {text}"}
        span = f"{number + 1:08x}0000000{turn}"
        yield step(trace, span, root, turn, "TOOL", {**io, "tool.name": "look_up"})
    failed = step(
        *(trace, f"{number + 1:08x}00000005", root, 5, "TOOL"),
        {"input.value": arguments, "tool.name": "send", "metadata": json.dumps({"note": text})},
    )
    error = {"exception.type": "ValueError", "exception.message": f"ValueError: {text}"}
    yield {
        **failed,
        "status": {"code": "STATUS_CODE_ERROR", "message": f"refused: {text}"},
        "events": [{"name": "exception", "timestamp": failed["end_time"], "attributes": error}],
    }


def step(trace: str, span: str, parent: str, second: int, kind: str, attributes: Row) -> Row:
    """One span of a trace."""
    return row(
        trace,
        span,
        parent_span_id=parent,
        name=kind.lower(),
        start_time=f"2026-04-01T00:00:{second:02d}Z",
        end_time=f"2026-04-01T00:00:{second + 1:02d}Z",
        attributes={"openinference.span.kind": kind, **attributes},
    )


# -- what a curious model does -------------------------------------------------------------------

CURIOUS = [
    code(
        "for r in sql('SELECT * FROM spans', limit=2000, chars=200):",
        "    print(r['span'], r['input'], r['output'], r['status_message'], r['attributes'])",
    ),
    code(
        "for r in sql('SELECT substr(input, 12, 30) AS a, substr(output, 20, 30) AS b FROM spans',",
        "             limit=2000):",
        "    print(r['a'], r['b'])",
    ),
    code(
        "for n in range(1, 80, 3):",
        "    print(read(f'T{n}', chars=1500))",
        "    print(read_span(f'T{n}.1', field='input', start=15, chars=40))",
        "print(search('refused', limit=80))",
    ),
    code("print(code_read('deploy.py'))", "print(code_grep('='))"),
    code("print(ask_many('What is it?', sample(5)))"),
    code(
        "rows = sql(\"SELECT trace_id, span_id, output FROM spans WHERE tool_name = 'look_up' AND \"",
        "           \"contains(output, '[redacted:github#') OR contains(output, ':github-token#')\")",
        "evidence = [{'span': r['span'], 'quote': r['output'][:200]} for r in rows[:2]]",
        "print(submit_finding(title='A key is looked up', failure_mode='wrong_result', summary='s',",
        "    cause='c', recommendation='r', impact='wrong_outcome', evidence=evidence,",
        "    check={'pattern': 'redacted:github-token', 'field': 'output'}))",
    ),
]


# -- the product ---------------------------------------------------------------------------------


def outputs_with_model(folder: Path, texts: list[Labelled], *options: str) -> dict[str, str]:
    """Every output of a run of files with a model that reads whatever it can."""
    write_files(folder, texts)
    with endpoint(Analyst(CURIOUS, symptom="never")) as model, serving(lambda _: Answer()) as otlp:
        done = Halo(folder, PHOENIX_BASE_URL=otlp.url)(
            *("run", "traces.jsonl", "--json", "--debug", "--trace-to", "phoenix"),
            *("--model", "scripted", "--model-url", model.url, "--token-budget", "100000000"),
            *("--code", "agent", "--context", "about.md", "--question", texts[0].text),
            *options,
        )
        assert "A key is looked up" in done.stdout, done.stderr
        found = {"stdout": done.stdout, "stderr": done.stderr, "prompts": json.dumps(model.prompts)}
        found["exported trace"] = "".join(as_text(request.body) for request in otlp.requests)
    return found | stored_texts(folder / ".halo")


def outputs_of_files(folder: Path, texts: list[Labelled], *options: str) -> dict[str, str]:
    """Every output of a run of files by detectors, and its report in each format."""
    write_files(folder, texts)
    halo = Halo(folder)
    done = halo("run", "traces.jsonl", "--no-llm", "--debug", *options)
    assert "spans analysed" in done.stdout, done.stderr
    found = {"stdout": done.stdout, "stderr": done.stderr}
    for form in ("md", "html", "json"):
        found[f"report {form}"] = halo("report", "last", "--format", form).stdout
    return found | stored_texts(folder / ".halo")


def write_files(folder: Path, texts: list[Labelled]) -> None:
    """Traces, lines that are broken off, source code and a description, all with secrets."""
    (folder / "agent").mkdir(parents=True)
    broken = b"".join(json.dumps(text.text).encode()[:-1] + b"\n" for text in texts)
    (folder / "traces.jsonl").write_bytes(lines_of(canary_rows(texts)) + broken)
    source = "\n".join(f"# {text.kind}\n{text.text}" for text in texts)
    for path in (folder / "agent" / "deploy.py", folder / "about.md"):
        path.write_text(source, encoding="utf-8")


def outputs_of_platform(folder: Path, texts: list[Labelled], *options: str) -> dict[str, str]:
    """Every output of a run on Langfuse that writes scores, comments and queue items."""
    folder.mkdir(parents=True)
    with LangfuseServer(LangfuseVersion.V4_59) as server:
        server.send(canary_rows(texts))
        halo = Halo(folder, **environment(server))
        done = halo("run", "langfuse", "--no-llm", "--yes", "--comment", "--queue", "q", *options)
        written = {
            name: getattr(server, name)
            for name in ("scores", "comments", "queue_items", "dataset_items", "datasets", "queues")
        }
        assert all(written[name] for name in ("scores", "comments", "queue_items")), done.stderr
        found = {"stdout": done.stdout, "stderr": done.stderr, "written": json.dumps(written)}
        found["configs"] = json.dumps(server.score_configs)
    return found | stored_texts(folder / ".halo")


def outputs_of_failures(folder: Path, texts: list[Labelled]) -> dict[str, str]:
    """What is printed where a model and a platform refuse with a text."""
    folder.mkdir(parents=True)
    (folder / "traces.jsonl").write_bytes(lines_of(canary_rows(texts[:1])))
    found: dict[str, str] = {}
    for text in texts:
        answer = Answer(status=400, body={"message": text.text})
        with serving(lambda _, answer=answer: answer) as platform:
            done = Halo(folder, PHOENIX_BASE_URL=platform.url)("pull", "phoenix", "--debug")
            found[f"platform {text.kind}"] = done.stdout + done.stderr
        refused = refusal(400, text.text)
        with endpoint(lambda _: "", lambda _, refused=refused: refused) as model:
            named = ["--model", "scripted", "--model-url", model.url, "--token-budget", "1000000"]
            done = Halo(folder)("run", "traces.jsonl", "--fresh", *named)
            found[f"model {text.kind}"] = done.stdout + done.stderr
    return found


def every_output(texts: list[Labelled]) -> Iterator[tuple[str, dict[str, str]]]:
    """What comes out of every way to run the product, under its name."""
    runs: dict[str, Callable[[Path], dict[str, str]]] = {
        "files": lambda folder: outputs_of_files(folder, texts),
        "files, `--redact strict`": lambda folder: outputs_of_files(
            folder, texts, "--redact", "strict"
        ),
        "files, `--metadata-only`": lambda folder: outputs_of_files(
            folder, texts, "--metadata-only"
        ),
        "files, a model": lambda folder: outputs_with_model(folder, texts),
        "Langfuse, all follow-ups": lambda folder: outputs_of_platform(
            folder, texts, "--dataset", "regressions"
        ),
        "servers that refuse with the text": lambda folder: outputs_of_failures(folder, texts[::4]),
    }
    for name, run in runs.items():
        with tempfile.TemporaryDirectory() as folder:
            yield name, run(Path(folder) / "here")


def stored_texts(home: Path) -> dict[str, str]:
    """Every file of a home as text; databases table by table, since they are compressed."""
    found = {}
    for path in sorted(p for p in home.rglob("*") if p.is_file()):
        reader = READERS.get(path.suffix, lambda path: as_text(path.read_bytes()))
        found[path.relative_to(home).as_posix()] = reader(path)
    return found


def duckdb_text(path: Path) -> str:
    """All rows of all tables."""
    with duckdb.connect(path, read_only=True) as db:
        tables = [
            name for (name,) in db.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        ]
        return "\n".join(str(db.execute(f"SELECT * FROM {t}").fetchall()) for t in tables)


def sqlite_text(path: Path) -> str:
    """All rows of all tables."""
    with sqlite3.connect(path) as db:
        tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return "\n".join(str(db.execute(f"SELECT * FROM {t}").fetchall()) for (t,) in tables)


def parquet_text(path: Path) -> str:
    """All rows."""
    return str(pq.read_table(path).to_pylist())


READERS: Mapping[str, Callable[[Path], str]] = {
    ".duckdb": duckdb_text,
    ".parquet": parquet_text,
    ".sqlite": sqlite_text,
}


def as_text(content: bytes) -> str:
    """Bytes as text, unpacked if they are packed."""
    if content[:2] == b"\x1f\x8b":
        content = zlib.decompress(content, wbits=31)
    return content.decode("utf-8", "replace")


# -- the search ----------------------------------------------------------------------------------


def leaks(texts: Iterable[Labelled], outputs: Mapping[str, str]) -> list[Leak]:
    """The parts of secrets that are in an output."""
    return [
        Leak(text.kind, name)
        for text in texts
        for name, output in outputs.items()
        if any(needle in output for secret in text.secrets for needle in needles(secret))
    ]


def needles(secret: str) -> set[str]:
    """A short secret as a whole; of a long one its middle and its end."""
    if len(secret) <= 2 * NEEDLE_CHARS:
        return {secret}
    middle = len(secret) // 2
    return {secret[middle : middle + NEEDLE_CHARS], secret[-NEEDLE_CHARS:]}
