"""Step 3 of the recipe for a rehearsal: rates from 1e-6 to 10, each by what it does alone, judged as the recipe judges them.

The optimizer is the training's own, with its groups and settings; only its rate differs. Seeds differ in the order of the
batches and in what the model draws, not in its initial weights, for there is one model.
"""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass

from ravine.errors import SettingError
from ravine.integrations.rehearsal import Rehearsal, begin_again, undisturbed
from ravine.randomness import permutation
from ravine.recipe.lr_range import DECADES, LEAST, LOWEST, LrRange, judge_ranges, read_range
from ravine.recipe.verdict import Verdict

__all__ = ["Suggestion", "find_rates"]

GRIDS = ((3, 3, 100), (3, 2, 100), (2, 2, 100), (2, 2, 60), (1, 2, 60), (1, 2, 30), (1, 1, 30))
"""Rates per decade, seeds, steps: the first that fits into the time is taken."""

PACED = 5
"""Steps by which it is told how long a step takes."""


@dataclass(frozen=True)
class Suggestion:
    """Rates at which the loss drops markedly. lr: the best of them, None where the verdict is `fail`."""

    verdict: Verdict
    found: LrRange

    @property
    def lr(self) -> float | None:
        return None if self.verdict.status == "fail" else self.found.best

    @property
    def low(self) -> float:
        return self.found.low

    @property
    def high(self) -> float:
        return self.found.high

    def __str__(self) -> str:
        return " ".join([self.verdict.summary, *self.verdict.advice])


def find_rates(rehearsal: Rehearsal, *, seconds: float = 60.0, grid: tuple[int, int, int] | None = None) -> Suggestion:
    """Try all rates, for about so many seconds. grid: rates per decade, seeds and steps, by which no clock decides anything.

    Raises SettingError for what cannot be tried, and whatever the loss raises.
    """
    if seconds <= 0:
        raise SettingError(f"seconds is {seconds:g}; it must be positive: write seconds=60.")
    begun = time.monotonic()
    with undisturbed(rehearsal.seed):
        per_decade, seeds, steps = grid or _grid(rehearsal, seconds)
        rates = [LOWEST * 10 ** (i / per_decade) for i in range(DECADES * per_decade + 1)]
        curves: list[list[list[float]]] = []
        for seed in range(seeds):
            if curves and grid is None and time.monotonic() - begun > seconds * len(curves) / (len(curves) + 1):
                break  # another seed would take as long as each before
            curves.append([_curve(rehearsal, rate, seed, steps) for rate in rates])
    found = read_range(rates, curves, steps)
    verdict = judge_ranges({rehearsal.name: found})
    advice = tuple(sentence for sentence in verdict.advice if "--" not in sentence)  # options are the command line's
    return Suggestion(dataclasses.replace(verdict, advice=advice), found)


def _grid(rehearsal: Rehearsal, seconds: float) -> tuple[int, int, int]:
    """What fits into the time. Half the rates are lost early, so that one costs about two thirds."""
    begun = time.monotonic()
    rehearsal.begin(LOWEST).advance(PACED, order=range(len(rehearsal.batches)))
    pace = (time.monotonic() - begun) / PACED
    left = seconds - PACED * pace
    fits = (g for g in GRIDS if (DECADES * g[0] + 1) * g[1] * g[2] * pace * 0.67 <= left)
    return next(fits, (1, 1, LEAST))


def _curve(rehearsal: Rehearsal, rate: float, seed: int, steps: int) -> list[float]:
    """The losses of one rate, from the same beginning and on the same batches as those of all others of its seed."""
    order = [int(i) for i in permutation(len(rehearsal.batches), rehearsal.seed, "rates", seed)]
    begin_again(rehearsal.seed, seed)
    attempt = rehearsal.begin(rate)
    attempt.advance(steps, order=order)
    losses = attempt.losses
    whole = len(losses) == steps and all(map(math.isfinite, losses))
    return losses if whole else losses[: steps - 1]
