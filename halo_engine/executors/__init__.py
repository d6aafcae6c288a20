"""Executors: a function applied to many items, in this process or in others, results in order.

What another process gets and gives back is pickled. One that dies, killed for its memory for
example, takes its items with it: that is told, and each of them is tried once more, alone.
"""

from __future__ import annotations

from halo_engine.executors.base import Executor
from halo_engine.executors.in_process import InProcess
from halo_engine.executors.processes import Processes

__all__ = ["IN_PROCESS", "Executor", "InProcess", "Processes"]

IN_PROCESS = InProcess()
