"""The model over litellm: what is imported when, and how long a busy provider asks to wait."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from corpora import synthetic
from halo_cli import QUIET

WITHOUT_MODEL = """
import sys
from halo_integrations.cli import main
try:
    main(["run", "traces.jsonl", "--no-llm"])
except SystemExit as end:
    code = end.code or 0
loaded = sorted({"litellm", "openai", "tiktoken"} & set(sys.modules))
sys.exit(f"imported: {loaded}" if loaded else code)
"""


def test_an_analysis_without_a_model_does_not_import_litellm(tmp_path: Path) -> None:
    rows = "".join(json.dumps(row) + "\n" for row in synthetic())
    (tmp_path / "traces.jsonl").write_text(rows, encoding="utf-8")
    completed = subprocess.run(
        [sys.executable, "-c", WITHOUT_MODEL],
        cwd=tmp_path,
        env={**os.environ, **QUIET},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert list(tmp_path.glob(".halo/runs/*/report.json"))
