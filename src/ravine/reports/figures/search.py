"""Steps 4 and 5: every trial of the search, in two kinds of picture that share their colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ravine.reports.figures.axes import finite
from ravine.reports.figures.parallel import parallel
from ravine.reports.figures.picture import Picture
from ravine.reports.figures.rate_decay import rate_decay
from ravine.reports.study import Trial
from ravine.reports.theme import colour_scale

__all__ = ["search"]


def search(trials: Sequence[Trial], score: str, smaller_is_better: bool, best: int | None) -> list[Picture]:
    """The search's pictures; none before a trial has a value.

    score: what the value is, such as "validation accuracy"; best: the winning trial's number.
    """
    values = finite([trial.value for trial in trials])
    if not values:
        return []
    worst_first = sorted(trials, key=lambda trial: rank(trial, smaller_is_better))  # the good ones are drawn on top
    colours = colour_axis(values, score, smaller_is_better)
    return [
        parallel(worst_first, score, smaller_is_better, colours),
        *rate_decay(worst_first, score, best, colours),
    ]


def rank(trial: Trial, smaller_is_better: bool) -> float:
    if trial.value is None:
        return -math.inf
    return -trial.value if smaller_is_better else trial.value


def colour_axis(values: Sequence[float], score: str, smaller_is_better: bool) -> dict[str, Any]:
    """Colours over the better three quarters of the values, so that the good trials can be told apart."""
    low, high = min(values), max(values)
    if smaller_is_better:
        high = float(np.quantile(values, 0.75))
    else:
        low = float(np.quantile(values, 0.25))
    return {
        "colorscale": colour_scale(smaller_is_better),
        "cmin": low,
        "cmax": high if high > low else low + 1e-9,
        "colorbar": {
            "title": {"text": score, "side": "top", "font": {"size": 13}},
            "orientation": "h",
            "thickness": 10,
            "len": 0.7,
            "x": 0,
            "xanchor": "left",
            "y": 1.02,
            "yanchor": "bottom",
            "outlinewidth": 0,
            "nticks": 5,
        },
    }
