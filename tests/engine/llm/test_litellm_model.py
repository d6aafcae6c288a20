"""The model over litellm: what is imported when, and how long a busy provider asks to wait."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from corpora import synthetic
from halo_cli import QUIET
from halo_engine.errors import ModelBusy
from halo_engine.llm import Price, user
from halo_engine.llm.litellm_model import LitellmModel
from model_endpoint import Analyst, endpoint, refusal

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


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("7", (7, 7)),
        (format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True), (3000, 3600)),
        (None, None),
    ],
    # Not the values: an identifier with the time of day would differ between the test processes.
    ids=["seconds", "date", "none"],
)
def test_the_wait_that_a_busy_provider_asks_for_is_in_the_error(
    retry_after: str | None, seconds: tuple[float, float] | None
) -> None:
    headers = {"retry-after": retry_after} if retry_after else {}
    with endpoint(Analyst([]), lambda _: refusal(429, "slow down", **headers)) as server:
        model = LitellmModel(
            "scripted", base_url=server.url, price=Price(prompt=1, completion=1), window=9999
        )
        with pytest.raises(ModelBusy) as raised:
            model.complete([user("Hello?")], max_tokens=5)
    if seconds is None:
        assert raised.value.retry_after is None
    else:
        least, most = seconds
        assert raised.value.retry_after is not None
        assert least <= raised.value.retry_after <= most
