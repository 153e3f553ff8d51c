"""What a picture is, and the empty figure that every picture starts from."""

from __future__ import annotations

from dataclasses import dataclass

import plotly.graph_objects as go

from ravine.reports.theme import FONT, LIGHT

__all__ = ["Picture", "blank", "drawn_as", "thinned"]

MOST_POINTS = 2000
"""A curve is drawn with at most this many points, so that the page stays light."""


@dataclass(frozen=True)
class Picture:
    """One figure of the page. `figure` holds no foreign text that `wording.label` has not passed."""

    name: str  # unique on the page; letters, digits and hyphens
    title: str
    caption: str  # how to read it
    figure: go.Figure
    wide: bool = False  # takes the whole row
    least_width: int = 0  # pixels; on a narrower screen the picture scrolls in its own box


def blank(x: str = "", y: str = "", height: int = 320) -> go.Figure:
    """A figure with axes named x and y (safe text), in the page's font and LIGHT's colours."""
    axis = {
        "gridcolor": LIGHT.grid,
        "linecolor": LIGHT.line,
        "zerolinecolor": LIGHT.grid,
        "tickcolor": LIGHT.line,
        "ticks": "outside",
        "exponentformat": "e",
    }
    named = {"size": 13, "color": LIGHT.quiet}
    figure = go.Figure(layout=go.Layout(template=go.layout.Template()))
    figure.update_layout(
        height=height,
        margin={"l": 56, "r": 16, "t": 12, "b": 46},
        paper_bgcolor=LIGHT.card,
        plot_bgcolor=LIGHT.card,
        font={"family": FONT, "size": 13, "color": LIGHT.ink},
        hoverlabel={"bgcolor": LIGHT.card, "bordercolor": LIGHT.line, "font": {"family": FONT, "color": LIGHT.ink}},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        xaxis={**axis, "title": {"text": x, "font": named, "standoff": 6}},
        yaxis={**axis, "automargin": True, "title": {"text": y, "font": named, "standoff": 8}},
    )
    return figure


def thinned(count: int, most: int = MOST_POINTS) -> slice:
    """Every n-th of `count` points such that at most `most` remain.

    >>> thinned(4500).step, thinned(300).step
    (3, 1)
    """
    return slice(None, None, max(1, -(-count // most)))


def drawn_as(count: int) -> str:
    """Plotly's mode for a curve of `count` points: few of them are marked, for one alone has no line."""
    return "lines+markers" if count < 60 else "lines"
