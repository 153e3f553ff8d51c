"""What is searched: a range or a list of choices for each hyper-parameter.

Rates and decays are sampled on a log scale (alpha ~ U(a, b), lr = 10^alpha), as the lecture asks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ravine.errors import SettingError
from ravine.limits import CHOICES, WHOLE

__all__ = ["Choice", "Distribution", "Int", "Log", "Space", "Uniform", "around", "edge_of", "share_of"]


@dataclass(frozen=True)
class Log:
    """Uniform in the logarithm between low and high, 0 < low < high."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < math.inf:
            raise SettingError(
                f"Log({self.low}, {self.high}) is no range; it needs 0 < low < high: write Log(1e-5, 1e-1)."
            )


@dataclass(frozen=True)
class Uniform:
    """Uniform between low and high, low < high."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf:
            raise SettingError(
                f"Uniform({self.low}, {self.high}) is no range; it needs low < high: write Uniform(0, 0.5)."
            )


@dataclass(frozen=True)
class Int:
    """A whole number from low to high, both included, low < high; log: uniform in the logarithm, from 1 up."""

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        whole = all(isinstance(end, int) and not isinstance(end, bool) for end in (self.low, self.high))
        if whole and max(abs(self.low), abs(self.high)) > WHOLE:
            raise SettingError(f"Int holds a number beyond 2**53, {WHOLE:,}: write a smaller one.")
        if not whole or not self.low < self.high or (self.log and self.low < 1):
            raise SettingError(
                f"Int({self.low}, {self.high}{', log=True' * self.log}) is no range; it needs two whole numbers, "
                f"{'1 <= ' * self.log}low < high: write Int(32, 512, log=True)."
            )


@dataclass(frozen=True)
class Choice:
    """One of a list, each as likely."""

    options: tuple[str | float, ...]

    def __init__(self, options: Sequence[str | float]) -> None:
        object.__setattr__(self, "options", tuple(options))
        if not self.options:
            raise SettingError("Choice([]) is empty; name at least one option: write Choice(['adamw']).")
        if len(self.options) > CHOICES:
            raise SettingError(f"Choice has {len(self.options):,} options; {CHOICES:,} are the most: write a range.")


Distribution = Log | Uniform | Int | Choice
"""Where one hyper-parameter is drawn from."""

Space = Mapping[str, Distribution]
"""Distributions by the names of their hyper-parameters."""


def around(d: Distribution, values: Sequence[float], margin: float) -> Distribution:
    """The region that holds `values`, widened on both sides, never beyond what is possible.

    Log: by the factor `margin`. Uniform: by margin / 10 of its width, inside the old range. Int: likewise, by the
    factor where it is logarithmic, and inside the old range, for sizes cost time. Choice: the options among the values.
    """
    if isinstance(d, Choice):
        return Choice([option for option in d.options if option in values])
    low, high = min(values), max(values)
    if isinstance(d, Log):
        return Log(low / margin, high * margin)
    spare = (d.high - d.low) * margin / 10
    if isinstance(d, Int):
        below, above = (low / margin, high * margin) if d.log else (low - max(1, spare), high + max(1, spare))
        return Int(max(d.low, math.floor(below)), min(d.high, math.ceil(above)), d.log)
    return Uniform(max(d.low, low - spare), min(d.high, high + spare))


def share_of(d: Log | Uniform | Int, value: float) -> float:
    """How far along its range a value lies: 0 at the lower end, 1 at the upper, on the range's own scale.

    >>> share_of(Uniform(0, 2), 1.5), share_of(Int(0, 4), 1)
    (0.75, 0.25)
    """
    logarithmic = isinstance(d, Log) or (isinstance(d, Int) and d.log)
    low, high, at = (math.log(v) for v in (d.low, d.high, value)) if logarithmic else (d.low, d.high, value)
    return (at - low) / (high - low)


def edge_of(d: Distribution, value: float, share: float = 0.08) -> str | None:
    """'lower' or 'upper' when value lies within `share` of an end of the range, else None.

    0 is no edge: what begins there (dropout, the strength of a regularizer) goes on nowhere.
    """
    if isinstance(d, Choice):
        return None
    position = share_of(d, value)
    if position < share:
        return "lower" if d.low != 0 else None
    return "upper" if position > 1 - share else None
