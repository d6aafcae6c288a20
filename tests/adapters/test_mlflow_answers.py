"""The MLflow adapter with a server that gives unexpected answers, and the requests that it makes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from halo_adapters.base import Annotation, AnnotationConfig, HealthStatus, TraceQuery
from halo_adapters.mlflow import MLflowAdapter
from halo_engine.errors import (
    AdapterError,
    ConfigError,
    NotFound,
    Rejected,
    Unauthorized,
    Unavailable,
)
from halo_engine.schema import Failure, Trace
from halo_integrations.testing.conformance import read
from loopback import Answer, Loopback, Request, Respond, serving

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN = {
    "span_id": "t63EAdMRpV0=",
    "name": "answer",
    "start_time_unix_nano": 1_767_618_000_000_000_000,
    "attributes": {"mlflow.spanType": '"AGENT"'},
}
REFUSED = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "There is none."}


def described(trace_id: str = TRACE_ID, **more: Any) -> dict[str, Any]:
    """What MLflow says of a trace."""
    return {"trace_id": f"tr-{trace_id}", "request_time": "2026-01-05T13:00:00Z", **more}


def mlflow_with(**answers: Answer | Callable[[Request], Answer]) -> Respond:
    """A server with one trace of one span, but for these answers, by the end of their path."""
    defaults: dict[str, Answer | Callable[[Request], Answer]] = {
        "version": Answer(200, b"3.17.2"),
        "get-by-name": Answer(body={"experiment": {"experiment_id": "1", "name": "shop"}}),
        "search": Answer(body={"traces": [described()]}),
        "get-trace-artifact": Answer(body={"spans": [SPAN]}),
    }
    chosen = {**defaults, **{name.replace("_", "-"): a for name, a in answers.items()}}

    def respond(request: Request) -> Answer:
        answer = chosen.get(request.path.rpartition("/")[2], Answer(404, b"<html>Not Found"))
        return answer if isinstance(answer, Answer) else answer(request)

    return respond


def adapter(url: str, **settings: Any) -> MLflowAdapter:
    given = {"base_url": url, "project": "shop", "timeout": 5, "retry_timeout": 0.2, **settings}
    return MLflowAdapter(MLflowAdapter.Settings(**given))


def pulled(server: Loopback, query: TraceQuery | None = None) -> tuple[list[Trace], list[Failure]]:
    pages = list(adapter(server.url).pull(query or TraceQuery()))
    return [t for p in pages for t in p.traces], [f for p in pages for f in p.failures]


def annotation(**more: Any) -> Annotation:
    values = {"name": "halo.summary", "trace_id": TRACE_ID, "label": "high", "identifier": "halo:x"}
    return Annotation(**{**values, **more})


@pytest.mark.parametrize(
    ("answers", "kind", "message"),
    [
        (
            {"get_by_name": Answer(200, b"<html>Log in")},
            Unavailable,
            "not JSON.*Log in.*login page",
        ),
        ({"get_by_name": Answer(body={"hello": 1})}, Rejected, "in a form that this version"),
        ({"get_by_name": Answer(401, b"no")}, Unauthorized, "MLFLOW_TRACKING_USERNAME"),
        ({"get_by_name": Answer(404, b"<html>")}, NotFound, "404"),
        ({"search": Answer(body={"traces": 5})}, Rejected, "in a form that this version"),
        ({"search": Answer(body={"traces": [{"id": 1}]})}, Rejected, "in a form that this version"),
        ({"get_trace_artifact": Answer(200, b"<html>Log in")}, Unavailable, "not JSON.*Log in"),
        ({"get_trace_artifact": Answer(404, b"<html>")}, NotFound, "404"),
        ({"get_trace_artifact": Answer(503, b"busy")}, Unavailable, "busy"),
    ],
)
def test_an_unexpected_answer_is_a_clear_error(
    answers: dict[str, Answer], kind: type[AdapterError], message: str
) -> None:
    with serving(mlflow_with(**answers)) as server, pytest.raises(kind, match=message):
        read(adapter(server.url))


def test_an_unknown_experiment_is_an_error_that_lists_the_known_ones() -> None:
    experiments = {"experiments": [{"experiment_id": "1", "name": "other"}]}
    answers = {"get_by_name": Answer(404, REFUSED), "search": Answer(body=experiments)}
    with (
        serving(mlflow_with(**answers)) as server,
        pytest.raises(NotFound, match="no experiment 'shop'. Experiments: other"),
    ):
        read(adapter(server.url))


def test_a_server_that_is_not_mlflow_is_told() -> None:
    with (
        serving(mlflow_with(version=Answer(200, b"<html>"))) as server,
        pytest.raises(Rejected, match="does not answer like an MLflow server"),
    ):
        list(adapter(server.url).health_checks())


def test_without_an_address_the_error_names_the_variable() -> None:
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_URI"):
        MLflowAdapter(MLflowAdapter.Settings())


@pytest.mark.parametrize("address", ["sqlite:///mlflow.db", "databricks", "file:///tmp/mlruns"])
def test_an_address_of_no_server_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="is not an address"):
        adapter(address)


# -- failures of single traces ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (Answer(404, REFUSED), "MLflow has no spans of this trace, whose state is IN_PROGRESS."),
        (Answer(body={}), "MLflow has no spans of this trace, whose state is IN_PROGRESS."),
        (Answer(200, b'{"spans": [{'), "is damaged, or was cut short"),
        (Answer(body={"spans": 5}), "in a form that this version"),
        (Answer(body={"spans": [7, {"name": "x"}]}), "has no spans"),
        (Answer(403, b"Permission denied"), "Permission denied"),
        (Answer(500, {"error_code": "INTERNAL_ERROR"}), "INTERNAL_ERROR"),
    ],
)
def test_a_trace_whose_spans_cannot_be_read_is_a_failure(answer: Answer, what: str) -> None:
    good = "b" * 32

    def spans(request: Request) -> Answer:
        is_good = request.query["request_id"] == [f"tr-{good}"]
        return Answer(body={"spans": [SPAN]}) if is_good else answer

    listed = [described(state="IN_PROGRESS"), described(good)]
    search = Answer(body={"traces": listed})
    with serving(mlflow_with(search=search, get_trace_artifact=spans)) as server:
        traces, failures = pulled(server)
    assert [trace.trace_id for trace in traces] == [good]
    assert [failure.trace_id for failure in failures] == [TRACE_ID]
    assert what in failures[0].what


def test_what_is_no_span_is_a_failure_and_the_others_are_read() -> None:
    odd = Answer(body={"spans": [SPAN, {"name": "no id"}, "text"]})
    with serving(mlflow_with(get_trace_artifact=odd)) as server:
        traces, failures = pulled(server)
    assert [len(trace.spans) for trace in traces] == [1]
    assert [f.what for f in failures] == [
        "2 of the 3 spans of this trace have no id, and were left out."
    ]


def test_of_a_trace_that_cannot_be_read_a_filter_by_attributes_is_a_failure() -> None:
    query = TraceQuery(metadata={"release": "1"})
    with serving(mlflow_with(get_trace_artifact=Answer(404, REFUSED))) as server:
        traces, failures = pulled(server, query)
    assert (traces, [failure.trace_id for failure in failures]) == ([], [TRACE_ID])


def test_spans_of_mlflow_2_are_read() -> None:
    span = {
        "name": "f",
        "context": {"trace_id": f"0x{TRACE_ID}", "span_id": "0xb7ad6b7169203331"},
        "parent_id": "0x00f067aa0ba902b7",
        "start_time": 1_767_618_000_000_000_000,
        "end_time": 1_767_618_001_000_000_000,
        "status_code": "ERROR",
        "status_message": "no",
        "attributes": {"mlflow.spanType": '"TOOL"', "mlflow.spanInputs": '{"a": 1}'},
        "events": [],
    }
    with serving(mlflow_with(get_trace_artifact=Answer(body={"spans": [span]}))) as server:
        ((trace,), _) = pulled(server)
    (found,) = trace.spans
    assert (found.span_id, found.parent_span_id) == ("b7ad6b7169203331", "00f067aa0ba902b7")
    assert (found.kind, found.status.message, found.input) == ("TOOL", "no", '{"a":1}')
    assert (found.is_error, found.tool_name) == (True, "f")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"feedback": {"value": "5"}, "rationale": "x"}, ("5", None, "x")),
        ({"feedback": {"value": 5}}, (None, 5.0, None)),
        ({"feedback": {"value": True}}, ("true", 1.0, None)),
        ({"feedback": {"value": {"a": 1}}}, ('{"a":1}', None, None)),
        ({"feedback": {"value": None, "error": {"error_message": "no"}}}, (None, None, "no")),
        ({"expectation": {"value": "A-1"}}, ("A-1", None, None)),
        ({"expectation": {"serialized_value": {"value": "[1]"}}}, ("[1]", None, None)),
        ({"issue": {"issue_name": "Slow"}}, ("Slow", None, None)),
        ({"feedback": 7, "source": "x", "metadata": []}, (None, None, None)),
    ],
)
def test_an_assessment_of_any_form_is_a_score(
    given: dict[str, Any], told: tuple[str | None, float | None, str | None]
) -> None:
    listed = described(assessments=[{"assessment_name": "mark", **given}, "odd"])
    with serving(mlflow_with(search=Answer(body={"traces": [listed]}))) as server:
        ((trace,), failures) = pulled(server)
    (score,) = trace.scores
    assert (score.name, score.label, score.value, score.explanation) == ("mark", *told)
    assert failures == []


# -- requests --------------------------------------------------------------------------------------


def test_a_list_is_read_to_its_last_page() -> None:
    second = "c" * 32

    def search(request: Request) -> Answer:
        body = json.loads(request.body)
        if body["filter"].startswith("request_id"):
            return Answer(body={"traces": [described(), described(second)]})
        if "page_token" in body:
            return Answer(body={"traces": [described(), described(second)]})
        return Answer(body={"traces": [described()], "next_page_token": "more"})

    with serving(mlflow_with(search=search)) as server:
        traces, _ = pulled(server)
    assert [trace.trace_id for trace in traces] == [TRACE_ID, second]


def test_user_and_password_come_before_a_token() -> None:
    secrets = {"username": "ann", "password": "pass", "token": "t0ken"}
    with serving(mlflow_with()) as server:
        read(adapter(server.url, **secrets))
        read(adapter(server.url, token="t0ken", workspace="team"))
        first, last = server.requests[0].headers, server.requests[-1].headers
    assert first["authorization"] == f"Basic {base64.b64encode(b'ann:pass').decode()}"
    assert last["authorization"] == "Bearer t0ken"
    assert last["x-mlflow-workspace"] == "team"


@pytest.mark.parametrize("query", [TraceQuery(user_id='it\'s "x"'), TraceQuery(tags=("a`b",))])
def test_what_the_filter_language_cannot_say_is_refused(query: TraceQuery) -> None:
    with serving(mlflow_with()) as server, pytest.raises(ConfigError, match="MLflow cannot"):
        read(adapter(server.url), query)


# -- writing ---------------------------------------------------------------------------------------


def test_an_assessment_whose_answer_was_lost_is_written_once() -> None:
    """The second try finds the first one stored, which MLflow calls an error of its own."""
    answers = [Answer(503, b"busy"), Answer(500, b"Failed due to a constraint violation.")]

    def assessments(request: Request) -> Answer:
        return answers.pop(0)

    stored = mlflow_with(assessments=assessments)

    def respond(request: Request) -> Answer:
        return Answer() if request.method == "PATCH" else stored(request)

    with serving(respond) as server:
        (result,) = adapter(server.url, retry_timeout=5).write_annotations([annotation()])
        methods = [r.method for r in server.requests if "/assessments" in r.path]
    assert (result.error, methods) == (None, ["POST", "POST", "PATCH"])


def test_of_an_assessment_by_another_kind_of_author_a_new_one_is_made() -> None:
    """MLflow keeps the source of an assessment for ever."""
    ours = annotation()
    kept: list[Any] = []

    def search(request: Request) -> Answer:
        return Answer(body={"traces": [described(assessments=kept[-1:])]})

    def respond(request: Request) -> Answer:
        if request.method == "POST" and request.path.endswith("/assessments"):
            kept.append(json.loads(request.body)["assessment"])
        is_change = "/assessments" in request.path
        return Answer() if is_change else mlflow_with(search=search)(request)

    with serving(respond) as server:
        target = adapter(server.url)
        target.write_annotations([ours])
        target.write_annotations([ours])
        target.write_annotations([ours.model_copy(update={"annotator_kind": "LLM"})])
        methods = [r.method for r in server.requests if "/assessments" in r.path]
    assert methods == ["POST", "PATCH", "DELETE", "POST"]
    assert [a["source"]["source_type"] for a in kept] == ["CODE", "LLM_JUDGE"]


@pytest.mark.parametrize(
    ("answer", "status"), [(Answer(400, b"no key"), "ok"), (Answer(403, b"denied"), "warning")]
)
def test_whether_a_user_may_annotate_is_checked_without_a_change(
    answer: Answer, status: str
) -> None:
    search = Answer(body={"experiments": []})
    with serving(mlflow_with(search=search, set_experiment_tag=answer)) as server:
        checks = {check.what: check for check in adapter(server.url).health_checks()}
    assert checks["permission"].status is HealthStatus(status)


@pytest.mark.parametrize("answer", [Answer(403, b"denied"), Answer(404, b"<html>Not Found")])
def test_annotations_need_no_label_schemas(answer: Answer) -> None:
    """A server before 3.14 has none, and only who manages an experiment may create some."""
    config = AnnotationConfig(name="halo.summary", description="x", labels=("high",))

    def respond(request: Request) -> Answer:
        if "label-schemas" in request.path:
            return answer if request.method == "POST" else Answer(404, REFUSED)
        return mlflow_with()(request)

    with serving(respond) as server:
        assert adapter(server.url).ensure_configs([config]) == []
