"""What nothing would read is refused, or said, before anything is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

import halo_integrations as halo
from halo_cli import FreshHalo, Halo
from halo_engine.errors import ConfigError
from halo_integrations.testing.conformance import sample_rows
from loopback import Answer, Loopback, in_turn, serving


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    path = tmp_path / "traces.jsonl"
    path.write_bytes(b"\n".join(map(orjson.dumps, sample_rows())))
    return path


@pytest.fixture
def refusing() -> Iterator[Loopback]:
    """A server that no request should reach."""
    with serving(in_turn(Answer(500))) as server:
        yield server


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('[phonix]\nproject = "a"', "a table or key 'phonix'.*Did you mean 'phoenix'"),
        ('project = "a"', "a table or key 'project', which nothing reads"),
        ('phoenix = "a"', "phoenix is a table of settings"),
        ('[run]\nhmoe = "a"', "has no setting 'hmoe'.*Did you mean 'home'"),
        ("[model]\nbugdet = 3", "has no setting 'bugdet'.*Did you mean 'budget'"),
        ('[langfuse]\npulic_key = "a"', "has no setting 'pulic_key'.*Did you mean 'public_key'"),
        (
            '[phoenix.profiles.shop]\nprojct = "a"',
            r"\[phoenix.profiles.shop\] has no setting 'projct'",
        ),
        ('[model.profiles.shop]\nmodel = "a"', "has no setting 'profiles'"),
        ("[detectors.refusal_phrse]\nenabled = false", "no detector called 'refusal_phrse'"),
    ],
)
def test_a_mistake_in_halo_toml_is_told_before_anything_is_read(
    tmp_path: Path, refusing: Loopback, toml: str, message: str
) -> None:
    file = tmp_path / "halo.toml"
    file.write_text(toml + "\n")
    with pytest.raises(ConfigError, match=message):
        halo.pull("phoenix", base_url=refusing.url, config_file=file, home=tmp_path / "home")
    assert refusing.requests == []
    assert not (tmp_path / "home").exists()


def test_settings_of_adapters_and_profiles_may_stand_in_halo_toml(
    tmp_path: Path, traces: Path
) -> None:
    file = tmp_path / "halo.toml"
    file.write_text(
        '[phoenix]\npatience = 5\n[phoenix.profiles.a]\nproject = "a"\n[langfuse]\napi = "v2"\n'
    )
    assert halo.pull(traces, config_file=file, home=tmp_path / "home").traces == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_url": "http://x"}, r"'base_url' \(--base-url\) is no setting of files"),
        ({"timeout": 3.0}, "'timeout'.*is no setting of files"),
        ({"settings": {"api_kee": "x"}}, "'api_kee' is no setting of files"),
        ({"settings": {"public_key": "x"}}, "'public_key' is no setting of files"),
        ({"seed": 5}, "--seed is about --sample"),
        ({"budget": 3.0}, "--budget is about the analysis by a model, and none is set"),
        ({"question": "Why?"}, "--question is about the analysis by a model"),
        ({"root_causes": True}, "--root-causes is about the analysis by a model"),
        ({"queue": "review"}, "There is --queue for langfuse, mlflow, not for files"),
    ],
)
def test_an_option_without_effect_is_refused(
    traces: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        halo.run(traces, **{"home": tmp_path / "home", **options})


def test_the_settings_of_a_platform_that_spans_are_sent_to_are_read(
    traces: Path, tmp_path: Path
) -> None:
    platform = {"api_key": "made-up"}
    assert halo.pull(traces, settings=platform, home=tmp_path / "home").traces == 6


def test_options_of_a_model_may_be_given_where_it_is_switched_off(
    traces: Path, tmp_path: Path
) -> None:
    assert halo.run(traces, budget=3.0, no_llm=True, home=tmp_path / "home").report.traces == 6


def test_the_consent_to_write_to_a_file_is_said_to_have_no_effect(
    traces: Path, tmp_path: Path
) -> None:
    done = Halo(tmp_path)("run", traces, "--yes")
    assert done.returncode == 0
    assert "takes no annotations, so --yes has no effect" in done.stderr.replace("\n", " ")


def test_a_misspelt_variable_is_told(tmp_path: Path) -> None:
    done = Halo(tmp_path)("runs", HALO_BUGDET="3", HALO_PHOENIX_ENV="/x", HALO_UNRELATED="1")
    assert done.returncode == 0
    (warning,) = done.stderr.splitlines()
    assert warning.endswith("variable HALO_BUGDET: did you mean HALO_BUDGET?")


@pytest.mark.parametrize("variable", ["PHOENIX_BASE_URL", "HALO_MODEL_URL"])
def test_an_address_with_a_password_is_refused_and_kept_nowhere(
    tmp_path: Path, traces: Path, variable: str
) -> None:
    halo_in = Halo(tmp_path, **{variable: "https://ann:made-up-word@host.invalid"})
    source = "phoenix" if variable.startswith("PHOENIX") else traces
    for command in (["run", source, "--dry-run"], ["doctor"], ["config"]):
        done = halo_in(*command)
        assert done.returncode == 2
        assert f"(from {variable}) holds a user name or password" in done.stdout + done.stderr
        assert "made-up-word" not in done.stdout + done.stderr
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"made-up-word" in content for content in files)


def test_an_adapter_that_cannot_be_imported_is_named_with_the_reason(tmp_path: Path) -> None:
    info = tmp_path / "site" / "acme-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
    points = "[halo_integrations.adapters]\nacme = raises_on_import:Adapter\n"
    (info / "entry_points.txt").write_text(points)
    support = Path(__file__).parents[1] / "support"
    halo_with = FreshHalo(tmp_path, PYTHONPATH=f"{tmp_path / 'site'}:{support}")
    why = "'acme' of halo_integrations.adapters (raises_on_import:Adapter) cannot be imported"
    for command, code in ((["doctor"], 2), (["run", "acme"], 2), (["run", "-", "--comment"], 2)):
        done = halo_with(*command)
        assert done.returncode == code
        assert why in done.stdout + done.stderr
        assert "the licence has expired" in done.stdout + done.stderr
