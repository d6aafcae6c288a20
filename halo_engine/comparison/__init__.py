"""Comparison of runs with each other: what each was asked, did and said, beside its peers.

A single trace seldom shows that something is wrong. Its peers do: runs of the same task that ended
otherwise, that changed something else, that another agent or model made. This package makes one pass
over the traces of a store, groups runs of the same task (``grouping``), divides the corpus by what is
recorded (``segments``), and tells where a run departs from its peers (``departures``). All of it is
kept as tables beside the store (``tables``), for SQL.
"""

from halo_engine.comparison.corpus import ComparedCorpus, compare_corpus

__all__ = ["ComparedCorpus", "compare_corpus"]
