"""The search as parallel coordinates: one line per trial, one axis per hyper-parameter, the value last."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from ravine.reports.figures.axes import Scale, finite
from ravine.reports.figures.picture import Picture, blank
from ravine.reports.study import Trial
from ravine.reports.wording import label, phrase, shorten

__all__ = ["parallel"]

FIRST = ("optimizer", "lr", "weight_decay")
"""Axes that lead, in this order; other hyper-parameters follow by name."""


def parallel(trials: Sequence[Trial], score: str, smaller_is_better: bool, colours: dict[str, Any]) -> Picture:
    """trials: the better ones last, so that their lines lie on top; at least one has a value."""
    found = {name for trial in trials for name in trial.parameters}
    names = [name for name in FIRST if name in found] + sorted(found - set(FIRST))
    values = [trial.value for trial in trials]
    worst = max(finite(values)) if smaller_is_better else min(finite(values))
    dimensions = [dimension(label(name, 24), scale_of([t.parameters.get(name) for t in trials])) for name in names]
    dimensions.append(dimension(score, scale_of(values, "diverged")))
    figure = blank(height=440)
    figure.add_parcoords(
        dimensions=dimensions,
        line={"color": [worst if value is None else value for value in values], "coloraxis": "coloraxis"},
        labelfont={"size": 13},
        tickfont={"size": 12},
        rangefont={"size": 1, "color": "rgba(0, 0, 0, 0)"},  # the ticks already say it, in the value's own units
    )
    figure.update_layout(coloraxis={**colours, "showscale": False}, margin={"l": 72, "r": 72, "t": 56, "b": 24})
    caption = (
        f"One line per trial, {len(trials)} in all; the further a line's colour from the background, the better. "
        "Drag along an axis to keep a range, drag a name to move its axis."
    )
    return Picture("search-parallel", "The search", caption, figure, wide=True, least_width=130 * len(dimensions))


def scale_of(values: Sequence[Any], absent: str = "none") -> Scale:
    """Numbers with a long tail (a rate, a decay) on a log axis, others on a plain one, all else as categories."""
    known = [value for value in values if value is not None]
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in known):
        return Scale.categorical([absent if value is None else shorten(phrase(value)) for value in values])
    positive = [value for value in known if value > 0]
    if positive and min(known) >= 0 and max(positive) >= 8 * median(positive):
        return Scale.logarithmic(values, absent)
    return Scale.linear(values, absent)


def dimension(name: str, scale: Scale) -> dict[str, Any]:
    """One axis. Its name is read as markup, so pass it through `label`; its tick texts are drawn as they are.

    The axis is drawn from its first tick to its last: two empty ones, told apart by a blank, carry it to its ends.
    """
    return {
        "label": name,
        "values": scale.places,
        "tickvals": [scale.span[0], *scale.ticks, scale.span[1]],
        "ticktext": ["", *scale.texts, " "],
        "range": list(scale.span),
    }
