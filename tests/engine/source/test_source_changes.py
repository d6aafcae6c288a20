"""Changes to source code that a model proposes: they apply, or the reason is said."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from halo_engine.source import SourceFiles
from halo_engine.source.changes import change_in

LOOP = """\
MAX_STEPS = 7


def run(agent):
    for step in range(MAX_STEPS):
        agent.step()
    return agent.answer


def again(agent):
    for step in range(MAX_STEPS):
        agent.step()
    return None
"""
RAISED_LINES = (
    *("--- a/loop.py", "+++ b/loop.py", "@@ -1,4 +1,4 @@"),
    *("-MAX_STEPS = 7", "+MAX_STEPS = 20", " ", " ", " def run(agent):"),
)
RAISED = "".join(f"{line}\n" for line in RAISED_LINES)


@pytest.fixture
def files(tmp_path: Path) -> SourceFiles:
    (tmp_path / "loop.py").write_text(LOOP, encoding="utf-8")
    (tmp_path / "notes.txt").write_text("one\n", encoding="utf-8")
    (tmp_path / ".gitignore").write_text("*.txt\n", encoding="utf-8")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return SourceFiles(tmp_path)


def diff(*lines: str, path: str = "loop.py") -> str:
    return "\n".join([f"--- a/{path}", f"+++ b/{path}", *lines])


def test_a_diff_that_applies_is_kept_and_no_file_is_changed(files: SourceFiles) -> None:
    assert change_in(RAISED, files) == (RAISED, [])
    assert (files.root / "loop.py").read_text(encoding="utf-8") == LOOP


@pytest.mark.parametrize(
    "written",
    [
        diff("@@ -40 +12,9 @@", "-MAX_STEPS = 7", "+MAX_STEPS = 20"),
        diff("@@ -1,1 +1,1 @@ loop", "-MAX_STEPS = 7  ", "+MAX_STEPS = 20", "\\ No newline at end"),
        "```diff\n" + RAISED + "```",
        "diff --git a/loop.py b/loop.py\nindex 12ab..34cd 100644\n" + RAISED,
        RAISED.replace("a/loop", "loop").replace("b/loop", "loop"),
        RAISED.replace("\n", "\r\n"),
    ],
)
def test_a_diff_with_wrong_numbers_is_placed_by_its_lines_and_shown_with_the_right_ones(
    written: str, files: SourceFiles
) -> None:
    assert change_in(written, files) == (RAISED, [])


def test_of_lines_that_stand_twice_those_nearest_to_the_number_are_changed(
    files: SourceFiles,
) -> None:
    hunk = ("@@ -12 +12 @@", "-        agent.step()", "+        agent.step(last=True)")
    change, _ = change_in(diff(*hunk), files)
    assert change is not None
    assert "@@ -9,5 +9,5 @@" in change


def test_git_applies_what_is_kept(files: SourceFiles) -> None:
    hunks = (
        *("@@ -1 +1 @@", "-MAX_STEPS = 7", "+# For the longest task.", "+MAX_STEPS = 20"),
        *("@@ -13 +14 @@", "-    return None", "+    return agent.answer"),
    )
    change, problems = change_in(diff(*hunks), files)
    assert change is not None, problems
    subprocess.run(["git", "apply", "-"], cwd=files.root, input=change.encode(), check=True)
    changed = (files.root / "loop.py").read_text(encoding="utf-8")
    assert changed.startswith("# For the longest task.\nMAX_STEPS = 20\n")
    assert changed.endswith("    return agent.answer\n")


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        (diff("@@ -1 +1 @@", "-MAX_STEPS = 8", "+MAX_STEPS = 20"), "do not stand there"),
        (diff("@@ -1 +1 @@", "-one", "+two", path="notes.txt"), "there is no file"),
        (diff("@@ -1 +1 @@", "-one", "+two", path="../notes.txt"), "there is no file"),
        ("--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+x = 1", "none is made or removed"),
        ("--- a/loop.py\n+++ b/other.py\n@@ -1 +1 @@\n-x\n+y", "keeps its name"),
        (diff("@@ -1 +1 @@", "MAX_STEPS = 7"), "begin each line"),
        (diff("@@ -1 +1 @@", " MAX_STEPS = 7"), "changes nothing"),
        ("set MAX_STEPS to 20", "give a unified diff"),
        (RAISED + RAISED, "each once"),
        (RAISED + "+" * 9000, "longer than"),
        (diff(*["@@ -1 +1 @@", "-a", "+b"] * 21), "up to 20 hunks"),
    ],
)
def test_a_diff_that_does_not_apply_is_refused_with_the_reason(
    written: str, problem: str, files: SourceFiles
) -> None:
    change, problems = change_in(written, files)
    assert change is None
    assert problem in problems[0]


def test_a_file_of_very_many_lines_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "data.py").write_text("x = 1\n" * 20_001, encoding="utf-8")
    hunk = ("@@ -1 +1 @@", "-x = 1", "+x = 2")
    assert change_in(diff(*hunk, path="data.py"), SourceFiles(tmp_path)) == (
        None,
        ["fix: data.py has more than 20,000 lines."],
    )


def test_a_secret_beside_a_change_is_masked(tmp_path: Path) -> None:
    key = "_".join(("sk", "live", "4eC39HqLyjWDarjtT1zdp7dcQ2sXb9Km"))
    (tmp_path / "pay.py").write_text(f'API_KEY = "{key}"\nRETRIES = 9\n', encoding="utf-8")
    hunk = ("@@ -2 +2 @@", "-RETRIES = 9", "+RETRIES = 2")
    change, problems = change_in(diff(*hunk, path="pay.py"), SourceFiles(tmp_path))
    assert change is not None, problems
    assert key not in change
    assert "+RETRIES = 2" in change
