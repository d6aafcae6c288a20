"""The exceptions of this package, in one process and another."""

from __future__ import annotations

import pickle

from halo_engine.errors import RateLimited


def test_an_error_of_a_platform_says_the_same_in_another_process() -> None:
    raised = RateLimited("Too many.", platform="phoenix", request="GET /spans", status=429)
    raised.add_note("5 traces were read.")
    there = pickle.loads(pickle.dumps(raised))
    assert type(there) is RateLimited
    assert (str(there), vars(there)) == (str(raised), vars(raised))
