"""Grid against random, on a search's own results (Bergstra & Bengio 2012, figure 1).

A grid of N trials over d hyper-parameters tries N^(1/d) values of each; random trials try N. Where one of the d
matters, the grid has tried N^(1/d) different things, and where two do, N^(2/d) points of their plane. How good those would
have been is read off the trials that lie nearest to them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ravine.randomness import derive
from ravine.search.comparable import Compared
from ravine.search.more_trials import expected_best
from ravine.search.places import from_optuna
from ravine.search.space import Choice, share_of

__all__ = ["grid_or_random"]

LEAST = 16  # trials: of fewer, a grid over two has no more than three values of each


def grid_or_random(
    trials: Sequence[Compared], important: Sequence[str], sampler: str, *, maximize: bool, seed: int = 0
) -> dict[str, Any]:
    """What a grid of as many trials would have seen of the two most important hyper-parameters.

    trials: of one optimizer, from the same ranges and equally long. important: names, the most important first. Applies
    to random trials, 16 or more, over two ranges or more (`applies`, `why`). Else, with m the levels of the grid, its
    record holds `parameters` [a, b]; `searched`, the number d of ranges; `levels` m; `distinct`, how many values of a
    the grid and the random trials try; `one` and `two`, for when a alone mattered and for when both did, {points, trials, best,
    expected, low, high}: the m or m x m points of the grid, how many trials lie nearest to one, the best of those, and the
    best of as many taken at random, on average and in 90 % of the draws; `all` {trials, best}; `places` [number, place of a,
    place of b, value, is nearest to a point of the plane], places in [0, 1].
    """
    drawn = [t for t in trials if not t.given]
    ranges = _ranges(drawn)
    if sampler not in ("random", "sobol", "halton"):
        return _no(f"the trials were drawn by {sampler}: this compares a grid with random ones")
    if len(ranges) < 2:
        return _no(f"{len(ranges)} ranges were searched; a grid differs from random trials where there are two or more")
    if len(drawn) < LEAST or not any(t.value is not None for t in drawn):
        return _no(f"{len(drawn)} random trials of one optimizer are too few to tell: {LEAST} are needed")
    a, b = [name for name in (*important, *ranges) if name in ranges][:2]
    if a == b:
        b = next(name for name in ranges if name != a)
    levels = max(2, math.floor(len(drawn) ** (1 / len(ranges)) + 1e-9))
    places = np.array([[share_of(ranges[name], t.params[name]) for name in (a, b)] for t in drawn])  # [N, 2]
    near = _nearest(places, levels)
    worths, sign = _finite([t.worth for t in drawn]), 1 if maximize else -1
    draws = np.random.default_rng(derive(seed, "grid-or-random"))
    return {
        "applies": True,
        "parameters": [a, b],
        "searched": len(ranges),
        "levels": levels,
        "distinct": {"grid": levels, "random": len({t.params[a] for t in drawn})},
        "one": _beside(worths, _nearest(places[:, :1], levels), sign, draws) | {"points": levels},
        "two": _beside(worths, near, sign, draws) | {"points": levels**2},
        "all": {"trials": len(drawn), "best": sign * max(worths)},
        "places": [
            [t.number, float(x), float(y), t.value, i in near]
            for i, (t, (x, y)) in enumerate(zip(drawn, places, strict=True))
        ],
    }


def _ranges(trials: Sequence[Compared]) -> dict[str, Any]:
    """Every hyper-parameter of theirs that is a range, not a list."""
    if not trials:
        return {}
    found = {name: from_optuna(d) for name, d in trials[0].distributions.items()}
    return {name: d for name, d in found.items() if d is not None and not isinstance(d, Choice)}


def _nearest(places: np.ndarray[Any, Any], levels: int) -> set[int]:
    """For each point of the grid the index of the trial nearest to it; one trial may be the nearest of several.

    places: [N, k], of k hyper-parameters; the grid has levels^k points, each in the middle of its cell.
    """
    at = (np.arange(levels) + 0.5) / levels
    points = itertools.product(at, repeat=places.shape[1])
    return {int(((places - np.array(point)) ** 2).sum(axis=1).argmin()) for point in points}


def _beside(worths: Sequence[float], near: set[int], sign: int, draws: np.random.Generator) -> dict[str, Any]:
    """The best of the trials `near` a grid, and of as many taken at random."""
    count = len(near)
    by_chance = [float(draws.permutation(worths)[:count].max()) for _ in range(1000)]
    low, high = sorted(sign * float(np.quantile(by_chance, q)) for q in (0.05, 0.95))
    return {
        "trials": count,
        "best": sign * max(worths[i] for i in near),
        "expected": sign * expected_best(worths)[count - 1],
        "low": low,
        "high": high,
    }


def _finite(worths: Sequence[float]) -> list[float]:
    """A trial that diverged counts as the worst that did not."""
    floor = min(w for w in worths if w > -math.inf)
    return [max(w, floor) for w in worths]


def _no(why: str) -> dict[str, Any]:
    return {"applies": False, "why": why}
