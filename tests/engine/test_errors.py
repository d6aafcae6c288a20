"""The exceptions of this package, in one process and another."""

from __future__ import annotations

import inspect
import pickle

from halo_engine.errors import HaloError, RateLimited


def test_an_error_of_a_platform_says_the_same_in_another_process() -> None:
    raised = RateLimited("Too many.", platform="phoenix", request="GET /spans", status=429)
    raised.add_note("5 traces were read.")
    there = pickle.loads(pickle.dumps(raised))
    assert type(there) is RateLimited
    assert (str(there), vars(there)) == (str(raised), vars(raised))


def test_every_exception_of_this_package_can_be_raised_by_another_process() -> None:
    given = {"platform": "phoenix", "text": "half", "max_tokens": 5}
    for kind in classes_below(HaloError):
        taken = given.keys() & inspect.signature(kind.__init__).parameters.keys()
        raised = kind("It failed.", **{name: given[name] for name in taken})
        there = pickle.loads(pickle.dumps(raised))
        assert (type(there), str(there), vars(there)) == (kind, str(raised), vars(raised))


def classes_below(kind: type[HaloError]) -> set[type[HaloError]]:
    return {kind}.union(*(classes_below(each) for each in kind.__subclasses__()))
