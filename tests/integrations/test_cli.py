"""The command line: output, exit codes and error messages."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from corpora import synthetic
from halo_cli import FreshHalo, Halo
from halo_integrations.testing.conformance import sample_rows
from halo_integrations.testing.langfuse import LangfuseServer
from langfuse_data import environment
from loopback import Answer, Request, in_turn, serving


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    path = tmp_path / "traces.jsonl"
    path.write_bytes(b"\n".join(map(orjson.dumps, sample_rows())))
    return path


@pytest.fixture
def halo(tmp_path: Path) -> Halo:
    return Halo(tmp_path)


def test_a_file_is_analysed_and_its_report_is_written(halo: Halo, traces: Path) -> None:
    done = halo("run", traces)
    assert done.returncode == 0, done.stderr
    assert "6 traces, 20 spans analysed." in done.stdout
    assert "Report: .halo/runs/" in done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_the_traces_may_come_from_standard_input(halo: Halo, traces: Path) -> None:
    assert "6 traces" in halo("run", "-", stdin=traces.read_text()).stdout


def test_the_result_can_be_printed_as_json(halo: Halo, traces: Path) -> None:
    result = json.loads(halo("run", traces, "--json").stdout)
    assert result["report"]["traces"] == 6
    assert result["run"]["stage"] == "analyzed"
    assert result["annotated"] is None


def test_what_takes_how_long_is_told_on_request(halo: Halo, traces: Path) -> None:
    told = halo("run", traces, "--timings", "--workers", "2").stderr
    for what in ("mapping", "masking", "detector swallowed_error", "report"):
        assert f"%  {what}\n" in told
    assert "detector" not in halo("run", traces, "--fresh").stderr


def test_the_detectors_are_listed_with_what_they_find(halo: Halo) -> None:
    shown = " ".join(halo("detectors").stdout.split())
    assert "invented_identifier" in shown
    assert "called with an" in shown


def test_a_run_can_be_reported_listed_and_analysed_again(halo: Halo, traces: Path) -> None:
    halo("run", traces)
    (listed,) = json.loads(halo("runs", "--json").stdout)
    shown = halo("runs").stdout
    assert listed["id"] in shown
    assert f"files {traces.name}" in shown
    assert halo("report").stdout.startswith("# ")
    assert halo("report", "last", "--format", "html").stdout.startswith("<!")
    assert json.loads(halo("report", listed["id"], "--format", "json").stdout)["traces"] == 6
    assert halo("analyze", listed["id"]).returncode == 0


def test_filters_that_no_trace_passes_are_named(halo: Halo, traces: Path) -> None:
    done = halo("run", traces, "--metadata", "tenant=acme", "--session", "s 1", "--errors-only")
    assert done.returncode == 0
    said = " ".join(done.stdout.split())
    filters = "--errors-only --session s 1 --metadata tenant=acme"
    assert f"There are no traces to analyse: none matches {filters}." in said


def test_a_bad_line_is_listed_and_the_rest_is_analysed(halo: Halo, traces: Path) -> None:
    traces.write_bytes(traces.read_bytes() + b"\n{broken")
    done = halo("run", traces)
    assert done.returncode == 3
    assert "6 traces" in done.stdout
    assert "traces.jsonl:22" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "Missing argument 'SOURCE'"),
        (["run", "nowhere.jsonl"], "is neither a platform (langfuse, mlflow, phoenix) nor a file"),
        (["run", "langfuse", "--yes"], "set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY"),
        (["run", "phoenix", "--yes", "--release", "r1"], "cannot be filtered by --release"),
        (["run", "traces.jsonl", "--limit", "3", "--sample", "3"], "not both"),
        (["run", "traces.jsonl", "--profile", "shop"], "no profile 'shop' for files"),
        (["run", "phoenix"], "add --yes to write, or --dry-run to look only"),
        (["run", "traces.jsonl", "--since", "yesterday"], "Write an age (90m, 24h, 7d)"),
        (["run", "traces.jsonl", "--limit", "0"], "x>=1"),
        (["run", "traces.jsonl", "--metadata", "env"], "KEY=VALUE"),
        (["report", "last"], "There is no run 'last'"),
        (["annotate", "none", "--yes"], "There is no run 'none'"),
        (["undo", "none", "--yes"], "There is no run 'none'"),
        (["run", "traces.jsonl", "--fail-on", "awful"], "'awful' is not one of"),
        (["config", "phoenix", "--timeout", "-1"], "phoenix.timeout (from --timeout)"),
        (["run", "traces.jsonl", "--budget", "-1"], "The option budget is not valid"),
        (["analyze", "last", "--price", "3"], "The option price is not valid"),
        (["run", "traces.jsonl", "--trace-to", "nonsense"], "spans can be exported to phoenix"),
    ],
)
def test_a_usage_error_prints_a_message_and_exits_with_2(
    halo: Halo, traces: Path, arguments: list[str], message: str
) -> None:
    done = halo(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_annotating_a_run_over_a_file_is_refused_with_the_reason(halo: Halo, traces: Path) -> None:
    halo("run", traces)
    done = halo("annotate", "last", "--yes")
    assert done.returncode == 2
    assert "takes no annotations" in done.stderr


def test_nothing_is_pulled_if_the_run_cannot_be_confirmed(halo: Halo) -> None:
    with serving(in_turn(Answer(500))) as server:
        assert halo("run", "phoenix", "--base-url", server.url).returncode == 2
        assert server.requests == []


def test_an_unreachable_server_is_named_in_the_error(halo: Halo) -> None:
    done = halo("run", "phoenix", "--yes", "--base-url", "http://127.0.0.1:9")
    assert done.returncode == 3
    assert "Phoenix at http://127.0.0.1:9/ did not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_http_without_encryption_to_another_machine_causes_a_warning(halo: Halo) -> None:
    done = halo("pull", "phoenix", "--base-url", "http://phoenix.invalid:6006")
    assert "Warning: http://phoenix.invalid:6006 is not encrypted" in done.stderr


def test_a_run_that_read_nothing_is_not_kept(halo: Halo) -> None:
    halo("run", "phoenix", "--yes", "--base-url", "http://127.0.0.1:9")
    assert json.loads(halo("runs", "--json").stdout) == []


def test_debug_prints_the_traceback(halo: Halo) -> None:
    done = halo("run", "phoenix", "--yes", "--debug", "--base-url", "http://127.0.0.1:9")
    assert "Traceback" in done.stderr


def test_doctor_reports_a_wrong_key_without_printing_it(halo: Halo) -> None:
    with serving(in_turn(Answer(401, b"Invalid token"))) as server:
        done = halo("doctor", "phoenix", PHOENIX_BASE_URL=server.url, PHOENIX_API_KEY="very-secret")
    assert done.returncode == 2
    assert "Check the API key" in done.stdout
    assert "very-secret" not in done.stdout + done.stderr


def test_doctor_reports_a_server_that_is_not_phoenix(halo: Halo) -> None:
    with serving(in_turn(Answer(200, b"<html>hello</html>"))) as server:
        done = halo("doctor", "phoenix", "--base-url", server.url)
    assert done.returncode == 2
    assert "does not answer like a Phoenix server" in done.stdout


def test_doctor_reports_a_home_that_is_not_writable(halo: Halo, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = halo("doctor", "phoenix", "--base-url", "http://127.0.0.1:9", "--home", "file/x")
    assert "is not writable" in done.stdout


def test_config_shows_each_value_and_its_origin_and_hides_secrets(halo: Halo) -> None:
    done = halo("config", PHOENIX_API_KEY="very-secret", HALO_HOME="/tmp/elsewhere")
    assert "/tmp/elsewhere" in done.stdout
    assert "HALO_HOME" in done.stdout
    assert "PHOENIX_API_KEY" in done.stdout
    assert "very-secret" not in done.stdout


def test_config_shows_a_project_given_as_a_flag(halo: Halo) -> None:
    values = json.loads(halo("config", "phoenix", "--project", "shop", "--json").stdout)
    (project,) = [value for value in values if value["name"] == "project"]
    assert (project["text"], project["origin"]) == ("shop", "--project")


def test_without_a_model_its_settings_are_not_read(halo: Halo, traces: Path) -> None:
    assert halo("run", traces, HALO_BUDGET="much").returncode == 2
    done = halo("run", traces, "--no-llm", HALO_BUDGET="much")
    assert done.returncode == 0, done.stderr


def test_a_run_of_a_newer_version_stops_no_command_but_those_on_it(
    halo: Halo, traces: Path, tmp_path: Path
) -> None:
    halo("run", traces)
    (path,) = tmp_path.glob(".halo/runs/*/run.sqlite")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE schema_versions SET version = 9, written_by = '7.0' WHERE part = 'run'")
    refused = halo("analyze", path.parent.name)
    assert refused.returncode == 3
    assert "was written by halo-integrations 7.0, in format 9" in refused.stderr
    assert halo("run", traces).returncode == 0
    listed = halo("runs", "--json")
    assert listed.returncode == 0
    assert len(json.loads(listed.stdout)) == 1
    assert "was written by halo-integrations 7.0" in listed.stderr


def test_the_same_command_beside_a_running_one_makes_a_run_of_its_own(tmp_path: Path) -> None:
    requested, answer = threading.Event(), threading.Event()

    def respond(request: Request) -> Answer:
        if request.path == "/arize_phoenix_version":
            return Answer(200, b"20.26.1")
        if request.path == "/v1/projects/default":
            return Answer(body={"data": {"id": "p", "name": "default"}})
        if not requested.is_set():
            requested.set()
            answer.wait(60)
        return Answer(body={"data": [], "next_cursor": None})

    with serving(respond) as server:
        command = ("pull", "phoenix", "--base-url", server.url)
        halo = FreshHalo(tmp_path)
        first = threading.Thread(target=halo, args=command)
        first.start()
        assert requested.wait(60)
        second = halo(*command)
        answer.set()
        first.join()
    assert second.returncode == 0, second.stderr
    assert "with the same options, belongs to process" in second.stderr
    assert len(list(tmp_path.glob(".halo/runs/*/run.sqlite"))) == 2


def test_more_annotations_than_the_setting_allows_are_refused_before_anything_is_written(
    halo: Halo,
) -> None:
    with LangfuseServer() as server:
        server.send(synthetic())
        there = environment(server)
        done = halo("run", "langfuse", "--no-llm", "--yes", HALO_MAX_ANNOTATIONS="2", **there)
        assert done.returncode == 2
        assert "annotations, more than 2 (max_annotations, from HALO_MAX" in done.stderr
        assert server.scores == {}
        assert halo("annotate", "last", "--yes", HALO_MAX_ANNOTATIONS="9", **there).returncode == 0
        assert server.scores


def test_no_secret_reaches_the_run_folder(halo: Halo, tmp_path: Path) -> None:
    def respond(request: Request) -> Answer:
        if request.path == "/arize_phoenix_version":
            return Answer(200, b"20.26.1")
        if request.path == "/v1/projects/default":
            return Answer(body={"data": {"id": "p", "name": "default"}})
        return Answer(body={"data": [], "next_cursor": None})

    with serving(respond) as server:
        key = {"PHOENIX_BASE_URL": server.url, "PHOENIX_API_KEY": "very-secret"}
        done = halo("pull", "phoenix", PHOENIX_CLIENT_HEADERS="x-key=also-secret", **key)
    assert done.returncode == 0, done.stderr
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert kept
    assert b"very-secret" not in kept
    assert b"also-secret" not in kept


def test_help_names_every_command(halo: Halo) -> None:
    text = halo("--help").stdout
    commands = ("run", "pull", "analyze", "annotate", "undo", "report", "runs", "doctor", "config")
    for command in (*commands, "demo"):
        assert f"\n  {command} " in text
        assert "Usage:" in halo(command, "--help").stdout


def test_the_version_is_printed(halo: Halo) -> None:
    from halo_integrations import __version__

    assert halo("--version").stdout.strip() == f"halo-integrations, version {__version__}"


def test_help_and_import_load_nothing_heavy() -> None:
    heavy = "duckdb pyarrow pydantic httpx rich phoenix jinja2 opentelemetry"
    code = (
        "import sys, halo_integrations, halo_integrations.cli.commands as m\n"
        "m.exit_code_of(['--help'])\n"
        f"print([n for n in {heavy!r}.split() if n in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_a_run_of_a_file_without_a_model_loads_nothing_of_models_servers_and_other_commands(
    tmp_path: Path,
) -> None:
    (tmp_path / "traces.jsonl").write_bytes(b"\n".join(map(orjson.dumps, sample_rows())))
    needless = (
        "halo_engine.llm halo_engine.rlm.mapping halo_engine.sides halo_integrations.model_setup "
        "halo_integrations.verbs.watch halo_integrations.verbs.compare halo_adapters.phoenix "
        "halo_adapters.transport.client httpx requests jsonschema json_repair litellm openai"
    )
    code = (
        "import sys, halo_integrations.cli.commands as m\n"
        "code = m.exit_code_of(['run', 'traces.jsonl', '--no-llm'])\n"
        f"print(code, [n for n in {needless!r}.split() if n in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1] == "0 []"
