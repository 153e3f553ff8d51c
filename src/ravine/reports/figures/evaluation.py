"""The held-out split: which class is taken for which, or predictions against what they should be."""

from __future__ import annotations

from typing import Any

import numpy as np

from ravine.reports.figures.axes import finite
from ravine.reports.figures.picture import Picture, blank
from ravine.reports.records import Evaluation
from ravine.reports.theme import LIGHT
from ravine.reports.wording import label

__all__ = ["evaluation"]

MOST_NAMED = 30
"""With more classes than this the cells carry no numbers and only some classes are named."""


def evaluation(measured: Evaluation, classes: tuple[str, ...]) -> list[Picture]:
    if measured.confusion:
        return [confusion(measured.confusion, classes, measured.split)]
    if measured.predicted and measured.actual:
        return [predicted_against_actual(measured.predicted, measured.actual, measured.split)]
    return []


def confusion(counts: tuple[tuple[int, ...], ...], classes: tuple[str, ...], split: str) -> Picture:
    """Counts as text, the share of each true class as colour. Classes stand by number, so no name is read as a date."""
    table = np.array(counts)
    size = len(table)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    names = [classes[i] if i < len(classes) else str(i) for i in range(size)]
    figure = blank("predicted", "true", height=max(360, min(760, 34 * size + 150)))
    figure.add_heatmap(
        z=shares,
        colorscale=[[0, LIGHT.card], [1, LIGHT.blue]],
        zmin=0,
        zmax=1,
        showscale=False,
        xgap=1,
        ygap=1,
        **(cells_in_words(table, names) if size <= MOST_NAMED else cells_by_number(table)),
    )
    named = list(range(0, size, -(-size // MOST_NAMED)))
    ticks = {"tickvals": named, "ticktext": [label(names[i], 18) for i in named], "showgrid": False}
    figure.update_xaxes(**ticks, automargin=True, tickangle=-45 if max(map(len, names)) > 3 else 0)
    figure.update_yaxes(**ticks, autorange="reversed")
    caption = "Rows are true classes, columns predictions of the best model; colour is the share of the row."
    least = 24 * size + 8 * min(18, max(map(len, names))) + 60 if size <= MOST_NAMED else 0
    return Picture("confusion", f"Confusion on the {split} split", caption, figure, wide=True, least_width=least)


def cells_in_words(table: np.ndarray, names: list[str]) -> dict[str, Any]:
    """The count in each cell that has one, and a hover box that names both classes in full."""
    safe = [label(name, 60) for name in names]
    return {
        "text": [[str(count) if count else "" for count in row] for row in table],
        "texttemplate": "%{text}",
        "textfont": {"size": 12},
        "customdata": [
            [f"true {true}<br>predicted {guess}<br>{count}" for guess, count in zip(safe, row, strict=True)]
            for true, row in zip(safe, table, strict=True)
        ],
        "hovertemplate": "%{customdata} (%{z:.1%} of the true class)<extra></extra>",
    }


def cells_by_number(table: np.ndarray) -> dict[str, Any]:
    """For many classes: nothing in the cells, and a hover box with the classes' numbers, from 0."""
    return {"text": table, "hovertemplate": "true class %{y}, predicted %{x}: %{text} (%{z:.1%})<extra></extra>"}


def predicted_against_actual(
    predicted: tuple[float | None, ...], actual: tuple[float | None, ...], split: str
) -> Picture:
    """One dot per example and the line on which a perfect model's dots would lie."""
    figure = blank("actual", "predicted", height=420)
    ends = finite([*predicted, *actual])
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    figure.add_scatter(
        x=[low, high],
        y=[low, high],
        mode="lines",
        line={"color": LIGHT.quiet, "dash": "dash", "width": 1.5},
        hoverinfo="skip",
        showlegend=False,
    )
    figure.add_scatter(
        x=list(actual),
        y=list(predicted),
        mode="markers",
        marker={"color": LIGHT.blue, "size": 6, "opacity": 0.6},
        hovertemplate="actual %{x:.4g}, predicted %{y:.4g}<extra></extra>",
        showlegend=False,
    )
    caption = f"{len(actual)} examples; on the dashed line a prediction is exact."
    return Picture("predicted", f"Predictions on the {split} split", caption, figure, wide=True)
