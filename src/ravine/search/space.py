"""What is searched: a range or a list of choices for each hyper-parameter.

Rates and decays are sampled on a log scale (alpha ~ U(a, b), lr = 10^alpha), as the lecture asks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ravine.errors import SettingError, nearest
from ravine.training import Setting

__all__ = [
    "KNOWN",
    "SEARCHED",
    "Choice",
    "Distribution",
    "Log",
    "Space",
    "Uniform",
    "around",
    "capped",
    "check_names",
    "edge_of",
    "parse_space",
    "samples",
]


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


KNOWN: Mapping[str, Distribution] = {
    "momentum": Uniform(0.8, 0.99),
    "dropout": Uniform(0.0, 0.5),
    "stochastic_depth": Uniform(0.0, 0.5),
    "l1": Log(1e-7, 1e-3),
    "l2": Log(1e-6, 1e-2),
    "max_norm": Log(0.5, 8.0),
    "label_smoothing": Log(0.01, 0.3),
    "mixup": Log(0.05, 2.0),
    "cutmix": Log(0.05, 2.0),
    "cutout": Uniform(0.1, 0.6),
    "flip": Uniform(0.0, 0.5),
    "flip_vertical": Uniform(0.0, 0.5),
    "translate": Uniform(0.0, 0.2),
    "rotate": Log(2.0, 30.0),
    "brightness": Uniform(0.0, 0.6),
    "contrast": Uniform(0.0, 0.6),
    "policy": Uniform(0.1, 1.0),
}
"""What is searched when only a name is given. Strengths that matter by their order of magnitude are on a log scale."""

SEARCHED = ("optimizer", "lr", "weight_decay", "crop", *KNOWN)
"""The hyper-parameters of a `Setting` that can be searched."""


HIGHEST = {"label_smoothing": 0.99, "rotate": 180.0}
"""Where a range must end that would otherwise be widened beyond what is possible."""


def capped(name: str, d: Distribution) -> Distribution:
    """A log range, cut where its hyper-parameter ends."""
    return Log(d.low, min(d.high, HIGHEST.get(name, math.inf))) if isinstance(d, Log) else d


def samples(space: Space) -> list[Setting]:
    """Settings from both ends of every range and with every option: what may come up. SettingError where one may not."""
    found = []
    for name, d in space.items():
        values = d.options if isinstance(d, Choice) else (d.low, d.low + 0.999 * (d.high - d.low))
        for value in values:
            optimizer = {} if name == "optimizer" else {"optimizer": "sgd"}
            found.append(Setting(**{**optimizer, name: value}))  # type: ignore[arg-type]
    return found


def check_names(space: Space) -> None:
    """Raise SettingError for a name that cannot be searched, a value that is no distribution or impossible."""
    for name, d in space.items():
        if name not in SEARCHED:
            raise SettingError(f"{name!r} cannot be searched; {nearest(name, SEARCHED)}")
        if not isinstance(d, Log | Uniform | Choice):
            raise SettingError(f"space[{name!r}] is {d!r}; write Log(low, high), Uniform(low, high) or Choice([...]).")
        if name == "optimizer" and not isinstance(d, Choice):
            raise SettingError(f"space['optimizer'] is {d!r}; write Choice(['adamw', 'sgd']).")
    samples(space)


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


def parse_space(words: Sequence[str]) -> dict[str, Distribution]:
    """Distributions from words: NAME alone for the one we know, NAME=log(a,b), NAME=uniform(a,b) or NAME=a,b,c.

    Raises SettingError for a word that cannot be read.

    >>> parse_space(["lr=log(1e-4,1)", "optimizer=sgd,adamw", "mixup"])
    {'lr': Log(low=0.0001, high=1.0), 'optimizer': Choice(options=('sgd', 'adamw')), 'mixup': Log(low=0.05, high=2.0)}
    """
    found: dict[str, Distribution] = {}
    for word in words:
        name, equals, text = word.partition("=")
        found[name] = _parse_distribution(word, text) if equals else _known(name)
    check_names(found)
    return found


def _known(name: str) -> Distribution:
    if name in KNOWN:
        return KNOWN[name]
    if name in SEARCHED:
        raise SettingError(f"what to search of {name} must be said: write '{name}=log(1e-4,1)' or '{name}=a,b'.")
    raise SettingError(f"{name!r} cannot be searched; {nearest(name, SEARCHED)}")


def _parse_distribution(word: str, text: str) -> Distribution:
    call = re.fullmatch(r"(log|uniform)\(([^,()]+),([^,()]+)\)", text.replace(" ", ""))
    try:
        if call:
            kind = Log if call[1] == "log" else Uniform
            return kind(float(call[2]), float(call[3]))
        if text and not set(text) & set("()"):
            return Choice([_option(part.strip()) for part in text.split(",") if part.strip()])
    except ValueError as error:
        if isinstance(error, SettingError):
            raise
    raise SettingError(f"--space {word!r} cannot be read; write NAME=log(1e-4,1), NAME=uniform(0,0.5) or NAME=a,b,c.")


def _option(text: str) -> str | float:
    """A whole number, a number, or a word."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
