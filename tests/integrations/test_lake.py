"""A lake: traces as Parquet by project and day, in a folder or a bucket, written and read."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import halo_integrations as halo
from halo_adapters.base import Batch, LazyBatch, Scanned, TracePage, TraceQuery
from halo_adapters.lake.adapter import LakeAdapter
from halo_adapters.lake.settings import LakeSettings
from halo_cli import QUIET, Halo
from halo_engine.errors import ConfigError
from halo_integrations.scanning import off_disk
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
    assert len(page.failures) == PROJECTS * DAYS


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
    assert {f.trace_id or Path(f.where).name for f in failures} == {"notes", "day=soon", "t1"}


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
