"""The example distribution, installed beside the product: its plugins take part in every command."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from halo_cli import FreshHalo, Halo
from halo_integrations.testing.conformance import row

PLUGINS = Path(__file__).parents[1] / "examples" / "plugins"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the example distribution is installed, with its entry points."""
    folder = tmp_path_factory.mktemp("plugins")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", folder, PLUGINS], check=True)
    return folder


@pytest.fixture
def halo(tmp_path: Path, installed: Path) -> Halo:
    paths = [str(installed), os.environ.get("PYTHONPATH", "")]
    return FreshHalo(tmp_path, PYTHONPATH=os.pathsep.join(filter(None, paths)))


def traces_in(folder: Path, *rows: object) -> Path:
    path = folder / "traces.jsonl"
    path.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    return path


def refund(number: int) -> dict[str, object]:
    attributes = {"tool.name": "issue_refund", "input.value": '{"amount": 5}', "output.value": "ok"}
    return row(number, 1, "TOOL", "issue_refund", attributes)


def acme_refund(number: int) -> dict[str, object]:
    """A refund in the dialect of the example, which no built-in dialect reads."""
    attributes = {"acme.step": "tool", "acme.request": '{"amount": 5}', "acme.reply": "ok"}
    span = row(number, 1, "TOOL", "issue_refund", attributes)
    del span["attributes"]["openinference.span.kind"]
    return span


def findings(halo: Halo, path: Path) -> dict[str, dict[str, object]]:
    done = halo("run", path, "--json")
    assert done.returncode == 0, done.stderr
    return {f["detector"]: f for f in json.loads(done.stdout)["report"]["findings"]}


def test_the_detector_is_listed_and_reports_findings(halo: Halo, tmp_path: Path) -> None:
    assert "unapproved_refund" in halo("detectors").stdout
    found = findings(halo, traces_in(tmp_path, refund(1), refund(2)))
    assert found["unapproved_refund"]["prevalence"]["affected"] == 2


def test_the_detector_is_configured_by_the_project(halo: Halo, tmp_path: Path) -> None:
    path = traces_in(tmp_path, refund(1))
    settings = tmp_path / "halo.toml"
    settings.write_text('[detectors.unapproved_refund]\nseverity = "low"\n')
    assert findings(halo, path)["unapproved_refund"]["severity"] == "low"
    settings.write_text("[detectors.unapproved_refund]\nenabled = false\n")
    assert "unapproved_refund" not in findings(halo, path)


def test_the_dialect_reads_attributes_that_no_built_in_one_reads(
    halo: Halo, tmp_path: Path
) -> None:
    path = traces_in(tmp_path, acme_refund(1))
    assert findings(halo, path)["unapproved_refund"]["prevalence"]["affected"] == 1


def test_without_the_distribution_its_plugins_do_not_exist(halo: Halo, tmp_path: Path) -> None:
    bare = Halo(tmp_path)
    assert "unapproved_refund" not in bare("detectors").stdout
    assert bare("report", "last", "--format", "csv").returncode == 2
    assert "unapproved_refund" not in findings(bare, traces_in(tmp_path, acme_refund(1)))


def test_the_report_format_is_written_and_printed(halo: Halo, tmp_path: Path) -> None:
    halo("run", traces_in(tmp_path, refund(1)))
    (path,) = tmp_path.glob(".halo/runs/*/report.csv")
    written = path.read_bytes()
    rows = list(csv.DictReader(written.decode().splitlines()))
    assert "critical" in {r["severity"] for r in rows}
    assert halo("report", "last", "--format", "csv").stdout.splitlines() == (
        written.decode().splitlines()
    )


def distribution(folder: Path, group: str, entry: str, code: str) -> Halo:
    """The command, beside an installed distribution with the module ``acme`` and one plugin."""
    installed = folder / "installed"
    info = installed / "acme_plugins-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-plugins\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[halo_integrations.{group}]\n{entry}\n")
    (installed / "acme.py").write_text(code)
    return FreshHalo(folder, PYTHONPATH=str(installed))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return 'text'", "TypeError: a renderer returns bytes, not str"),
        ("raise ValueError('no template')", "ValueError: no template"),
    ],
)
def test_a_report_format_that_fails_does_not_lose_the_report(
    tmp_path: Path, body: str, reason: str
) -> None:
    code = f"def render(report, run):\n    {body}\n"
    halo = distribution(tmp_path, "renderers", "txt = acme:render", code)
    done = halo("run", traces_in(tmp_path, refund(1)), "--json")
    assert done.returncode == 3
    report = json.loads(done.stdout)["report"]
    assert list(tmp_path.glob(".halo/runs/*/report.html"))
    assert [(f["where"], f["what"]) for f in report["failures"]] == [
        ("txt", f"not written: {reason}")
    ]


BROKEN_DIALECT = """
from halo_adapters.dialects.base import Dialect, SpanField

def read(value):
    raise LookupError(value)

class Acme(Dialect):
    name, rank = "acme", 1
    fields = (SpanField("tool_name", read, ("tool.name",)),)
"""


def test_a_dialect_that_raises_is_a_failure_and_the_traces_are_read(tmp_path: Path) -> None:
    halo = distribution(tmp_path, "dialects", "acme = acme:Acme", BROKEN_DIALECT)
    done = halo("run", traces_in(tmp_path, refund(1), refund(2)), "--json")
    assert done.returncode == 3, done.stderr
    report = json.loads(done.stdout)["report"]
    assert report["traces"] == 2
    (failure,) = report["failures"]
    assert failure["where"] == "dialect acme"
    assert "(acme:Acme) raised LookupError: issue_refund" in failure["what"]
