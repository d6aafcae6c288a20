"""A lake: traces as Parquet by project and day, in a folder or a bucket, written and read."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from pyarrow.fs import S3FileSystem

import halo_integrations as halo
from halo_adapters.base import Batch, LazyBatch, Scanned, TracePage, TraceQuery
from halo_adapters.lake.adapter import LakeAdapter
from halo_adapters.lake.batches import lake_in_process
from halo_adapters.lake.folder import LakeFolder
from halo_adapters.lake.layout import LakePart
from halo_adapters.lake.settings import LakeSettings
from halo_adapters.lake.uniting import unite_small_parts
from halo_adapters.lake.versions import contents_of
from halo_adapters.lake.writer import LakeWriter
from halo_cli import QUIET, Halo
from halo_engine.errors import ConfigError, StorageError
from halo_integrations.scanning import off_disk
from halo_integrations.testing import ScriptedModel, agent, trace
from lakes import BUCKET, FIRST_DAY, S3StandIn, read_lake, span_ids, step
from prepared import forker
from synthetic import write_conversations
from trace_files import written

S3 = f"s3://{BUCKET}"
PROJECTS, DAYS = 5, 10


@pytest.fixture(scope="module")
def s3() -> Iterator[S3StandIn]:
    with S3StandIn() as server:
        yield server


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a file of a trace for each of 50 partitions."""
    rows = [step(f"t{p}-{d}", d, f"p{p}") for p in range(PROJECTS) for d in range(DAYS)]
    written(tmp_path, rows)
    return tmp_path


def pull(folder: Path, **options: object) -> halo.Pulled:
    """Pull the file in ``folder`` into the lake in it."""
    given = {"to": folder / "lake", "home": folder / ".halo", **options}
    return halo.pull(folder / "traces.jsonl", **given)


def parts(lake: Path) -> list[Path]:
    return sorted(path.parent for path in lake.glob("project=*/day=*/part-*/traces.parquet"))


def handed_on(lake: Path, **query: object) -> list[list[Batch]]:
    """The batches of each pass over a lake, of which none is decoded."""
    passes: list[list[Batch]] = []

    def scan(batches: Iterable[Batch]) -> Iterator[Scanned[None]]:
        passes.append(list(batches))
        yield Scanned(page=TracePage(), result=None)

    list(LakeAdapter(LakeSettings(path=str(lake))).scanned(TraceQuery(**query), scan))
    return passes


# -- writing and reading -------------------------------------------------------------------------


def test_a_lake_of_fifty_partitions_in_a_bucket_is_read_where_it_can_match(
    project: Path, s3: S3StandIn
) -> None:
    lake = f"{S3}/fifty"
    run = Halo(project, **s3.env)
    done = run("pull", "traces.jsonl", "--to", lake)
    assert "50 traces, 50 spans in the lake s3://traces/fifty" in done.stdout, done.stderr
    done = run("run", lake, "--no-llm")
    assert "50 traces, 50 spans analysed" in done.stdout, done.stderr
    s3.requests.clear()
    done = run("pull", lake, "--since", "2026-04-05", "--until", "2026-04-06", "--project", "p2")
    assert "1 trace, 1 span in run" in done.stdout, done.stderr
    read = [
        path.split("/")[3:] for method, path in s3.requests if method == "GET" and "/part-" in path
    ]
    assert {project for project, *_ in read} == {"project=p2"}
    assert {day for _, day, _, name in read if name == "spans.parquet"} == {"day=2026-04-05"}
    assert {day for _, day, *_ in read} <= {f"day=2026-04-0{day}" for day in (4, 5, 6, 7)}


def test_the_batches_in_a_process_share_the_connection_to_a_bucket() -> None:
    """A worker gets the settings anew with each of them."""
    settings = LakeSettings(path=f"{S3}/shared", endpoint_url="http://127.0.0.1:9")
    again = pickle.loads(pickle.dumps(settings))
    assert again is not settings
    assert lake_in_process(again) is lake_in_process(settings)


def test_a_run_of_a_lake_finds_what_a_run_of_its_file_does(tmp_path: Path) -> None:
    write_conversations(tmp_path / "traces.jsonl", 30)
    pulled = pull(tmp_path)
    assert (pulled.traces, pulled.spans) == (30, 270)
    lake, file = (
        halo.run(source, home=tmp_path / source.stem).report.findings
        for source in (tmp_path / "lake", tmp_path / "traces.jsonl")
    )
    assert lake
    assert lake == file


def test_secrets_are_masked_before_they_are_in_a_lake(tmp_path: Path) -> None:
    secret = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"
    written(tmp_path, [step("t1", attributes={"input.value": f"token {secret}"})])
    pull(tmp_path)
    read = str(read_lake(tmp_path / "lake")[0]["t1"])
    assert "token" in read
    assert secret not in read


def test_in_a_lake_without_texts_no_rule_judges_by_texts(tmp_path: Path) -> None:
    kind, said = (
        "openinference.span.kind",
        {"input.value": "refund 7", "output.value": "It is done."},
    )
    failed = {
        kind: "TOOL",
        "tool.name": "refund",
        "input.value": "7",
        "output.value": "no such order",
    }
    tool = {"parent_span_id": "s1", "status": {"code": "STATUS_CODE_ERROR"}, "attributes": failed}
    rows = [step("t1", attributes={kind: "AGENT", **said}), step("t1", span="s2", **tool)]
    written(tmp_path, rows)
    pull(tmp_path, metadata_only=True)
    lake, file = (
        halo.run(tmp_path / source, home=tmp_path / "home").report
        for source in ("lake", "traces.jsonl")
    )
    assert [finding.title for finding in file.findings] == [
        "A failure of refund is not acknowledged: no such order"
    ]
    assert not lake.findings


def test_a_model_is_not_asked_about_a_lake_without_texts(tmp_path: Path) -> None:
    written(tmp_path, [step("t1", attributes={"input.value": "refund 7"})])
    pull(tmp_path, metadata_only=True)
    model = {"model": ScriptedModel([]), "token_budget": 1000}
    with pytest.raises(ConfigError, match="those of all traces were withheld"):
        halo.run(tmp_path / "lake", home=tmp_path / "home", **model)


def test_filters_choose_among_the_traces_of_a_lake(project: Path) -> None:
    pull(project)
    lake = project / "lake"
    newest = {f"t{p}-9" for p in range(PROJECTS)}
    assert set(read_lake(lake, limit=5)[0]) == newest
    assert set(read_lake(lake, project="p1", limit=1)[0]) == {"t1-9"}
    assert len(read_lake(lake, sample=7, seed=3)[0]) == 7
    assert set(read_lake(lake, sample=7, seed=3)[0]) == set(read_lake(lake, sample=7, seed=3)[0])
    assert set(read_lake(lake, names=("other",))[0]) == set()
    found, failures = read_lake(lake, trace_ids=("t0-0", "gone"))
    assert (set(found), [f.trace_id for f in failures]) == ({"t0-0"}, ["gone"])


def test_filters_that_ask_spans_choose_as_those_of_files_do(project: Path) -> None:
    rows = [step(f"t{n}", n, name="odd" if n % 2 else "even") for n in range(8)]
    written(project, rows)
    pull(project)
    lake = project / "lake"
    assert set(read_lake(lake, names=("odd",))[0]) == {"t1", "t3", "t5", "t7"}
    assert set(read_lake(lake, names=("odd",), limit=2)[0]) == {"t5", "t7"}
    assert set(
        read_lake(lake, names=("odd",), limit=2, until=datetime(2026, 4, 7, tzinfo=UTC))[0]
    ) == {"t3", "t5"}
    assert len(read_lake(lake, names=("odd",), sample=3)[0]) == 3
    resumed = {"names": ("odd",), "already_stored": frozenset({"t5"})}
    assert set(read_lake(lake, **resumed)[0]) == {"t1", "t3", "t7"}
    assert set(read_lake(lake, **resumed, limit=2)[0]) == {"t7"}


@pytest.mark.parametrize("share", [{}, {"limit": 1}])
def test_spans_are_read_by_whoever_decodes_a_batch(project: Path, share: dict[str, int]) -> None:
    pull(project)
    for spans in project.glob("lake/**/spans.parquet"):
        spans.write_bytes(b"damaged")
    (batches, *_) = handed_on(project / "lake", names=("other",), **share)
    assert isinstance(batches[0], LazyBatch), "they were read before"
    page = pickle.loads(pickle.dumps(batches[0])).decoded()
    assert len(page.failures) == PROJECTS * DAYS, "one for each part"


@pytest.mark.parametrize(
    "name", ["web/app", "%2F", "..", "京都" * 60], ids=["slash", "percent", "dots", "long"]
)
def test_a_project_may_have_any_name(tmp_path: Path, name: str) -> None:
    written(tmp_path, [step("t1", project=name), step("t2", project=f"{name}2")])
    pull(tmp_path)
    assert set(read_lake(tmp_path / "lake", project=name)[0]) == {"t1"}
    assert set(read_lake(tmp_path / "lake")[0]) == {"t1", "t2"}


# -- traces that come again ----------------------------------------------------------------------


def test_a_trace_that_was_read_in_pieces_is_their_union(tmp_path: Path) -> None:
    written(tmp_path, [step("t1", 0), step("t2", 0)])
    pull(tmp_path)
    written(tmp_path, [step("t1", 1, span="s2", parent_span_id="s1")])
    pull(tmp_path)
    lake = tmp_path / "lake"
    traces, _ = read_lake(lake)
    assert span_ids(traces.values()) == [("t1", "s1"), ("t1", "s2"), ("t2", "s1")]
    second_day = datetime(2026, 4, 2, tzinfo=UTC)
    assert not read_lake(lake, since=second_day)[0], "a piece of an older trace passes for one"
    assert span_ids([read_lake(lake, until=second_day)[0]["t1"]]) == [("t1", "s1"), ("t1", "s2")]


def test_the_later_record_of_a_span_counts(tmp_path: Path) -> None:
    for name in ("first", "second", "third"):
        written(tmp_path, [step("t1", name=name)])
        pull(tmp_path)
    traces, _ = read_lake(tmp_path / "lake")
    assert [span.name for span in traces["t1"].spans] == ["third"]
    assert not read_lake(tmp_path / "lake", names=("first",))[0]


def test_since_last_writes_what_is_new(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    day = (now.date() - FIRST_DAY).days
    written(tmp_path, [step("t1", day - 3)])
    assert pull(tmp_path, since="all").traces == 1
    written(tmp_path, [step("t1", day - 3), step("t2", day + 1)])
    assert pull(tmp_path, since="last").traces == 1
    assert set(read_lake(tmp_path / "lake")[0]) == {"t1", "t2"}
    other = pull(tmp_path, since="last", to=tmp_path / "other")
    assert other.traces == 2, "another lake has a watermark of its own"


def test_a_killed_pull_is_completed_by_the_same_command(project: Path, s3: S3StandIn) -> None:
    lake = f"{S3}/killed"
    words = ["pull", "traces.jsonl", "--to", lake]
    env = {**QUIET, **s3.env}
    output, errors, given = (project / name for name in ("output", "errors", "input"))
    given.touch()
    process = forker().start(words, project, env, output, errors, given)

    def kill() -> None:
        if (
            sum("killed" in path and path.endswith("traces.parquet") for _, path in s3.requests)
            > 20
        ):
            os.kill(process.pid, signal.SIGKILL)

    s3.before = kill
    assert process.wait() != 0
    s3.before = lambda: None
    done = Halo(project, **s3.env)(*words)
    assert "50 traces, 50 spans in the lake" in done.stdout, done.stderr
    assert "Resuming" in done.stderr
    done = Halo(project, **s3.env)("pull", lake)
    assert "50 traces, 50 spans in run" in done.stdout, done.stderr


def test_small_parts_are_united_and_a_crash_meanwhile_changes_nothing(tmp_path: Path) -> None:
    lake, expected = tmp_path / "lake", set()
    for number in range(9):
        if number == 8:
            shutil.copytree(lake, tmp_path / "before")
        rows = [step(f"t{n}", span=f"s{number}") for n in (number, number + 1)]
        written(tmp_path, rows)
        expected |= {(r["trace_id"], r["span_id"]) for r in rows}
        pull(tmp_path)
    assert len(parts(lake)) == 1
    assert span_ids(read_lake(lake)[0].values()) == sorted(expected)
    shutil.copytree(tmp_path / "before", lake, dirs_exist_ok=True)
    assert len(parts(lake)) == 9
    assert span_ids(read_lake(lake)[0].values()) == sorted(expected)


def test_a_part_without_its_last_file_is_none(tmp_path: Path) -> None:
    written(tmp_path, [step("t1")])
    pull(tmp_path)
    (part,) = parts(tmp_path / "lake")
    (part / "traces.parquet").unlink()
    assert read_lake(tmp_path / "lake") == ({}, [])


# -- several processes at once -------------------------------------------------------------------


@pytest.fixture(scope="module")
def eight_pulls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a lake of eight small parts, and a file whose pull unites them with its own."""
    folder = tmp_path_factory.mktemp("eight")
    for number in range(9):
        written(folder, [step(f"t{number}"), step("again", span=f"s{number}")])
        if number < 8:
            pull(folder)
    return folder


@pytest.fixture
def eight(eight_pulls: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(eight_pulls, tmp_path / "eight")
    return tmp_path / "eight"


class MeanwhileLake(LakeFolder):
    """A lake in which something happens before the first file with facts, or with spans, is read."""

    def __init__(self, path: Path, before: str, what: Callable[[], object]) -> None:
        super().__init__(LakeSettings(path=str(path)))
        self._before, self._what, self._lock = before, what, Lock()

    def facts(self, part: LakePart) -> bytes | None:
        self._reached("facts")
        return super().facts(part)

    def spans(self, part: LakePart) -> Any:
        self._reached("spans")
        return super().spans(part)

    def _reached(self, place: str) -> None:
        with self._lock:
            if place == self._before:
                self._before = ""
                self._what()


def test_what_is_united_before_its_facts_are_read_is_found(eight: Path) -> None:
    lake = MeanwhileLake(eight / "lake", "facts", lambda: pull(eight))
    found = contents_of(lake, lake.partitions()[0])
    assert found.versions.keys() == {"again", *(f"t{n}" for n in range(9))}
    assert len(parts(eight / "lake")) == 1


def test_what_is_united_before_its_spans_are_read_is_read(eight: Path) -> None:
    ((batch, *others),) = handed_on(eight / "lake")
    assert not others
    pull(eight)
    page = batch.decoded()
    assert not page.failures
    assert {trace.trace_id for trace in page.traces} == {"again", *(f"t{n}" for n in range(8))}
    assert len(span_ids(page.traces)) == 17


def test_of_two_processes_that_unite_the_same_parts_one_does(eight: Path) -> None:
    path, other = eight / "lake", eight / "other"
    pull(eight, to=other)
    shutil.copytree(other, path, dirs_exist_ok=True)
    lake = LakeFolder(LakeSettings(path=str(path)))
    ((partition,), _) = lake.partitions()
    unite_small_parts(
        MeanwhileLake(path, "spans", lambda: unite_small_parts(lake, partition)), partition
    )
    assert len(parts(path)) == 1
    assert len(span_ids(read_lake(path)[0].values())) == 18


# -- what goes wrong -----------------------------------------------------------------------------


def test_what_is_not_understood_is_a_failure(tmp_path: Path) -> None:
    written(tmp_path, [step("t1"), step("t2", 3)])
    pull(tmp_path)
    lake = tmp_path / "lake"
    (lake / "notes").mkdir()
    (lake / "project=shop" / "day=soon").mkdir()
    spans = parts(lake)[0] / "spans.parquet"
    spans.write_bytes(spans.read_bytes()[:100])
    traces, failures = read_lake(lake)
    assert set(traces) == {"t2"}
    assert {Path(f.where).name for f in failures} == {"notes", "day=soon", spans.parent.name}
    (damaged,) = (f.what for f in failures if "damaged" in f.what)
    assert damaged.startswith("1 of the traces in this part of the lake (t1) cannot be read")


def test_a_part_whose_spans_are_gone_is_a_failure_that_names_it(project: Path) -> None:
    pull(project)
    (part, *_) = parts(project / "lake")
    (part / "spans.parquet").unlink()
    traces, (failure,) = read_lake(project / "lake")
    assert len(traces) == PROJECTS * DAYS - 1
    assert failure.where == str(part)
    assert "Remove its folder, and pull again what it had" in failure.what


def test_spans_of_another_part_pass_for_no_trace_of_this_one(project: Path) -> None:
    pull(project)
    first, second, *_ = parts(project / "lake")
    shutil.copy(second / "spans.parquet", first)
    traces, (failure,) = read_lake(project / "lake")
    assert (len(traces), failure.where) == (PROJECTS * DAYS - 1, str(first))


def test_a_part_that_this_user_may_not_read_is_not_called_damaged(project: Path) -> None:
    def refuse() -> None:
        raise PermissionError("denied")

    pull(project)
    lake = MeanwhileLake(project / "lake", "facts", refuse)
    (failure,) = contents_of(lake, lake.partitions()[0]).unreadable
    assert "this user may not read it. Change its rights" in failure.what


def test_partitions_without_the_file_of_a_lake_are_no_files_of_traces(project: Path) -> None:
    pull(project)
    (project / "lake" / "lake.json").unlink()
    with pytest.raises(ConfigError, match=r"has partitions but no lake.json. Copy that"):
        halo.pull(project / "lake", home=project / ".halo")


def test_a_part_that_cannot_be_put_in_its_place_leaves_nothing(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    writer = LakeWriter(LakeSettings(path=str(lake)), "run-1", datetime.now(UTC))
    (lake / "project=__HIVE_DEFAULT_PARTITION__").touch()
    with pytest.raises(StorageError, match="cannot be used"):
        writer.add(writer.pack([trace(agent())]))
    assert not list(lake.glob("new-*"))


@pytest.mark.parametrize(
    ("to", "env", "code", "said"),
    [
        ("s3://nobucket/x", {}, 2, "no such bucket. Create it"),
        (f"{S3}/x", {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}, 3, "Check the network"),
        ("s3://", {}, 2, "names no bucket"),
        (".", {}, 2, "is not empty"),
    ],
)
def test_a_place_that_cannot_be_a_lake_is_said(
    project: Path, s3: S3StandIn, to: str, env: dict[str, str], code: int, said: str
) -> None:
    done = Halo(project, **{**s3.env, **env})("pull", "traces.jsonl", "--to", to)
    assert done.returncode == code
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (
            "AccessDenied",
            "there are no credentials, or they may not do this. Set AWS_ACCESS_KEY_ID",
        ),
        ("ExpiredToken", "The session has expired: log in again"),
        ("AuthorizationHeaderMalformed", "in another region: set AWS_REGION"),
    ],
)
def test_a_refusal_of_the_bucket_is_said_with_its_remedy(
    tmp_path: Path, s3: S3StandIn, refusal: str, said: str
) -> None:
    with s3.refusing(refusal):
        done = Halo(tmp_path, **s3.env)("pull", f"{S3}/refused")
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize("file", ["traces.parquet", "spans.parquet"])
def test_a_file_that_the_bucket_refuses_is_said_with_its_remedy(
    tmp_path: Path, s3: S3StandIn, file: str
) -> None:
    written(tmp_path, [step("t1")])
    run, lake = Halo(tmp_path, **s3.env), f"{S3}/refused-{file}"
    run("pull", "traces.jsonl", "--to", lake)
    with s3.refusing("AccessDenied", of=file):
        done = run("pull", lake)
    assert done.returncode == 2
    assert "Access is denied" in done.stderr


def test_an_object_that_is_gone_is_a_failure(tmp_path: Path, s3: S3StandIn) -> None:
    written(tmp_path, [step("t1")])
    run, lake = Halo(tmp_path, **s3.env), f"{S3}/gone"
    run("pull", "traces.jsonl", "--to", lake)
    (spans,) = (
        p for method, p in s3.requests if method == "PUT" and "/gone/" in p and "spans" in p
    )
    S3FileSystem(
        access_key="key", secret_key="secret", endpoint_override=s3.env["AWS_ENDPOINT_URL_S3"]
    ).delete_file(spans.strip("/"))
    done = run("pull", lake)
    assert done.returncode == 3
    assert "1 of the traces in this part of the lake (t1) cannot be read" in done.stderr


def test_a_prefix_without_a_lake_is_said(project: Path, s3: S3StandIn) -> None:
    done = Halo(project, **s3.env)("run", f"{S3}/nothing", "--no-llm")
    assert done.returncode == 2
    assert "There is no lake at s3://traces/nothing" in done.stderr


def test_the_traces_of_a_run_into_a_lake_are_analysed_there(tmp_path: Path) -> None:
    written(tmp_path, [step("t1")])
    run = pull(tmp_path)
    with pytest.raises(ConfigError, match=r"run .*lake` analyses them"):
        halo.analyze(run.run_id, home=tmp_path / ".halo")


def test_machines_that_share_no_disk_get_the_traces_of_a_lake_on_one(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull(project)
    monkeypatch.chdir(project)
    ((batch, *_),) = handed_on(Path("lake"))
    assert isinstance(off_disk(batch), TracePage)
    monkeypatch.chdir("/")
    assert batch.decoded().traces == off_disk(batch).decoded().traces != ()
