"""Which hyper-parameters can be searched, over what when only a name is given, and which of them go together.

Two kinds of name: those of a `Setting`, and those of the model's own factory (hidden, width, depth, ...), which are
structural: trials that differ in one cannot be stacked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ravine.errors import SettingError, nearest
from ravine.search.space import Choice, Distribution, Int, Log, Space, Uniform
from ravine.training import Setting
from ravine.training.setting import OF_RULE, has_field

__all__ = ["KNOWN", "SEARCHED", "applying", "capped", "check_names", "samples"]


KNOWN: Mapping[str, Distribution] = {
    "momentum": Uniform(0.8, 0.99),
    "beta1": Uniform(0.8, 0.98),
    "beta2": Uniform(0.9, 0.9995),
    "init_scale": Log(0.5, 2.0),
    "warmup": Uniform(0.0, 0.2),
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

SEARCHED = ("optimizer", "lr", "weight_decay", "schedule", "cycles", "crop", *KNOWN)
"""The hyper-parameters of a `Setting` that can be searched."""

HIGHEST = {"label_smoothing": 0.99, "rotate": 180.0}
"""Where a range must end that would otherwise be widened beyond what is possible."""

RESTARTING = "warm_restarts"  # the one schedule that has cycles


def capped(name: str, d: Distribution) -> Distribution:
    """A log range, cut where its hyper-parameter ends."""
    return Log(d.low, min(d.high, HIGHEST.get(name, math.inf))) if isinstance(d, Log) else d


def applying(space: Space, chosen: Mapping[str, Any]) -> dict[str, Distribution]:
    """The part of a space that means something beside what is `chosen`: momentum where the optimizer has one, cycles
    where the schedule restarts.

    >>> applying({"momentum": Uniform(0.8, 0.99), "beta1": Uniform(0.8, 0.99)}, {"optimizer": "sgd"})
    {'momentum': Uniform(low=0.8, high=0.99)}
    """
    return {name: d for name, d in space.items() if _applies(name, chosen)}


def _applies(name: str, chosen: Mapping[str, Any]) -> bool:
    if name in OF_RULE and "optimizer" in chosen:
        return has_field(str(chosen["optimizer"]), name)
    return name != "cycles" or chosen.get("schedule") == RESTARTING


def samples(space: Space) -> list[Setting]:
    """Settings from both ends of every range and with every option: what may come up. SettingError where one may not.

    Names that are no setting are the model's, and only the model can tell.
    """
    found = []
    for name, d in space.items():
        if name in SEARCHED:
            beside = {} if name == "optimizer" else {"optimizer": OF_RULE.get(name, "sgd")}
            beside |= {"schedule": RESTARTING} if name == "cycles" else {}
            found += [Setting(**{**beside, name: value}) for value in _extremes(d)]
    return found


def _extremes(d: Distribution) -> Sequence[Any]:
    """Every option, or both ends of a range: of real numbers just short of the upper one, which is never drawn."""
    if isinstance(d, Choice):
        return d.options
    return (d.low, d.high if isinstance(d, Int) else d.low + 0.999 * (d.high - d.low))


def check_names(space: Space, structural: Sequence[str] = ()) -> None:
    """Raise SettingError for a name that cannot be searched, a value that is no distribution or impossible.

    structural: the names that the model's factory takes.
    """
    for name, d in space.items():
        if name not in SEARCHED and name not in structural:
            raise cannot_search(name, structural)
        if not isinstance(d, Distribution):
            raise SettingError(
                f"space[{name!r}] is {d!r}; write Log(low, high), Uniform(low, high), Int(low, high) or Choice([...])."
            )
        if name in ("optimizer", "schedule") and not isinstance(d, Choice):
            example = "['adamw', 'sgd']" if name == "optimizer" else "['cosine', 'linear']"
            raise SettingError(f"space[{name!r}] is {d!r}; write Choice({example}).")
    if "cycles" in space and RESTARTING not in getattr(space.get("schedule"), "options", ()):
        raise SettingError(f"cycles are those of {RESTARTING}; search the schedule too: schedule={RESTARTING},cosine")
    samples(space)


def cannot_search(name: str, structural: Sequence[str]) -> SettingError:
    return SettingError(f"{name!r} cannot be searched; {nearest(name, (*SEARCHED, *structural))}")
