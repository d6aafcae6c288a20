"""The demo with a model: its destination and limit are printed before the first call."""

from __future__ import annotations

from pathlib import Path

import pytest

from halo_cli import Halo
from model_endpoint import Analyst, endpoint


@pytest.mark.server
def test_the_demo_prints_where_traces_go_and_the_limit_before_the_model_is_called(
    tmp_path: Path,
) -> None:
    with endpoint(Analyst([])) as server:
        halo = Halo(tmp_path, HALO_MODEL="scripted", HALO_MODEL_URL=server.url, HALO_PRICE="3,15")
        done = halo("demo", "--exit", "--count", "50", "--budget", "0.25")
    assert done.returncode == 0, done.stderr
    printed = done.stderr.index(f"Traces go to {server.url}; at most 0.25 USD.")
    assert printed < done.stderr.index("scripted: 1 turn")
