"""One report, whatever judges the traces, also where a worker is killed while it does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import halo_integrations as halo
import sample_detectors
from halo_engine.detectors import load_detectors
from trace_files import Row, row, written

TRACES = 6500
# All in the process that has the cluster, so that the report of one process is made once.
pytestmark = pytest.mark.usefixtures("ray_cluster")

DETECTORS = [*load_detectors(), sample_detectors.kills_its_process]


def spans(armed: Path) -> Iterator[Row]:
    """An agent that calls one tool twice in every fifth trace; a late one is named ``armed``."""
    for number in range(TRACES):
        trace = f"{number:032x}"
        kind = {"openinference.span.kind": "AGENT", "input.value": "hi", "output.value": "ho"}
        name = str(armed) if number == TRACES - 100 else "agent"
        yield row(trace, "root", name=name, attributes=kind)
        for call in range(4 if number % 5 == 0 else 1):
            tool = {"openinference.span.kind": "TOOL", "input.value": "{}", "output.value": "[]"}
            called = {"tool.name": "search", **tool}
            yield row(trace, f"call{call}", parent_span_id="root", attributes=called)


@pytest.fixture(scope="module")
def armed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that has a worker killed, which is not there yet."""
    return tmp_path_factory.mktemp("executors") / "armed"


@pytest.fixture(scope="module")
def traces(armed: Path) -> Path:
    """A file of traces for several batches."""
    return written(armed.parent, spans(armed))


def report_of(traces: Path, home: Path, told: list[str], **settings: Any) -> bytes:
    """The report of a run over ``traces``; what it notices is ``told``."""
    result = halo.run(
        str(traces),
        home=home,
        detectors=DETECTORS,
        no_llm=True,
        settings=settings,
        on_notice=lambda notice: told.append(notice.text),
    )
    return (result.folder / "report.json").read_bytes()


@pytest.fixture(scope="module")
def alone(traces: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The report of one process."""
    return report_of(traces, tmp_path_factory.mktemp("alone"), [], workers=1)


@pytest.mark.parametrize("settings", [{"workers": 2}, {"executor": "ray"}], ids=str)
def test_a_report_is_the_same_whatever_judges_and_also_where_a_worker_is_killed(
    tmp_path: Path, traces: Path, armed: Path, alone: bytes, settings: dict[str, Any]
) -> None:
    armed.write_text(str(os.getpid()))
    told: list[str] = []
    assert report_of(traces, tmp_path, told, **settings) == alone
    assert not armed.exists()
    assert any("A worker process died" in text for text in told)
