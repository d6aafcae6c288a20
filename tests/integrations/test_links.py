"""The address of a platform's page with the marks of a known issue."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

import halo_integrations as halo
from halo_cli import Halo
from halo_integrations.testing.conformance import sample_rows
from halo_integrations.testing.langfuse import LangfuseServer
from langfuse_data import environment
from synthetic import write_conversations


def test_the_link_to_langfuse_filters_observations_by_the_score_of_the_issue(
    tmp_path: Path,
) -> None:
    with LangfuseServer() as server:
        server.send(sample_rows())
        cli = Halo(tmp_path, **environment(server))
        assert cli("run", "langfuse", "--no-llm", "--dry-run").returncode == 0
        assert cli("run", "langfuse", "--no-llm", "--yes").returncode == 0
        (issue, *_) = json.loads(cli("issues", "list", "--json").stdout)
        url = urlsplit(cli("open", issue["id"]).stdout.strip())
    assert url.path.endswith("/observations")
    (condition,) = parse_qs(url.query)["filter"]
    mode, severity = issue["finding"]["failure_mode"], issue["finding"]["severity"]
    assert condition == f"score_categories;categoryOptions;halo.{mode};any of;{severity}"


def test_traces_from_files_have_no_page_with_marks(tmp_path: Path) -> None:
    write_conversations(tmp_path / "traces.jsonl", 20)
    halo.run(tmp_path / "traces.jsonl", home=tmp_path, no_llm=True)
    (issue, *_) = halo.issues(home=tmp_path)
    with pytest.raises(halo.ConfigError, match=f"takes no marks.*brief {issue.id}"):
        halo.issue_link(issue.id, home=tmp_path)


def test_the_link_to_phoenix_asks_for_the_signature_of_the_marks() -> None:
    from halo_adapters.phoenix.adapter import MARK_CONDITION

    assert unquote(MARK_CONDITION) == "'{within}' in annotations['{name}'].explanation"
