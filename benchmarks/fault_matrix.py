"""Every fault at every stage of the product: the section ``faults`` of ``reliability.py``."""

from __future__ import annotations

import multiprocessing
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor

from fault_benches import experiments_on
from faults import FAULTS, STAGES, Faced, Outcome, all_cases
from prepared import close_forker

# (bench, stage)
Lane = tuple[str, str]
LANES: tuple[Lane, ...] = tuple((bench, stage) for bench in STAGES for stage in STAGES[bench])


def matrix(at_once: int) -> list[Faced]:
    """Every case; ``at_once`` stages at a time, each in a process and with servers of its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(at_once, context, max_tasks_per_child=1) as pool:
        return [faced for lane in pool.map(faced_in, LANES) for faced in lane]


def faced_in(lane: Lane) -> list[Faced]:
    """The cases of one stage, one after the other; each is printed with what went wrong."""
    bench, stage = lane
    found: list[Faced] = []
    with experiments_on(bench) as experiments:
        for case in all_cases(bench, stage):
            faced = experiments.face(case)
            print(f"faults: {case}: {faced.outcome}", *faced.problems, flush=True)
            found.append(faced)
    close_forker()
    return found


def fault_table(results: Iterable[Faced]) -> str:
    """How many cases of each fault ended how, stage by stage."""
    cells: Mapping[tuple[str, Lane], Counter[Outcome]] = defaultdict(Counter)
    problems = 0
    for faced in results:
        case = faced.case
        cells[case.fault, (case.bench, case.stage)][faced.outcome] += 1
        problems += bool(faced.problems)
    total = sum(count.total() for count in cells.values())
    stages = " | ".join(f"{stage}, {bench}" for bench, stage in LANES)
    rows = [f"| fault | {stages} |", "|---" * (len(LANES) + 1) + "|"]
    for fault in FAULTS:
        shown = " | ".join(cell(cells[fault, lane]) for lane in LANES)
        rows.append(f"| {fault} | {shown} |")
    return "\n".join([*rows, "", f"{total:,} commands met a fault; {problems} with a problem."])


def cell(counts: Counter[Outcome]) -> str:
    """The outcomes of a fault at a stage: complete / partial / refused."""
    return " / ".join(str(counts[o]) for o in (Outcome.COMPLETE, Outcome.PARTIAL, Outcome.REFUSED))


def case_problems(results: Iterable[Faced]) -> list[str]:
    """Each problem with the case that showed it."""
    return [f"{faced.case}: {problem}" for faced in results for problem in faced.problems]
