"""Structures for a batch of trials: few enough that every stack is full.

Trials that differ in structure (the optimizer, a width, a depth) cannot be stacked. Were each trial's structure
drawn for itself, nearly every one would train alone; so a batch takes few structures and shares them among its trials.
"""

from __future__ import annotations

import math
from typing import Any

from ravine.randomness import derive, permutation
from ravine.search.places import count_of, placed, to_optuna
from ravine.search.space import Space

__all__ = ["structures"]


def structures(space: Space, count: int, per_group: int, seed: int) -> list[dict[str, Any]]:
    """A structure for each of `count` trials, dealt in turn: as many distinct ones as leave each `per_group` trials or more.

    The distinct ones are spread: with G of them, each range and each list is cut into G equal parts and every part
    comes up once (a Latin hypercube, McKay et al. 1979). One structure at least; the same for the same seed.

    >>> from ravine.search import Choice, Int
    >>> found = structures({"hidden": Int(32, 512, log=True), "depth": Choice([1, 2])}, count=10, per_group=4, seed=0)
    >>> len(found), found[0] == found[2] == found[4], found[0] == found[1]
    (10, True, False)
    """
    if not space or count < 1:
        return [{} for _ in range(count)]
    possible = math.prod(count_of(to_optuna(d)) for d in space.values())
    wanted = int(min(max(1, count // max(per_group, 1)), possible))
    found: list[dict[str, Any]] = []
    for attempt in range(1000):  # a later round fills up where rounding made two alike
        found += [one for one in _spread(space, wanted, seed, attempt) if one not in found]
        if len(found) >= wanted:
            break
    return [found[i % min(wanted, len(found))] for i in range(count)]


def _spread(space: Space, wanted: int, seed: int, attempt: int) -> list[dict[str, Any]]:
    columns = {
        name: [
            placed(to_optuna(d), (int(part) + derive(seed, "place", attempt, name, i) / 2**63) / wanted)
            for i, part in enumerate(permutation(wanted, seed, "structures", attempt, name))
        ]
        for name, d in space.items()
    }
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return [row for i, row in enumerate(rows) if row not in rows[:i]]
