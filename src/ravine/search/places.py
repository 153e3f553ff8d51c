"""Between our distributions, Optuna's, and places in the unit interval.

A place u in [0, 1) stands for the value that has the share u of its distribution's weight below it, so evenly
spread places are evenly spread values: in the logarithm where the distribution is logarithmic.
"""

from __future__ import annotations

import math
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from ravine.search.space import Choice, Distribution, Int, Log, Uniform

__all__ = ["count_of", "from_optuna", "placed", "to_optuna"]


def to_optuna(d: Distribution) -> BaseDistribution:
    """The same distribution in Optuna's words."""
    if isinstance(d, Choice):
        return CategoricalDistribution(d.options)
    if isinstance(d, Int):
        return IntDistribution(d.low, d.high, log=d.log)
    return FloatDistribution(d.low, d.high, log=isinstance(d, Log))


def from_optuna(d: BaseDistribution) -> Distribution | None:
    """And back; None for a single value, which we do not call a distribution."""
    if isinstance(d, CategoricalDistribution):
        return Choice(d.choices)  # type: ignore[arg-type]
    if d.single():
        return None
    if isinstance(d, IntDistribution):
        return Int(d.low, d.high, d.log)
    assert isinstance(d, FloatDistribution)
    return Log(d.low, d.high) if d.log else Uniform(d.low, d.high)


def count_of(d: BaseDistribution) -> float:
    """How many values it has; inf for a range of real numbers."""
    if isinstance(d, CategoricalDistribution):
        return len(d.choices)
    assert isinstance(d, FloatDistribution | IntDistribution)
    return 1 if d.single() else math.inf if d.step is None else math.floor((d.high - d.low) / d.step + 1e-9) + 1


def placed(d: BaseDistribution, place: float) -> Any:
    """The value at a place in [0, 1).

    >>> placed(to_optuna(Uniform(0, 8)), 0.25), placed(to_optuna(Int(0, 9)), 0.25), placed(to_optuna(Choice(["a", "b"])), 0.9)
    (2.0, 2, 'b')
    """
    if isinstance(d, CategoricalDistribution):
        return d.choices[int(place * len(d.choices))]
    assert isinstance(d, FloatDistribution | IntDistribution)
    if isinstance(d, IntDistribution) and d.log:  # each whole number has the weight of the half on both sides of it
        value = round(_between(math.log(d.low - 0.5), math.log(d.high + 0.5), place, exp=True))
        return min(max(value, d.low), d.high)
    if d.step is not None:
        return min(d.low + d.step * int(place * count_of(d)), d.high)
    low, high = (math.log(d.low), math.log(d.high)) if d.log else (d.low, d.high)
    return min(max(_between(low, high, place, exp=d.log), d.low), d.high)


def _between(low: float, high: float, place: float, *, exp: bool) -> float:
    at = low + place * (high - low)
    return math.exp(at) if exp else at
