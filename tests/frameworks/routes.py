"""What of the matrix is found where the traces came through a platform.

``python tests/frameworks/routes.py`` writes it into ``docs/frameworks.md``, beside the matrix, whose
rule it takes; ``test_routes.py`` holds it there. With folders of other recordings and of what
Langfuse gave back for them as arguments it prints theirs. Recordings go

- to a real Phoenix and a real MLflow over OTLP, which our adapters pull from;
- as what a real Langfuse 4.16 gave back for them (``langfuse_answers/NAME.jsonl.gz``), into the
  stand-in, which our adapter pulls from.

A cell that is found in the file and not on a route is lost. ``lost_on_routes.toml`` says what the
platform dropped.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import halo_integrations as halo
from cut import ANSWERS, objects_in
from halo_adapters.transport.client import trusted_authorities
from halo_integrations.demo.sending import wait_until_arrived
from halo_integrations.testing.langfuse import LangfuseServer
from halo_integrations.testing.mlflow import EmbeddedMLflow
from halo_integrations.testing.phoenix import EmbeddedPhoenix
from matrix import (
    FAULTS,
    HERE,
    RECORDINGS,
    Cell,
    Row,
    folder_in,
    judged,
    line,
    publish,
    recordings,
    row_of,
    truth_of,
)

MARKERS = ("<!-- routes -->", "<!-- end of the routes -->")
PHOENIX, LANGFUSE, MLFLOW = "Phoenix", "Langfuse", "MLflow"
ROUTES = (PHOENIX, LANGFUSE, MLFLOW)
# Route -> recording -> fault -> what the platform drops.
LOST: dict[str, dict[str, dict[str, str]]] = tomllib.loads(
    (HERE / "lost_on_routes.toml").read_text(encoding="utf-8")
)
PROJECT = "openinference.project.name"
NO_HEADERS: Mapping[str, str] = {}
PROTOBUF = {"content-type": "application/x-protobuf"}
IDS = ("traceId", "spanId", "parentSpanId")

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Compared:
    """The row of a recording from its file, and from each route that it went."""

    from_file: Row
    from_routes: Mapping[str, Row]

    @property
    def found(self) -> list[str]:
        """The faults that are found in the file."""
        return [fault for fault in FAULTS if self.from_file.cells[fault] is Cell.FOUND]

    def lost(self, route: str) -> list[str]:
        """Those of them that are not found where the traces came by ``route``."""
        cells = self.from_routes[route].cells
        return [fault for fault in self.found if cells[fault] is not Cell.FOUND]

    def kept(self, route: str) -> int:
        """How many of them are."""
        return len(self.found) - len(self.lost(route))


# -- the routes ----------------------------------------------------------------------------------


def row_through_phoenix(base_url: str, project: str, name: str, folder: Path = RECORDINGS) -> Row:
    """Send a recording to a project of a Phoenix server, pull it, and judge the findings."""
    requests = list(objects_in(folder / f"{name}.otlp.jsonl.gz"))
    wait_until_arrived(base_url, project, sent(base_url, requests, project))
    return pulled_row("phoenix", {"base_url": base_url}, name, folder, project=project)


def row_through_mlflow(base_url: str, experiment: str, name: str, folder: Path = RECORDINGS) -> Row:
    """Send a recording to an experiment of an MLflow server, pull it, and judge the findings."""
    requests = [r for r in objects_in(folder / f"{name}.otlp.jsonl.gz") if any(spans_of(r))]
    sent(base_url, requests, name, {"x-mlflow-experiment-id": experiment})
    return pulled_row("mlflow", {"base_url": base_url}, name, folder, project=experiment)


def new_experiment(base_url: str, name: str) -> str:
    """Create an experiment on an MLflow server; its id."""
    url = f"{base_url}/api/2.0/mlflow/experiments/create"
    answer = httpx.post(url, json={"name": name}, verify=trusted_authorities())
    return str(answer.raise_for_status().json()["experiment_id"])


def row_through_langfuse(name: str, folder: Path = RECORDINGS, answers: Path = ANSWERS) -> Row:
    """Put what Langfuse gave back for a recording into the stand-in, pull it, and judge."""
    with LangfuseServer() as server:
        server.add_observations(map(as_stored, objects_in(answers_to(name, answers))))
        settings = {
            "base_url": server.url,
            "public_key": server.public_key,
            "secret_key": server.secret_key,
        }
        return pulled_row("langfuse", settings, name, folder)


def pulled_row(
    source: str, settings: Mapping[str, str], name: str, folder: Path, **options: Any
) -> Row:
    """Run the product on a platform and judge its findings."""
    with tempfile.TemporaryDirectory() as home:
        result = halo.run(source, settings=dict(settings), home=home, **options)
    return judged(name, truth_of(name, folder), result.report.findings)


def answers_to(name: str, answers: Path = ANSWERS) -> Path:
    """Where the observations are that Langfuse made of a recording."""
    return answers / f"{name}.jsonl.gz"


def as_stored(row: Object) -> Object:
    """An observation as Langfuse stored it: its answers hold the JSON in metadata decoded."""
    texts = {
        key: json.dumps(value) if isinstance(value, dict | list) else value
        for key, value in row["metadata"].items()
    }
    return {**row, "metadata": texts}


def sent(
    base_url: str, requests: Iterable[Object], project: str, headers: Mapping[str, str] = NO_HEADERS
) -> Counter[str]:
    """Export the spans of OTLP/JSON requests to a project; how many of each trace there were."""
    seen = set()
    for request in requests:
        for span in spans_of(request):
            seen.add((span["traceId"], span["spanId"]))
        body = request_to(project, request).SerializeToString()
        url, all_headers = f"{base_url}/v1/traces", {**PROTOBUF, **headers}
        httpx.post(
            url, content=body, headers=all_headers, verify=trusted_authorities(), timeout=60
        ).raise_for_status()
    return Counter(trace_id for trace_id, _ in seen)


def spans_of(request: Object) -> Iterator[Object]:
    """The spans of a request in OTLP/JSON; log records are none."""
    for group in request.get("resourceSpans", ()):
        for scope in group["scopeSpans"]:
            yield from scope["spans"]


def request_to(project: str, request: Object) -> ExportTraceServiceRequest:
    """A request in OTLP/JSON as a message of protobuf, its resources in a project."""
    groups = []
    for group in request.get("resourceSpans", ()):
        attributes = [a for a in group["resource"].get("attributes", ()) if a["key"] != PROJECT]
        attributes.append({"key": PROJECT, "value": {"stringValue": project}})
        scopes = [
            {**scope, "spans": list(map(with_base64_ids, scope["spans"]))}
            for scope in group["scopeSpans"]
        ]
        groups.append({"resource": {"attributes": attributes}, "scopeSpans": scopes})
    message: ExportTraceServiceRequest = Parse(
        json.dumps({"resourceSpans": groups}),
        ExportTraceServiceRequest(),
        ignore_unknown_fields=True,
    )
    return message


def with_base64_ids(span: Object) -> Object:
    """A span with its ids as protobuf's JSON mapping has them; without links, whose ids are hex."""
    ids = {
        name: base64.b64encode(bytes.fromhex(span[name])).decode() for name in IDS if name in span
    }
    return {key: value for key, value in {**span, **ids}.items() if key != "links"}


# -- the table -----------------------------------------------------------------------------------


def table(compared: Iterable[Compared]) -> str:
    """The recordings as a table, the sums below it, and what the platforms drop."""
    compared = list(compared)
    lines = [line(["recording", "file", *ROUTES]), line(["---"] * (2 + len(ROUTES)))]
    for one in compared:
        kept = [str(one.kept(route)) if route in one.from_routes else "" for route in ROUTES]
        lines.append(line([one.from_file.name, str(len(one.found)), *kept]))
    sums = [summary(route, compared) for route in ROUTES]
    return "\n".join([*lines, "", *sums, "", *losses(compared)]) + "\n"


def summary(route: str, compared: Iterable[Compared]) -> str:
    """How many of the cells found in files a route has, and how many clean runs are accused."""
    came = [one for one in compared if route in one.from_routes]
    rows = [one.from_routes[route] for one in came]
    found = sum(len(one.found) for one in came)
    kept = sum(one.kept(route) for one in came)
    return (
        f"{route}: {kept} of {found} cells found ({100 * kept / max(1, found):.1f} %), "
        f"{sum(len(row.accused) for row in rows)} false findings on "
        f"{sum(row.clean for row in rows)} runs without a fault."
    )


def losses(compared: Iterable[Compared]) -> Iterator[str]:
    """What the platforms drop, and which cells are lost by it."""
    for route in ROUTES:
        for one in compared:
            name, faults = one.from_file.name, defaultdict(list)
            for fault in one.lost(route) if route in one.from_routes else ():
                faults[reason(route, name, fault)].append(fault.replace("_", " "))
            for dropped, lost in faults.items():
                yield f"- {route}, {name}, {', '.join(lost)}: {dropped}"


def reason(route: str, name: str, fault: str) -> str:
    """What a platform drops, so that a fault is lost."""
    return LOST.get(route, {}).get(name, {}).get(fault, "**not explained**")


def main(folder: Path, answers: Path) -> None:
    """Make the table of the recordings in ``folder``."""
    compared = []
    with EmbeddedPhoenix() as phoenix, EmbeddedMLflow() as mlflow:
        for name in recordings(folder):
            experiment = new_experiment(mlflow.base_url, name)
            rows = {
                PHOENIX: row_through_phoenix(phoenix.base_url, name, name, folder),
                MLFLOW: row_through_mlflow(mlflow.base_url, experiment, name, folder),
            }
            if answers_to(name, answers).exists():
                rows[LANGFUSE] = row_through_langfuse(name, folder, answers)
            compared.append(Compared(row_of(name, folder), rows))
            lost = {route: compared[-1].lost(route) for route in rows}
            accused = {route: row.accused for route, row in rows.items()}
            print(name, "lost:", lost, "accused:", accused, flush=True)
    publish(table(compared), folder, MARKERS)


if __name__ == "__main__":
    main(folder_in(sys.argv[1:], RECORDINGS), folder_in(sys.argv[2:], ANSWERS))
