"""What commands work with while they meet faults: platforms and a model, each behind a proxy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

import mlflow_data
import phoenix_data
from corpora import synthetic
from fault_proxy import FaultProxy, proxying
from faults import Bench, Commands, Experiments
from halo_engine.store import TraceStore
from halo_integrations.testing.langfuse import LangfuseServer
from halo_integrations.testing.mlflow import EmbeddedMLflow
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix
from langfuse_data import environment, send
from loopback import Answer, serving
from model_endpoint import Analyst, Endpoint, code, endpoint, submit

REMARK = "Reviewed by a person: harmless."


class PlatformBench(ABC):
    """Pull, annotate and undo on a platform, on which people have left words.

    Annotate writes over the marks of an earlier run; people have edited one and deleted some.
    """

    def __init__(self, name: str, proxy: FaultProxy, *project: str) -> None:
        self.name = name
        self.proxy = proxy
        everything = (name, *project, "--since", "all")
        self._run = ("run", *everything, "--no-llm")
        self.commands = {
            "pull": ("pull", *everything),
            "annotate": ("annotate", "last", "--yes"),
            "undo": ("undo", "last", "--yes"),
        }

    def prepare(self, stage: str, commands: Commands) -> None:
        if stage == "pull":
            return
        commands.succeed(*self._run, "--yes")
        self.add_words_of_people()
        if stage == "annotate":
            self.delete_some()
            commands.succeed(*self._run, "--dry-run")

    @abstractmethod
    def add_words_of_people(self) -> None:
        """An annotation of a person, and an edit of one of ours."""

    @abstractmethod
    def delete_some(self) -> None:
        """Delete a part of what is on the platform."""

    def state(self, folder: Path) -> Counter[Any]:
        return Counter([*pulled(folder), *self.written()])

    @abstractmethod
    def written(self) -> list[Any]:
        """What is on the platform, of us and of others."""

    def wrong(self, _lost_answers: int) -> list[str]:
        return []


class LangfuseBench(PlatformBench):
    """The stand-in."""

    def __init__(self, proxy: FaultProxy, server: LangfuseServer) -> None:
        super().__init__("langfuse", proxy)
        self.secrets = (server.secret_key,)
        self._server = server

    def environment(self) -> dict[str, str]:
        return {**environment(self._server), "LANGFUSE_BASE_URL": self.proxy.url}

    def snapshot(self) -> Any:
        return deepcopy((self._server.stored_scores, self._server.score_configs))

    def restore(self, snapshot: Any) -> None:
        self._server.requests.clear()
        with self._server.lock:
            self._server.stored_scores, self._server.score_configs = deepcopy(snapshot)

    def wrong(self, lost_answers: int) -> list[str]:
        """A deletion takes the server hours: it is repeated only where its answer was lost."""
        accepted = Counter(r.path for r in self._server.requests if r.method == "DELETE")
        repeated = accepted.total() - len(accepted)
        return [f"{repeated} deletions were repeated"] if repeated > lost_answers else []

    def add_words_of_people(self) -> None:
        ours = list(self._server.stored_scores.values())
        theirs = {"id": "ann-1", "name": "quality", "traceId": ours[0]["traceId"], "value": "poor"}
        send(self._server, "POST", "scores", {**theirs, "dataType": "CATEGORICAL"})
        ours[0].update(comment=REMARK)

    def delete_some(self) -> None:
        for score_id in [i for i in self._server.stored_scores if i != "ann-1"][1::2]:
            del self._server.stored_scores[score_id]

    def written(self) -> list[Any]:
        scores = self._server.scores.values()
        return [(s["name"], str(s["subject"]), s["value"], s["comment"]) for s in scores]


class PhoenixBench(PlatformBench):
    """A project on a real Phoenix."""

    def __init__(self, proxy: FaultProxy, server: EmbeddedPhoenix, project: str) -> None:
        super().__init__("phoenix", proxy, "--project", project)
        self.secrets = ("made-up-key-" + "0123456789" * 2,)
        self._url = server.base_url
        self._project = project

    def environment(self) -> dict[str, str]:
        return {"PHOENIX_BASE_URL": self.proxy.url, "PHOENIX_API_KEY": self.secrets[0]}

    def snapshot(self) -> Any:
        return self._annotations(), phoenix_data.assigned_configs(self._url, self._project)

    def restore(self, snapshot: Any) -> None:
        annotations, configs = snapshot
        phoenix_data.assign_configs(self._url, self._project, configs)
        wanted = {annotation_key(row): row for row in annotations}
        found = {annotation_key(row): row for row in self._annotations()}
        extra = [row for key, row in found.items() if key not in wanted]
        phoenix_data.delete_annotations(self._url, self._project, extra)
        changed = [row for key, row in wanted.items() if found.get(key) != row]
        phoenix_data.write_annotations(self._url, changed)

    def add_words_of_people(self) -> None:
        ours = next(row for row in self._annotations() if "span_id" in row)
        theirs = {**ours, "name": "quality", "identifier": "ann", "result": {"label": "poor"}}
        edited = {**ours, "result": {**ours["result"], "explanation": REMARK}}
        phoenix_data.write_annotations(self._url, [theirs, edited])

    def delete_some(self) -> None:
        deleted = [row for row in self._annotations() if row["name"].startswith("halo.")][1::2]
        phoenix_data.delete_annotations(self._url, self._project, deleted)

    def written(self) -> list[Any]:
        rows = self._annotations()
        marks = [
            (annotation_key(r), r["result"]["label"], r["result"]["explanation"]) for r in rows
        ]
        configs = phoenix_data.assigned_configs(self._url, self._project)
        return [*marks, *(("config", config["name"]) for config in configs)]

    def _annotations(self) -> list[dict[str, Any]]:
        rows = phoenix_data.annotations(self._url, self._project, self._rows)
        return [{name: row[name] for name in ANNOTATION_FIELDS if name in row} for row in rows]

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        return synthetic()


ANNOTATION_FIELDS = (
    *("span_id", "trace_id", "name", "identifier"),
    *("annotator_kind", "result", "metadata"),
)


def annotation_key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes an annotation another one for Phoenix."""
    return row["name"], row.get("span_id"), row.get("trace_id"), row["identifier"]


class MLflowBench(PlatformBench):
    """An experiment on a real MLflow."""

    def __init__(self, proxy: FaultProxy, server: EmbeddedMLflow, experiment: str) -> None:
        super().__init__("mlflow", proxy, "--project", experiment)
        self.secrets = ("made-up-token-" + "0123456789" * 2,)
        self._url = server.base_url
        self._experiment = experiment

    def environment(self) -> dict[str, str]:
        return {"MLFLOW_TRACKING_URI": self.proxy.url, "MLFLOW_TRACKING_TOKEN": self.secrets[0]}

    def snapshot(self) -> Any:
        return self._assessments(), mlflow_data.label_schemas(self._url, self._experiment)

    def restore(self, snapshot: Any) -> None:
        assessments, schemas = snapshot
        mlflow_data.restore_assessments(self._url, synthetic(), assessments)
        mlflow_data.restore_label_schemas(self._url, self._experiment, schemas)

    def add_words_of_people(self) -> None:
        ours = self._ours()[0]
        trace_id = ours["trace_id"].removeprefix("tr-")
        theirs = {"assessment_name": "quality", "feedback": {"value": "poor"}, "rationale": "No."}
        corrected = {**ours, "rationale": REMARK, "overrides": ours["assessment_id"]}
        for row in (theirs, corrected):
            mlflow_data.assess(self._url, trace_id, row)

    def delete_some(self) -> None:
        mlflow_data.delete_assessments(self._url, self._ours()[::2])

    def _ours(self) -> list[dict[str, Any]]:
        """Those of us that nobody has corrected: of corrections of others no order is kept."""
        rows = self._assessments()
        return [row for row in rows if row["source"]["source_type"] == "CODE" and row["valid"]]

    def written(self) -> list[Any]:
        rows = self._assessments()
        marks = [(*map(row.get, ASSESSMENT_FIELDS), str(row.get("feedback"))) for row in rows]
        schemas = mlflow_data.label_schemas(self._url, self._experiment)
        return [*marks, *(("schema", name) for name in schemas)]

    def _assessments(self) -> list[dict[str, Any]]:
        return mlflow_data.assessments(self._url, synthetic())


ASSESSMENT_FIELDS = (
    *("assessment_name", "trace_id", "span_id", "rationale", "overrides", "valid"),
)


class ModelBench:
    """An analysis by a model over a file."""

    name = "model"
    secrets = ("made-up-key-" + "9876543210" * 2,)
    TURNS = (
        code("r = map_traces([t['trace'] for t in find()], 'ok?', {'ok': 'boolean'})"),
        code("h = search('unknown', field='output', limit=2)"),
        code(
            submit(
                "[{'span': x['span'], 'quote': 'status\": \"unknown'} for x in h]",
                "{'question': 'Is the status unknown?'}",
            )
        ),
    )

    def __init__(self, proxy: FaultProxy, model: Endpoint) -> None:
        self.proxy = proxy
        self._model = model
        model_at_proxy = ("--model", "scripted", "--model-url", f"{proxy.url}/v1")
        limit = ("--token-budget", "1000000")
        self.commands = {"analyse": ("analyze", "last", *model_at_proxy, *limit)}

    def environment(self) -> dict[str, str]:
        return {"OPENAI_API_KEY": self.secrets[0], "HALO_PARALLEL": "1"}

    def prepare(self, _stage: str, commands: Commands) -> None:
        rows = b"\n".join(map(orjson.dumps, synthetic()))
        (commands.folder / "traces.jsonl").write_bytes(rows)
        commands.succeed("pull", "traces.jsonl")

    def snapshot(self) -> None:
        """A model holds nothing."""

    def restore(self, _snapshot: None) -> None:
        self._model.loopback.requests.clear()
        self._model.billed.clear()

    def state(self, folder: Path) -> Counter[Any]:
        paths = folder.glob(".halo/runs/*/report.json")
        return Counter(item for path in paths for item in reported(orjson.loads(path.read_bytes())))

    def wrong(self, lost_answers: int) -> list[str]:
        """A call is repeated only where its answer was lost on the way."""
        bodies = Counter(request.body for request in self._model.loopback.requests)
        repeated = sum(bodies.values()) - len(bodies)
        return [f"{repeated} calls were repeated"] if repeated > lost_answers else []


def reported(report: Any) -> Iterator[tuple[Any, ...]]:
    """The findings of a report and their counts, and how the analysis by the model ended."""
    for finding in report["findings"]:
        prevalence = finding["prevalence"]
        yield finding["title"], prevalence["affected"], prevalence["analysed"]
    yield "ending", report["analysis"]["ending"]


def pulled(folder: Path) -> list[tuple[str, ...]]:
    """The spans of the last run."""
    stores = sorted(folder.glob(".halo/runs/*/traces"), key=lambda p: p.stat().st_ctime)
    if not stores:
        return []
    with TraceStore(stores[-1], read_only=True) as store:
        return [("span", s.trace_id, s.span_id) for t in store.traces() for s in t.spans]


@contextmanager
def langfuse_bench() -> Iterator[LangfuseBench]:
    with LangfuseServer() as server, proxying(server.url) as proxy:
        server.send(synthetic())
        yield LangfuseBench(proxy, server)


@contextmanager
def phoenix_bench(server: EmbeddedPhoenix, project: str) -> Iterator[PhoenixBench]:
    phoenix_data.load(server.base_url, synthetic(), project)
    with proxying(server.base_url) as proxy:
        yield PhoenixBench(proxy, server, project)
    phoenix_data.delete(server.base_url, project)
    phoenix_data.delete_configs(server.base_url)


@contextmanager
def mlflow_bench(server: EmbeddedMLflow, experiment: str) -> Iterator[MLflowBench]:
    mlflow_data.load(server.base_url, synthetic(), experiment)
    with proxying(server.base_url) as proxy:
        yield MLflowBench(proxy, server, experiment)
    mlflow_data.delete_traces(server.base_url, experiment)


@contextmanager
def model_bench() -> Iterator[ModelBench]:
    with endpoint(Analyst(list(ModelBench.TURNS))) as model, proxying(model.loopback.url) as proxy:
        yield ModelBench(proxy, model)


@contextmanager
def experiments(bench: AbstractContextManager[Bench]) -> Iterator[Experiments]:
    """Experiments on ``bench``, beside a server where redirects lead: no request should come."""
    with bench as made, serving(lambda _: Answer(200, b"{}")) as elsewhere:
        yield Experiments(made, elsewhere)


@contextmanager
def experiments_on(name: str) -> Iterator[Experiments]:
    """Experiments on the bench called ``name``, with servers of their own."""
    with ExitStack() as stack:
        if name == "phoenix":
            bench: AbstractContextManager[Bench] = phoenix_bench(
                stack.enter_context(EmbeddedPhoenix()), "faults"
            )
        elif name == "mlflow":
            server = stack.enter_context(EmbeddedMLflow())
            experiment = mlflow_data.create_experiment(server.base_url, "faults")
            bench = mlflow_bench(server, experiment)
        else:
            bench = langfuse_bench() if name == "langfuse" else model_bench()
        yield stack.enter_context(experiments(bench))
