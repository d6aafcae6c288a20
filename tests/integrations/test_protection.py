"""What traces pass when they are read, and other texts when they leave."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import halo_integrations as halo
from halo_adapters.base import Annotation, FollowUpKind, TracePage, TraceQuery
from halo_cli import Halo
from halo_engine.errors import ConfigError, Unavailable
from halo_engine.findings import Report
from halo_engine.report.context import ReportContext
from halo_engine.report.registry import renderer_names
from halo_engine.schema import Failure, Trace
from halo_engine.store import TraceStore
from halo_engine.text.redaction import PLACEHOLDER
from halo_integrations.context import Context
from halo_integrations.options.run import CommonOptions, FollowUpOptions
from halo_integrations.protection import KEY_FILE, REQUESTED, protection_by
from halo_integrations.state.home import Runs
from halo_integrations.state.run import Run
from halo_integrations.testing import ScriptedModel, ScriptedPlatform, agent, tool, trace
from halo_integrations.verbs.analyze import analyze_run, save_report
from halo_integrations.verbs.annotate import annotations_for
from halo_integrations.verbs.follow_up import follow_ups_for
from halo_integrations.verbs.pull import read_into_run
from sample_reports import affected, finding
from trace_files import lines_of, row

BODY = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dF3gH6"
GITHUB = f"ghp_{BODY}"
MAIL = "ann@beispiel.de"


def with_secret(number: int) -> Trace:
    """A trace whose tool is called in a loop with a key and an address."""
    text = f"{MAIL} uses {GITHUB}"
    calls = (tool("look_up", {"q": text}, f"no {text}") for _ in range(3))
    return trace(agent(input=text), *calls, number=number)


def new_run(home: Path, **privacy: object) -> Run:
    """A run that was requested with these settings of privacy."""
    return Runs(home).create("scripted", {"settings": {}, REQUESTED: privacy}, TraceQuery())


def pulled(run: Run, *traces: Trace) -> ScriptedPlatform:
    """The platform that ``run`` has read ``traces`` from."""
    platform = ScriptedPlatform(traces=traces)
    read_into_run(Context(CommonOptions()), run, platform)
    return platform


def stored(run: Run) -> str:
    """Everything that the store of ``run`` holds."""
    with TraceStore(run.store_path, read_only=True) as store:
        return "\n".join(map(repr, store.traces()))


# -- in ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "kept"),
    [("default", {MAIL}), ("strict", set()), ("off", {GITHUB, MAIL})],
)
def test_the_level_decides_what_is_stored(level: str, kept: set[str], tmp_path: Path) -> None:
    run = new_run(tmp_path, redact=level)
    pulled(run, with_secret(1))
    assert {text for text in (GITHUB, MAIL) if text in stored(run)} == kept


def test_a_resumed_pull_gives_equal_secrets_equal_placeholders(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    platform = ScriptedPlatform(traces=[with_secret(1), with_secret(2)], page=1)
    platform.fail_after_pages = 1
    with pytest.raises(Unavailable):
        read_into_run(Context(CommonOptions()), run, platform)
    platform.fail_after_pages = None
    read_into_run(Context(CommonOptions()), run, platform)
    with TraceStore(run.store_path, read_only=True) as store:
        first, second = (set(PLACEHOLDER.findall(repr(t))) for t in store.traces())
    assert first == second
    assert len(first) == 1


def test_nothing_that_leads_back_to_a_secret_is_kept(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    platform = ScriptedPlatform(traces=[with_secret(1), with_secret(2)], page=1)
    platform.fail_after_pages = 1
    with pytest.raises(Unavailable):
        read_into_run(Context(CommonOptions()), run, platform)
    assert (run.folder / KEY_FILE).stat().st_mode & 0o777 == 0o600
    platform.fail_after_pages = None
    read_into_run(Context(CommonOptions()), run, platform)
    assert not (run.folder / KEY_FILE).exists()


def test_what_a_pull_has_masked_is_not_remembered_after_it(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    read_into_run(Context(CommonOptions()), run, ScriptedPlatform(traces=[with_secret(1)]))
    assert protection_by.cache_info().currsize == 0


def test_a_failure_of_a_pull_is_recorded_without_secrets(tmp_path: Path) -> None:
    class Failing(ScriptedPlatform):
        def pull(self, query: TraceQuery):
            failure = Failure(stage="pull", where="t1", what=f"odd: {GITHUB}")
            yield TracePage(traces=(with_secret(1),), failures=(failure,))

    run = new_run(tmp_path)
    read_into_run(Context(CommonOptions()), run, Failing())
    assert [failure.what for failure in run.failures()] == ["odd: [redacted:github-token]"]


# -- out -----------------------------------------------------------------------------------------


def raw_run(home: Path) -> Run:
    """A run with its traces as they were read, as earlier versions stored them."""
    run = new_run(home)
    pulled(run)
    with TraceStore(run.store_path) as store:
        store.ingest([with_secret(1)])
    return run


def test_a_report_is_redacted_before_any_format_is_written(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    run.folder.mkdir(exist_ok=True)
    failure = Failure(stage="x", where="y", what=f"it says {GITHUB}")
    place = affected(quote=GITHUB)
    report = Report(findings=(finding(), finding(place)), failures=(failure,))
    saved = save_report(run, report, ReportContext())
    assert saved.failures[0].what == "it says [redacted:github-token]"
    assert saved.findings[0] == finding()
    assert saved.findings[1].affected[0].evidence[0].quote == "[redacted:github-token]"
    written = [path.read_text(encoding="utf-8") for path in run.folder.glob("report.*")]
    assert len(written) == len(renderer_names())
    assert all(BODY not in text for text in written)


def test_what_an_earlier_version_stored_is_masked_when_it_leaves(tmp_path: Path) -> None:
    run = raw_run(tmp_path)
    report = analyze_run(run, halo_detectors())
    annotations = annotations_for(run, ScriptedPlatform())
    assert report.findings
    assert annotations
    assert BODY not in report.model_dump_json() + "".join(
        map(Annotation.model_dump_json, annotations)
    )


def test_dataset_items_hold_no_secret(tmp_path: Path) -> None:
    run = raw_run(tmp_path)
    analyze_run(run, halo_detectors())
    options = FollowUpOptions(comment=True, dataset="regressions")
    items = follow_ups_for(run, options, mark_recording_gaps=False)
    assert {item.kind for item in items} == {FollowUpKind.COMMENT, FollowUpKind.DATASET_ITEM}
    assert all(BODY not in item.model_dump_json() for item in items)
    (content,) = {i.content for i in items if i.kind is FollowUpKind.DATASET_ITEM}
    assert content == f"{MAIL} uses [redacted:github-token]"


def halo_detectors() -> list[halo.Detector]:
    """The installed detectors."""
    from halo_engine.detectors.registry import load_detectors

    return load_detectors()


def test_a_question_is_recorded_without_secrets(tmp_path: Path) -> None:
    path = traces_file(tmp_path)
    model = ScriptedModel(lambda _: "```python\nfinish('done')\n```")
    done = halo.run(path, home=tmp_path, model=model, question=f"Why {GITHUB}?", background=GITHUB)
    record = Runs(tmp_path).get(done.run_id).record.model
    assert record is not None
    assert record["question"] == "Why [redacted:github-token]?"
    assert record["background"] == "[redacted:github-token]"


# -- options -------------------------------------------------------------------------------------


def traces_file(folder: Path) -> Path:
    """A file with one trace that holds a key."""
    path = folder / "traces.jsonl"
    path.write_bytes(lines_of([row(attributes={"input.value": GITHUB, "output.value": "ok"})]))
    return path


@pytest.mark.parametrize("given", [{"model": ScriptedModel([])}, {"dataset": "d"}])
def test_what_needs_texts_is_refused_with_metadata_only(given: dict, tmp_path: Path) -> None:
    options = {"token_budget": 1000, **given} if "model" in given else given
    source = traces_file(tmp_path) if "model" in given else "langfuse"
    keys = {"public_key": "pk", "secret_key": "sk"} if source == "langfuse" else {}
    with pytest.raises(ConfigError, match="--metadata-only withholds every text"):
        halo.run(source, home=tmp_path, metadata_only=True, settings=keys, **options)


def test_a_model_is_refused_for_a_run_whose_texts_were_withheld(tmp_path: Path) -> None:
    halo.pull(traces_file(tmp_path), home=tmp_path, metadata_only=True)
    with pytest.raises(ConfigError, match="--metadata-only withholds every text"):
        halo.analyze(home=tmp_path, model=ScriptedModel([]), token_budget=1000)


def test_dataset_items_are_refused_for_a_run_whose_texts_were_withheld(tmp_path: Path) -> None:
    requested = {"settings": {"public_key": "pk"}, REQUESTED: {"metadata_only": True}}
    run = Runs(tmp_path).create("langfuse", requested, TraceQuery())
    with pytest.raises(ConfigError, match="--metadata-only withholds every text"):
        halo.follow_up(run.id, home=tmp_path, dataset="d", settings={"secret_key": "sk"})


def test_detectors_that_read_texts_judge_nothing_with_metadata_only(tmp_path: Path) -> None:
    done = halo.run(traces_file(tmp_path), home=tmp_path, metadata_only=True)
    withheld = {n.detector for n in done.report.not_judged if "--metadata-only" in n.reason}
    assert withheld == {d.name for d in halo_detectors() if d.reads_texts}
    assert "secret_in_trace" in withheld
    assert "identical_call_loop" not in withheld


def test_loops_are_found_without_texts(tmp_path: Path) -> None:
    run = new_run(tmp_path, metadata_only=True)
    pulled(run, with_secret(1))
    report = analyze_run(run, halo_detectors())
    assert [f.detector for f in report.findings if not f.is_recording_gap] == [
        "identical_call_loop"
    ]


@pytest.mark.parametrize(
    ("option", "said"),
    [("off", "masked nowhere"), ("default", None)],
)
def test_that_nothing_is_masked_is_said(option: str, said: str | None, tmp_path: Path) -> None:
    done = Halo(tmp_path)("run", traces_file(tmp_path), "--redact", option)
    assert ("Warning: --redact off" in done.stderr) is (said is not None)
    if said:
        assert said in done.stderr
        assert "Nothing was masked (--redact off)." in done.stderr
    else:
        assert "Masked wherever they stood: 1 secret: github-token (1)." in done.stderr


def test_the_level_can_be_set_in_the_configuration_and_the_environment(tmp_path: Path) -> None:
    (tmp_path / "halo.toml").write_text('[privacy]\nredact = "strict"\n', encoding="utf-8")
    command = Halo(tmp_path)
    assert re.search(r"privacy\.redact +strict +halo\.toml", command("config").stdout)
    shown = command("config", HALO_REDACT="off").stdout
    assert re.search(r"privacy\.redact +off +HALO_REDACT", shown)


def test_another_level_is_another_run(tmp_path: Path) -> None:
    path = traces_file(tmp_path)
    first = halo.pull(path, home=tmp_path)
    second = halo.pull(path, home=tmp_path, redact="off")
    assert first.run_id != second.run_id
    assert GITHUB in stored(Runs(tmp_path).get(second.run_id))
