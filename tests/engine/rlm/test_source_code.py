"""The host functions over the source code of the agent."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from halo_engine.rlm.host.arguments import checked
from halo_engine.rlm.host.source_code import SourceCode
from halo_engine.rlm.sandbox.base import HostError
from halo_engine.source import SourceFiles

Call = Callable[..., Any]


class Code:
    """The functions as the model's code calls them; an error that nobody expected is raised."""

    def __init__(self, root: Path) -> None:
        functions = SourceCode(SourceFiles(root)).functions()
        self.functions = {f.__name__: checked(f, self._fail) for f in functions}

    def __getattr__(self, name: str) -> Call:
        return self.functions[name]

    @staticmethod
    def _fail(_: str, error: Exception) -> None:
        raise error


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


def git(folder: Path, *arguments: str) -> None:
    author = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
    subprocess.run(["git", *author, *arguments], cwd=folder, check=True)


@pytest.fixture
def repository(folder: Path) -> Path:
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "Refunds return one")
    return folder


def test_files_that_git_ignores_and_links_to_the_outside_are_not_listed(
    repository: Path,
) -> None:
    names = [line.split()[0] for line in Code(repository).code_tree()]
    assert names == [".gitignore", "src/tools.py"]


def test_a_folder_without_git_is_listed(folder: Path) -> None:
    names = [line.split()[0] for line in Code(folder).code_tree()]
    assert names == ["notes.txt", "src/tools.py"]


def test_files_that_are_not_listed_are_counted(folder: Path) -> None:
    for number in range(600):
        (folder / "src" / f"m{number:03}.py").write_text("", encoding="utf-8")
    listed = Code(folder).code_tree("src/")
    assert len(listed) == 501
    assert listed[-1] == "[101 more: give a folder]"
    assert Code(folder).code_tree("src/m59")[-1] == "src/m599.py 0"


def test_files_that_are_not_searched_are_counted(folder: Path) -> None:
    for number in range(60):
        (folder / "src" / f"m{number:03}.txt").write_text("x" * 999_000, encoding="utf-8")
    (folder / "zz.py").write_text("refund\n", encoding="utf-8")
    found = Code(folder).code_grep("refund")
    assert found == ["[53 of 64 files were searched: give a folder]"]
    assert Code(folder).code_grep("refund", "zz") == ["zz.py:1: refund"]


def test_lines_are_found_by_pattern(repository: Path) -> None:
    assert Code(repository).code_grep(r"return \d") == ["src/tools.py:2:     return 1"]


def test_matches_that_are_not_shown_are_mentioned(folder: Path) -> None:
    (folder / "many.py").write_text("refund\n" * 300, encoding="utf-8")
    found = Code(folder).code_grep("refund", limit=1000)
    assert found[199] == "many.py:200: refund"
    assert found[200:] == ["[more than 200 lines match: narrow the pattern, or give a folder]"]


def test_an_invalid_pattern_is_refused(repository: Path) -> None:
    with pytest.raises(HostError):
        Code(repository).code_grep("(")


def test_a_file_is_read_by_lines(repository: Path) -> None:
    assert Code(repository).code_read("src/tools.py", 2) == "2     return 1"


def test_a_file_that_is_read_in_part_says_how_to_go_on(repository: Path) -> None:
    read = Code(repository).code_read("src/tools.py", 1, 1)
    assert read == "1 def refund():\n[1 lines are left: code_read('src/tools.py', start=2)]"


@pytest.mark.parametrize("path", ["../outside.py", "link.py", "/etc/passwd", ".git/config", "no"])
def test_other_files_cannot_be_read(path: str, repository: Path) -> None:
    with pytest.raises(HostError):
        Code(repository).code_read(path)


def test_the_history_can_be_read(repository: Path) -> None:
    code = Code(repository)
    commit = code.code_log("src").split()[0]
    assert "Refunds return one" in code.code_log("src")
    assert commit in code.code_blame("src/tools.py", 1, 1)
    assert "+def refund():" in code.code_show(commit)


def test_the_history_outside_of_the_folder_cannot_be_read(repository: Path) -> None:
    (repository / "private.py").write_text("secret = 1\n", encoding="utf-8")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "Everything")
    code = Code(repository / "src")
    commit = code.code_log().split()[0]
    assert "secret" not in code.code_show(commit)
    for path in ("..", "../private.py", ":/private.py", ":(top)private.py"):
        try:
            assert "secret" not in code.code_show(commit, path)
        except HostError:
            continue


@pytest.mark.parametrize("commit", ["--output=/tmp/x", "-p", "HEAD; ls"])
def test_a_commit_that_is_an_option_or_a_command_is_refused(commit: str, repository: Path) -> None:
    with pytest.raises(HostError):
        Code(repository).code_show(commit)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        (
            "code_log",
            {"path": "src", "limit": "20 lines"},
            "limit: Input should be a valid integer",
        ),
        ("code_log", {"path": "a\0b"}, "path: Value error, give a path below"),
        ("code_blame", {"path": "src/tools.py", "start": "one", "end": 2}, "start: Input should"),
        ("code_blame", {"path": "src/tools.py", "start": -1, "end": 2}, "start: Input should"),
        ("code_tree", {"folder": None}, "folder: Input should be a valid string"),
        ("code_read", {"path": ["src"]}, "path: Input should be a valid string"),
        ("code_grep", {"pattern": "\ud83d"}, "pattern: Input should be a valid string"),
        ("code_grep", {"pattern": "x" * 3000}, "pattern: String should have at most"),
    ],
)
def test_an_argument_of_another_kind_is_refused(
    name: str, arguments: dict[str, Any], expected: str, repository: Path
) -> None:
    with pytest.raises(HostError, match=expected):
        Code(repository).functions[name](**arguments)


def test_programs_that_the_repository_configures_are_not_run(repository: Path) -> None:
    marker = repository / "was-here"
    (repository / ".gitattributes").write_text("*.py filter=own diff=own\n", encoding="utf-8")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "Attributes")
    for name in (
        *("diff.external", "core.fsmonitor", "core.pager", "filter.own.clean", "gpg.program"),
        *("diff.own.textconv", "diff.own.command", "filter.own.process", "core.sshCommand"),
    ):
        git(repository, "config", name, f"touch {marker};")
    git(repository, "config", "log.showSignature", "true")
    (repository / "src" / "tools.py").write_text("changed\n", encoding="utf-8")
    code = Code(repository)
    code.code_tree()
    code.code_show(code.code_log().split()[0])
    code.code_blame("src/tools.py", 1, 2)
    assert not marker.exists()


KEY = "-----BEGIN {0}PRIVATE KEY-----\n{1}\n-----END {0}PRIVATE KEY-----\n".format(
    "RSA ", "\n".join("MIIEpAIBAAKCAQEA" + "q7Zk9" * 9 + str(n) for n in range(10, 20))
)


def test_a_key_in_a_file_is_redacted_whichever_of_its_lines_are_asked_for(repository: Path) -> None:
    (repository / "key.py").write_text(f"key = '''\n{KEY}'''\n", encoding="utf-8")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "A key")
    code = Code(repository)
    shown = [
        code.code_read("key.py", 5),
        *code.code_grep("MII"),
        code.code_blame("key.py", 5, 8),
        code.code_show("HEAD"),
    ]
    assert "MIIEpAIBAAKCAQEA" not in "\n".join(shown)
    assert shown[1] == "key.py:3: [redacted]"
