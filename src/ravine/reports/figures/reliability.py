"""Are probabilities what they say? Accuracy against confidence, bin by bin, one line for each way to predict."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from ravine.reports.figures.picture import Picture, blank
from ravine.reports.records import Reliability
from ravine.reports.theme import LIGHT
from ravine.reports.wording import label

__all__ = ["reliability"]

LOOKS = (
    (LIGHT.blue, "solid", "circle"),
    (LIGHT.orange, "solid", "square"),
    (LIGHT.green, "dot", "diamond"),
    (LIGHT.purple, "dash", "triangle-up"),
)
FEWEST = 10
"""A bin of fewer examples is not drawn: its accuracy says nothing."""


def reliability(diagrams: Mapping[str, Reliability], split: str) -> list[Picture]:
    """One picture; none when nothing was measured."""
    if not diagrams:
        return []
    figure = blank("confidence", "accuracy", height=380)
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"color": LIGHT.quiet, "dash": "dash", "width": 1.5},
        hoverinfo="skip",
        showlegend=False,
    )
    for look, (name, diagram) in zip(LOOKS, diagrams.items(), strict=False):
        _line(figure, look, label(name.replace("_", " ")), diagram)
    figure.update_layout(margin_t=40)
    figure.update_xaxes(range=[0, 1.03])
    figure.update_yaxes(range=[0, 1.03])
    caption = (
        "Of the examples given a probability, the share that was right; on the dashed line confidence is deserved, "
        f"below it the model is too sure. Bins of fewer than {FEWEST} examples are left out."
    )
    return [Picture("reliability", f"Reliability on the {split} split", caption, figure, wide=True)]


def _line(figure: go.Figure, look: tuple[str, str, str], name: str, diagram: Reliability) -> None:
    colour, dash, symbol = look
    bins = zip(diagram.confidence, diagram.accuracy, diagram.count, strict=True)
    drawn = [(x, y, n) for x, y, n in bins if n >= FEWEST]
    figure.add_scatter(
        x=[x for x, _, _ in drawn],
        y=[y for _, y, _ in drawn],
        customdata=[n for _, _, n in drawn],
        name=name,
        mode="lines+markers",
        line={"color": colour, "dash": dash, "width": 2},
        marker={"size": 7, "symbol": symbol},
        hovertemplate="%{customdata} examples, confidence %{x:.3f}: %{y:.3f} right<extra></extra>",
        showlegend=True,
    )
