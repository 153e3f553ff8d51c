"""What is searched: a range or a list of choices for each hyper-parameter.

Rates and decays are sampled on a log scale (alpha ~ U(a, b), lr = 10^alpha), as the lecture asks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ravine.errors import SettingError, nearest
from ravine.rules import RULES

__all__ = ["SEARCHED", "Choice", "Distribution", "Log", "Space", "Uniform", "around", "check_names", "edge_of"]

SEARCHED = ("optimizer", "lr", "weight_decay", "momentum", "dropout")
"""The hyper-parameters of a `Setting` that can be searched."""


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
class Choice:
    """One of a list, each as likely."""

    options: tuple[str | float, ...]

    def __init__(self, options: Sequence[str | float]) -> None:
        object.__setattr__(self, "options", tuple(options))
        if not self.options:
            raise SettingError("Choice([]) is empty; name at least one option: write Choice(['adamw']).")


Distribution = Log | Uniform | Choice
Space = Mapping[str, Distribution]


def check_names(space: Space) -> None:
    """Raise SettingError for a name that cannot be searched, a value that is no distribution, an unknown optimizer."""
    for name, d in space.items():
        if name not in SEARCHED:
            raise SettingError(f"{name!r} cannot be searched; {nearest(name, SEARCHED)}")
        if not isinstance(d, Log | Uniform | Choice):
            raise SettingError(f"space[{name!r}] is {d!r}; write Log(low, high), Uniform(low, high) or Choice([...]).")
        if name != "optimizer":
            continue
        if not isinstance(d, Choice):
            raise SettingError(f"space['optimizer'] is {d!r}; write Choice(['adamw', 'sgd']).")
        for option in d.options:
            if option not in RULES:
                raise SettingError(f"optimizer {option!r} is not known; {nearest(str(option), RULES)}")


def around(d: Distribution, values: Sequence[float], margin: float) -> Distribution:
    """The region that holds `values`, widened on both sides, never beyond what is possible.

    Log: by the factor `margin`. Uniform: by margin / 10 of its width, inside the old range. Choice: the
    options among the values.
    """
    if isinstance(d, Choice):
        return Choice([option for option in d.options if option in values])
    if isinstance(d, Log):
        return Log(min(values) / margin, max(values) * margin)
    spare = (d.high - d.low) * margin / 10
    return Uniform(max(d.low, min(values) - spare), min(d.high, max(values) + spare))


def edge_of(d: Distribution, value: float, share: float = 0.08) -> str | None:
    """'lower' or 'upper' when value lies within `share` of an end of the range, else None."""
    if isinstance(d, Choice):
        return None
    low, high, at = (math.log(v) for v in (d.low, d.high, value)) if isinstance(d, Log) else (d.low, d.high, value)
    position = (at - low) / (high - low)
    return "lower" if position < share else "upper" if position > 1 - share else None
