"""The mutants of a module: small changes of its code that a test should notice.

The changes are those of cosmic-ray. Left out is what changes no behaviour by construction: type
annotations, which nothing evaluates, stars and slashes that are no operators, and comparisons by
identity in place of equality, which for the values of this code are the same.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import MutationVisitor
from cosmic_ray.plugins import get_operator, operator_names

from benchmarks.mutation.declared import Mutant, Target, targets

SAME_BY_VALUE = ("Eq_Is", "NotEq_IsNot", "Is_Eq", "IsNot_NotEq")
ANNOTATIONS = ("annassign", "tfpdef", "param")
# Where a star or a slash says how parameters, arguments or items are taken.
UNPACKING = ("parameters", "param", "lambdef", "arglist", "argument", "star_expr", "trailer")


def sampled_mutants(root: Path, count: int, seed: int) -> list[Mutant]:
    """One mutant each at ``count`` places, every place equally likely; the same for the same seed."""
    rng = random.Random(seed)
    everything = [
        (target, module, changes)
        for target in targets()
        for module in target.modules
        for changes in places((root / module).read_text(encoding="utf-8"))
    ]
    chosen = rng.sample(everything, min(count, len(everything)))
    return [
        mutant_at(root, target, module, rng.choice(changes)) for target, module, changes in chosen
    ]


@dataclass(frozen=True)
class Change:
    """One possible change of a module: the ``occurrence``-th of an operator."""

    operator: str
    occurrence: int
    line: int


def places(code: str) -> list[list[Change]]:
    """The places of ``code`` that can be changed, each with its possible changes.

    An operator such as ``+`` is one place, whatever the number of other operators to put there.
    """
    nodes = list(ast_nodes(get_ast(code)))
    found: dict[tuple[str, tuple[int, int]], list[Change]] = defaultdict(list)
    for name in operator_names():
        operator_class = get_operator(name)
        if operator_class.arguments() or name.endswith(SAME_BY_VALUE):
            continue
        operator = operator_class()
        positions = (
            (node, start) for node in nodes for start, _ in operator.mutation_positions(node)
        )
        for occurrence, (node, start) in enumerate(positions):
            if not is_unpacking(node) and not in_annotation(node):
                kind = name.partition("_")[0]
                found[kind, start].append(Change(name, occurrence, start[0]))
    return list(found.values())


def is_unpacking(node: Any) -> bool:
    """Whether a node of the syntax tree is a star or a slash that computes nothing."""
    return node.type == "operator" and node.parent.type in UNPACKING


def in_annotation(node: Any) -> bool:
    """Whether a node of the syntax tree belongs to a type annotation."""
    while node.parent is not None:
        parent = node.parent
        if parent.type in ANNOTATIONS and follows_colon(node, parent):
            return True
        if parent.type == "funcdef" and parent.annotation is node:
            return True
        node = parent
    return False


def follows_colon(node: Any, parent: Any) -> bool:
    """Whether ``node`` is the annotation in ``name: annotation = value``."""
    if parent.type == "param":
        return parent.annotation is node
    return parent.children.index(node) == (1 if parent.type == "annassign" else 2)


def mutant_at(root: Path, target: Target, module: str, change: Change) -> Mutant:
    """The mutant that ``change`` makes of ``module``."""
    code = (root / module).read_text(encoding="utf-8")
    operator = get_operator(change.operator)()
    changed = MutationVisitor.mutate_code(code, operator, change.occurrence)
    return Mutant(target, module, change.operator.partition("/")[2], change.line, changed)
