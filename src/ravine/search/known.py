"""Settings that are known to do well, tried before any is drawn.

A short ordered list beats a default and is cheaper than a search (Metz et al. 2020; Medapati et al. 2025, arXiv 2503.03986,
for NAdamW with five trials). The points below are ours, not those papers': rates are counted from what step 3 measured
on this model, for none fits all; decays of about 0.1 and little dropout are where AlgoPerf's five points for NAdamW lie
(prize_qualification_baselines/external_tuning: weight decay 0.08 to 0.16, dropout 0 or 0.1), 0.01 is the usual default of AdamW, and
5e-4 with momentum 0.9 is what residual networks are trained with by SGD.

Measured at the first rung of coarse searches (MLP 64-64; digits and a made table of 4,000 rows, four seeds each, n = 8): of 14
to 18 random trials of the same optimizer 1, 31, 21, 37 and 74 % in the mean did better than the five points of AdamW, and
17 % better than that of SGD; one of the six won 4 of the 8 searches of 38 trials.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ravine.search.space import Choice, Distribution, Log, Space, Uniform

__all__ = ["known_settings"]

TYPICAL = {"adamw": 3e-3, "sgd": 0.1}
"""The largest good rate where none was measured: the usual ones of the field."""

WIDENED = 3.0
"""The upper end of the rates' range is the largest good rate of step 3 times this."""

_POINTS: Mapping[str, tuple[dict[str, float], ...]] = {
    # lr is a factor of the largest good rate
    "adamw": (
        {"lr": 1.0, "weight_decay": 0.1, "dropout": 0.0},
        {"lr": 0.3, "weight_decay": 0.01, "dropout": 0.0},
        {"lr": 1.0, "weight_decay": 0.01, "dropout": 0.3},
        {"lr": 0.3, "weight_decay": 0.1, "dropout": 0.1},
        {"lr": 0.1, "weight_decay": 0.1, "dropout": 0.1},  # slow at first: for where the largest good rate is too bold
    ),
    "sgd": ({"lr": 0.5, "weight_decay": 5e-4, "dropout": 0.0},),
}
_ALWAYS = {"momentum": 0.9, "schedule": "cosine", "warmup": 0.1, "beta1": 0.9, "beta2": 0.999, "init_scale": 1.0}


def known_settings(optimizer: str, space: Space, *, measured: bool = True) -> list[dict[str, Any]]:
    """Good settings of an optimizer for the names in `space`, best first, each cut to its range; none when nothing is known.

    Names of which nothing is known (mixup, a width) are left to be drawn. measured: the range of rates comes from step 3;
    otherwise it is a person's own, which says little of what this model can take, and TYPICAL stands in.

    >>> known_settings("sgd", {"lr": Log(1e-3, 3.0), "weight_decay": Log(1e-6, 1e-2)})
    [{'lr': 0.5, 'weight_decay': 0.0005}]
    """
    rates = space.get("lr")
    if not isinstance(rates, Log):
        return []
    found: list[dict[str, Any]] = []
    for point in _POINTS.get(optimizer, ()):
        largest = rates.high / WIDENED if measured else TYPICAL[optimizer]
        values = {**_ALWAYS, **point, "lr": point["lr"] * largest}
        cut = {name: _cut(d, values[name]) for name, d in space.items() if name in values}
        setting = {name: value for name, value in cut.items() if value is not None}
        if setting not in found:  # two points may fall together where a range is narrow
            found.append(setting)
    return found


def _cut(d: Distribution, value: Any) -> Any:
    """The value itself, or the nearest end of its range; None where it is not among the options."""
    if isinstance(d, Choice):
        return value if value in d.options else None
    nearest = min(max(value, d.low), d.high)
    return nearest if isinstance(d, Log | Uniform) else round(nearest)
