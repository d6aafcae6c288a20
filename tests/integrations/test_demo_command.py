"""The demo with a model: it looks where one is there, and says so first."""

from __future__ import annotations

from pathlib import Path

import pytest

from halo_cli import Halo
from minds import Analyst, endpoint


@pytest.mark.server
@pytest.mark.xdist_group("phoenix")
def test_the_demo_says_what_a_model_may_cost_before_it_lets_it_look(tmp_path: Path) -> None:
    with endpoint(Analyst([])) as server:
        halo = Halo(tmp_path, HALO_MODEL="mind", HALO_MODEL_URL=server.url, HALO_PRICE="3,15")
        done = halo("demo", "--exit", "--count", "50", "--budget", "0.25")
    assert done.returncode == 0, done.stderr
    said = done.stderr.index(f"Traces go to {server.url}; at most 0.25 USD.")
    assert said < done.stderr.index("mind: 1 turn")
