"""How many trials, and how long each, fit into the time and the memory there is.

Letters: K trials.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Plan", "coarse_plan", "fit_trials", "refine_plan", "waves"]


@dataclass(frozen=True)
class Plan:
    """K trials, and the steps at which the worse half is dropped; the last rung is the whole training."""

    trials: int
    rungs: tuple[int, ...]


def fit_trials(bytes_each: int, *, memory: int) -> int:
    """How many trials of so many bytes fit into `memory` bytes at once, at least 1."""
    return max(1, memory // max(bytes_each, 1))


def waves(sizes: Sequence[int], memory: int) -> list[range]:
    """Trials of `sizes` bytes each as few waves of neighbours, by position, that fit into `memory` bytes one after another.

    Waves are as even as their number allows, for a trial is compared with those of its own wave. One that does not fit
    alone has a wave to itself.

    >>> waves([1, 1, 1, 1, 1], memory=3), waves([9, 1], memory=3), waves([1, 1], memory=3)
    ([range(0, 2), range(2, 5)], [range(0, 1), range(1, 2)], [range(0, 2)])
    """
    count = len(sizes)
    for number in range(1, count + 1):
        ends = [count * i // number for i in range(number + 1)]
        found = [range(start, end) for start, end in pairwise(ends)]
        if all(len(wave) == 1 or sum(sizes[i] for i in wave) <= memory for wave in found):
            return found
    return []


def coarse_plan(seconds: float, pace: float, steps_per_epoch: int, most: int) -> Plan:
    """Many trials, three rungs at 1 : 2 : 4, the last between one and five epochs (200 steps at least).

    seconds: the time there is. pace: seconds per trial and step. most: trials that fit into memory.
    With halving K trials to 4r steps cost 2 K r trial-steps. When time is short the rungs shrink first (to
    50 steps), then the number of trials (to four).
    """
    affordable = seconds / pace / 2  # K * r
    longest = max(50, math.ceil(1.25 * steps_per_epoch))
    shortest = min(longest, max(50, steps_per_epoch // 4))
    trials = int(min(most, 64, max(8, affordable / longest)))
    if trials * shortest > affordable:
        trials = int(max(min(4, most), affordable / shortest))
    first = int(min(longest, max(10, seconds / pace / _cost(trials, (1, 1, 2), least=1))))
    return Plan(trials, (first, 2 * first, 4 * first))


def refine_plan(seconds: float, pace: float, steps_per_epoch: int, most: int) -> Plan:
    """Few trials, long: 10 to 20 epochs (1,000 to 4,000 steps where epochs are short), in whole epochs.

    The worse half is dropped after a third and again after two thirds, but five are trained to the end where
    there are so many: they make the ensemble. Costs about 0.6 K trial-steps per step of the whole. Where time is
    short, one trial of five epochs (or 500 steps) is better than five of one.
    """
    shortest = max(10 * steps_per_epoch, 1000)
    longest = max(20 * steps_per_epoch, 4000)
    affordable = seconds / pace
    trials = max(1, min(most, 16, int(affordable / (0.6 * shortest))))
    if trials < 5:
        trials = max(1, min(most, 5, int(affordable / (0.5 * shortest))))
    steps = min(longest, affordable / _cost(trials, (1 / 3, 1 / 3, 1 / 3), least=5))
    whole = max(1, int(steps / steps_per_epoch)) * steps_per_epoch
    return Plan(trials, (max(1, whole // 3), max(1, 2 * whole // 3), whole))


def _cost(trials: int, stretches: Sequence[float], *, least: int) -> float:
    """Trial-steps of a climb: after each stretch the better half, rounded up and at least `least`, goes on."""
    total, alive = 0.0, trials
    for stretch in stretches:
        total += alive * stretch
        alive = min(alive, max(least, math.ceil(alive / 2)))
    return total
