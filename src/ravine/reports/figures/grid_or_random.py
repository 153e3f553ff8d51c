"""Grid against random on the search's own trials: what a grid would have seen of the two hyper-parameters that matter most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log10
from typing import Any

import plotly.graph_objects as go

from ravine.reports.figures.axes import decade_ticks, round_ticks
from ravine.reports.figures.picture import Picture, blank
from ravine.reports.records import GridOrRandom, NearGrid
from ravine.reports.study import Range, Trial
from ravine.reports.theme import LIGHT
from ravine.reports.wording import label, number, shorten

__all__ = ["grid_or_random"]


def grid_or_random(
    name: str, measured: GridOrRandom, trials: Sequence[Trial], score: str, colours: Mapping[str, Any]
) -> Picture:
    """The plane of the two: trials coloured by value, the grid's points as crosses, the trials nearest to them ringed.

    name: of the picture. trials: the study's, for the ranges. colours: the colour axis of the values.
    """
    a, b = measured.parameters
    ours = next((trial for trial in trials if trial.number == measured.places[0][0]), None)
    ranges = {} if ours is None else ours.ranges  # the same for all trials of the record
    optimizer = "" if ours is None else str(ours.parameters.get("optimizer", ""))
    figure = blank("", label(b, 24), height=420)
    places = measured.places
    at = [(k + 0.5) / measured.levels for k in range(measured.levels)]
    kept, lost = [p for p in places if p[3] is not None], [p for p in places if p[3] is None]
    near = [p for p in places if p[4]]
    grid = [(x, y) for x in at for y in at]
    scale = max(0.5, min(1.0, 6 / measured.levels))  # where many lie close together, they are drawn smaller
    add_marks(figure, lost, score, symbol="x-thin", size=8 * scale, line={"color": LIGHT.quiet, "width": 1.5})
    look = {"color": [p[3] for p in kept], "coloraxis": "coloraxis", "line": {"width": 1, "color": LIGHT.quiet}}
    add_marks(figure, kept, score, symbol="circle", size=10 * scale, **look)
    add_marks(figure, near, score, symbol="circle-open", size=19 * scale, color=LIGHT.red, line={"width": 2 * scale})
    figure.add_scatter(
        x=[x for x, _ in grid],
        y=[y for _, y in grid],
        mode="markers",
        marker={"symbol": "cross-thin", "size": 13 * scale, "line": {"color": LIGHT.red, "width": 2.5 * scale}},
        hovertemplate="a point of the grid<extra></extra>",
        showlegend=False,
    )
    for axis, parameter in (("x", a), ("y", b)):
        figure.update_layout({f"{axis}axis": axis_of(ranges.get(parameter))})
    figure.update_layout(coloraxis=dict(colours), margin={"l": 76, "r": 16, "t": 72, "b": 50, "autoexpand": False})
    name_below(figure, label(a, 24))
    return Picture(
        name, "A grid, or at random?", caption(measured, optimizer, bool(lost), not {a, b} <= set(ranges)), figure
    )


def name_below(figure: go.Figure, text: str) -> None:
    """The x axis' name as a note: the colour bar leaves a title too high, where a short one meets no tick that pushes it down."""
    place = {"x": 0.5, "y": 0, "xref": "paper", "yref": "paper", "yanchor": "top", "yshift": -24}
    figure.add_annotation(text=text, **place, showarrow=False, font={"size": 13, "color": LIGHT.quiet})


def add_marks(
    figure: go.Figure, places: Sequence[tuple[int, float, float, float | None, bool]], score: str, **marker: Any
) -> None:
    figure.add_scatter(
        x=[x for _, x, _, _, _ in places],
        y=[y for _, _, y, _, _ in places],
        text=[f"trial {n}: {'diverged' if v is None else f'{score} {number(v)}'}" for n, _, _, v, _ in places],
        mode="markers",
        marker=marker,
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def axis_of(found: Range | None) -> dict[str, Any]:
    """Ticks that say the real values; without a range the places themselves, from 0 to 1."""
    span = {"range": [-0.05, 1.05], "zeroline": False}
    if found is None:
        return span
    if found.log:
        low, high = log10(found.low), log10(found.high)
        ticks, texts = decade_ticks(found.low, found.high, most=5)
    else:
        low, high = found.low, found.high
        ticks = round_ticks(low, high)
        texts = [number(tick) for tick in ticks]
    return {**span, "tickvals": [(tick - low) / (high - low) for tick in ticks], "ticktext": texts}


def caption(measured: GridOrRandom, optimizer: str, some_diverged: bool, unnamed: bool) -> str:
    """optimizer: of all the trials, if known; unnamed: whether an axis has no values."""
    a, b, whole = shorten(measured.parameters[0]), shorten(measured.parameters[1]), measured.all
    whose = f"{whole.trials:,} random trials{f' of {shorten(optimizer)}' if optimizer else ''}"
    sentences = [
        f"A grid of {measured.levels**measured.searched:,} trials over {measured.searched} hyper-parameters tries {measured.levels} "
        f"values of each; the {whose} tried {measured.distinct.get('random', whole.trials):,} of {a}.",
        f"The {measured.two.trials:,} of them nearest to the grid's points in {a} and {b} (ringed; the points are crosses) "
        f"reached {beside(measured.two)}; the {measured.one.trials:,} nearest to its values of {a} alone {beside(measured.one)}; "
        f"the best of all {whole.trials:,} is {number(whole.best)}.",
    ]
    if some_diverged:
        sentences.append("Thin crosses diverged.")
    if unnamed:
        sentences.append("An axis from 0 to 1 is the position within its range.")
    return " ".join([*sentences, "After Bergstra and Bengio 2012."])


def beside(near: NearGrid) -> str:
    between = f"90 %: {number(near.low)} to {number(near.high)}"
    return f"{number(near.best)} at best, as many at random {number(near.expected)} on average ({between})"
