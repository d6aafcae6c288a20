"""The host functions over the source code of the agent."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from halo_engine.rlm.sandbox.base import HostError
from halo_engine.rlm.source_code import SourceCode


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "agent"
    (root / "src").mkdir(parents=True)
    (root / "src" / "tools.py").write_text("def refund():\n    return 1\n", encoding="utf-8")
    (root / "notes.txt").write_text("ignored", encoding="utf-8")
    (root / ".gitignore").write_text("*.txt\n", encoding="utf-8")
    (tmp_path / "outside.py").write_text("secret", encoding="utf-8")
    (root / "link.py").symlink_to(tmp_path / "outside.py")
    return root


@pytest.fixture
def repository(folder: Path) -> Path:
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "Refunds return one"]):
        author = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
        subprocess.run(["git", *author, *arguments], cwd=folder, check=True)
    return folder


def test_files_that_git_ignores_and_links_to_the_outside_are_not_listed(
    repository: Path,
) -> None:
    names = [line.split()[0] for line in SourceCode(repository).code_tree()]
    assert names == [".gitignore", "src/tools.py"]


def test_a_folder_without_git_is_listed(folder: Path) -> None:
    names = [line.split()[0] for line in SourceCode(folder).code_tree()]
    assert names == ["notes.txt", "src/tools.py"]


def test_lines_are_found_by_pattern(repository: Path) -> None:
    assert SourceCode(repository).code_grep(r"return \d") == ["src/tools.py:2:     return 1"]


def test_an_invalid_pattern_is_refused(repository: Path) -> None:
    with pytest.raises(HostError):
        SourceCode(repository).code_grep("(")


def test_a_file_is_read_by_lines(repository: Path) -> None:
    assert SourceCode(repository).code_read("src/tools.py", 2) == "2     return 1"


@pytest.mark.parametrize("path", ["../outside.py", "link.py", "/etc/passwd", ".git/config", "no"])
def test_other_files_cannot_be_read(path: str, repository: Path) -> None:
    with pytest.raises(HostError):
        SourceCode(repository).code_read(path)


def test_the_history_can_be_read(repository: Path) -> None:
    code = SourceCode(repository)
    commit = code.code_log("src").split()[0]
    assert "Refunds return one" in code.code_log("src")
    assert commit in code.code_blame("src/tools.py", 1, 1)
    assert "+def refund():" in code.code_show(commit)


@pytest.mark.parametrize("commit", ["--output=/tmp/x", "-p", "HEAD; ls"])
def test_a_commit_that_is_an_option_or_a_command_is_refused(commit: str, repository: Path) -> None:
    with pytest.raises(HostError):
        SourceCode(repository).code_show(commit)


def test_programs_that_the_repository_configures_are_not_run(repository: Path) -> None:
    marker = repository / "was-here"
    subprocess.run(
        ["git", "config", "diff.external", f"touch {marker}"], cwd=repository, check=True
    )
    subprocess.run(
        ["git", "config", "core.fsmonitor", f"touch {marker}"], cwd=repository, check=True
    )
    code = SourceCode(repository)
    code.code_tree()
    code.code_show(code.code_log().split()[0])
    assert not marker.exists()
