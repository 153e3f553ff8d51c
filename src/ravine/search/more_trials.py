"""Would more trials help? The best of n trials, to be expected from those that were made.

Letters: N trials made, n trials of an imagined search.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ravine.randomness import derive
from ravine.search.comparable import Compared

__all__ = ["expected_best", "more_trials"]

LEAST = 8
"""Trials: below, the last doubling is one from three or fewer."""


def expected_best(worths: Sequence[float]) -> list[float]:
    """The expected best of n = 1 ... N trials drawn from these without putting back, larger is better.

    The curve of Dodge et al. 2019 ("Show Your Work"), with the estimator of Tang et al. 2020, which is unbiased where
    theirs (drawing with putting back) lies too low: sum of v_(i) C(i-1, n-1) / C(N, n) over the values in rising order.

    >>> expected_best([0.0, 1.0])
    [0.5, 1.0]
    """
    values = sorted(worths)
    return [_best_of(values, n) for n in range(1, len(values) + 1)]


def _best_of(rising: Sequence[float], n: int) -> float:
    ways = math.comb(len(rising), n)
    return sum(rising[i] * (math.comb(i, n - 1) / ways) for i in range(n - 1, len(rising)))


def more_trials(trials: Sequence[Compared], sampler: str, *, maximize: bool, seed: int = 0) -> dict[str, Any]:
    """The expected best value for each number of trials, and what doubling the number brings.

    trials: of one phase, equally long. It holds for values drawn at random and for them alone: where they were not, or
    are fewer than 8, `applies` is False and `why` says so. Else: `curve` [n, expected best value] for n = 1 ... N;
    `slope`, what one more trial than N - 1 brought; `doubling`, what N trials brought over N / 2, in the mean; `low` and `high`,
    its 90 % interval over resampled trials; `before`, what N / 2 brought over N / 4. Gains are never negative: of accuracy
    upwards, of rmse downwards. Where doublings bring less and less, the next is to bring no more than `doubling`.

    In 60 simulated searches each of 16 and of 64 trials the interval held the true gain in 93 to 98 % where results
    crowd below a ceiling (uniform, beta(5, 1)) and in 67 to 78 % where the good ones are rare (normal, beta(1, 5)).
    """
    drawn = [t for t in trials if not t.given]
    if sampler != "random":
        return _no(f"the trials were drawn by {sampler}, each with an eye to the others: this holds for random ones")
    if len(drawn) < LEAST:
        return _no(f"{len(drawn)} random trials of equal length are too few to tell: {LEAST} are needed")
    floor = min((t.worth for t in drawn if t.value is not None), default=None)
    if floor is None:
        return _no("no trial kept a finite loss")
    worths = [max(t.worth, floor) for t in drawn]  # a trial that diverged counts as the worst that did not
    curve = expected_best(worths)
    rng = np.random.default_rng(derive(seed, "more-trials"))
    again = [_doubling(sorted(rng.choice(worths, len(worths)).tolist())) for _ in range(200)]
    count, sign = len(worths), 1 if maximize else -1
    return {
        "applies": True,
        "trials": count,
        "curve": [[n, sign * value] for n, value in enumerate(curve, 1)],
        "slope": curve[-1] - curve[-2],
        "doubling": _doubling(sorted(worths)),
        "low": float(np.quantile(again, 0.05)),
        "high": float(np.quantile(again, 0.95)),
        "before": curve[count // 2 - 1] - curve[count // 4 - 1],
    }


def _doubling(rising: Sequence[float]) -> float:
    return rising[-1] - _best_of(rising, len(rising) // 2)


def _no(why: str) -> dict[str, Any]:
    return {"applies": False, "why": why}
