"""Options are declared once: flags, keyword arguments, environment variables and help agree."""

from __future__ import annotations

import inspect
from pathlib import Path

import click
import orjson
import pytest

import halo_integrations as halo
from halo_cli import Halo
from halo_engine.errors import ConfigError
from halo_integrations.cli.commands import commands
from halo_integrations.options.declaration import options_of
from halo_integrations.options.model import ModelSettings
from halo_integrations.options.resolve import resolve
from halo_integrations.options.run import (
    AnalyzeOptions,
    FollowUpOptions,
    PullOptions,
    RunOptions,
    RunSettings,
)
from halo_integrations.testing.conformance import sample_rows

# Switches of the command line that are no options of a verb.
SWITCHES = {
    *("yes", "dry_run", "estimate", "as_json", "debug", "_click_default_help"),
    *(spec.name for spec in options_of(RunSettings) if spec.flags),
}


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    path = tmp_path / "traces.jsonl"
    path.write_bytes(b"\n".join(map(orjson.dumps, sample_rows())))
    return path


def parameters(command: str) -> set[str]:
    """The names of the options of a command."""
    found = commands.commands[command]
    params = found.get_params(click.Context(found))
    return {str(param.name) for param in params if isinstance(param, click.Option)} - SWITCHES


@pytest.mark.parametrize(
    ("command", "model"),
    [("run", RunOptions), ("pull", PullOptions), ("analyze", AnalyzeOptions)],
)
def test_a_command_has_the_options_that_its_model_declares(command: str, model: type) -> None:
    declared = {spec.name for spec in options_of(model) if spec.flags}
    assert parameters(command) == declared


@pytest.mark.parametrize(
    ("verb", "model"),
    [(halo.run, RunOptions), (halo.pull, PullOptions), (halo.analyze, AnalyzeOptions)],
)
def test_a_verb_has_the_keyword_arguments_that_its_model_declares(verb, model) -> None:
    keywords = set(inspect.signature(verb).parameters) - {"source", "run_id"}
    assert keywords == set(model.model_fields)
    described = [spec for spec in options_of(model) if spec.info.description]
    assert all(f"{spec.name}: {spec.info.description}" in verb.__doc__ for spec in described)


def test_every_option_on_the_command_line_has_help() -> None:
    without = [
        (name, option.name)
        for name, command in commands.commands.items()
        for option in command.get_params(click.Context(command))
        if isinstance(option, click.Option) and not option.help
    ]
    assert without == []


def test_a_setting_that_is_no_keyword_is_refused_with_where_to_set_it(traces: Path) -> None:
    with pytest.raises(
        TypeError, match=r"'workers'. It is a setting: \[run\] workers in halo.toml"
    ):
        halo.pull(traces, workers=2)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("memory", "much", "write a size, such as 500MB or 2GB"),
        ("memory", "1e9", "write a size, such as 500MB or 2GB"),
        ("workers", "two", "write a whole number"),
        ("read_back", "soon", "write a number"),
        ("timings", "maybe", "write true or false"),
        ("workers", "0", "Input should be greater than or equal to 1"),
    ],
)
def test_a_setting_that_is_not_valid_says_what_to_write(name: str, value: str, reason: str) -> None:
    given = {f"HALO_{name.upper()}": value}
    with pytest.raises(ConfigError, match=rf"HALO_{name.upper()}\) is not valid: {reason}\."):
        resolve(RunSettings, "run", {}, environment=given)


def test_a_misspelt_keyword_is_refused_with_the_close_one(traces: Path) -> None:
    with pytest.raises(TypeError, match="'sinse'. Did you mean 'since'"):
        halo.run(str(traces), sinse="24h")


def test_a_value_that_is_not_valid_is_refused_with_its_name(traces: Path) -> None:
    with pytest.raises(ConfigError, match="The option limit is not valid"):
        halo.pull(str(traces), limit=0)


def test_a_single_name_in_place_of_a_list_is_refused(traces: Path) -> None:
    with pytest.raises(ConfigError, match="The option names is not valid"):
        halo.pull(str(traces), names="checkout")


def test_follow_ups_are_options_of_run_and_annotate() -> None:
    declared = {spec.name for spec in options_of(FollowUpOptions)}
    assert declared <= parameters("run")
    assert declared <= parameters("annotate")


@pytest.mark.parametrize("name", ["HALO_RETRY_TIMEOUT", "HALO_PATIENCE"])
def test_the_retry_timeout_is_read_under_both_names(name: str) -> None:
    assert resolve(ModelSettings, "model", {}, environment={name: "7"}).settings.retry_timeout == 7


def test_a_table_of_halo_toml_may_use_the_earlier_name(tmp_path: Path) -> None:
    file = tmp_path / "halo.toml"
    file.write_text("[model]\npatience = 7\n")
    assert (
        resolve(ModelSettings, "model", {}, file=file, environment={}).settings.retry_timeout == 7
    )


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("[detectors.identical_call_lop]\nenabled = false", "identical_call_loop"),
        ('[detectors.oscillation]\nseverity = "awful"', "[detectors.oscillation]"),
        ("[detectors.oscillation]\nseverty = 1", "no setting 'severty'"),
        ("[detectors.redundant_call]\nthreshold = 3", "has no threshold"),
        ("[detectors.oscillation]\nthreshold = 1", "must be at least"),
        ('[detectors.oscillation]\nthreshold = "many"', "[detectors.oscillation]"),
        ("[detectors]\noscillation = 1", "is not a table"),
    ],
)
def test_a_mistake_in_the_settings_of_detectors_is_named(
    tmp_path: Path, traces: Path, toml: str, says: str
) -> None:
    (tmp_path / "halo.toml").write_text(toml)
    done = Halo(tmp_path)("run", traces)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_detectors_are_listed_with_their_settings(tmp_path: Path) -> None:
    (tmp_path / "halo.toml").write_text("[detectors.oscillation]\nthreshold = 5\nenabled = false\n")
    listed = orjson.loads(Halo(tmp_path)("detectors", "--json").stdout)
    (oscillation,) = [row for row in listed if row["name"] == "oscillation"]
    assert (oscillation["threshold"], oscillation["enabled"]) == (5, False)
    assert len(listed) == len(halo.load_detectors())
