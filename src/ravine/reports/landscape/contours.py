"""The ground of a landscape: level lines of a surface over its window, and its known minima."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ravine.landscapes import Surface
from ravine.reports.figures.axes import decade_ticks, round_ticks
from ravine.reports.landscape.shades import CONTOUR, ground_scale
from ravine.reports.theme import LIGHT
from ravine.reports.wording import number

__all__ = ["Ground", "Window", "ground", "level_lines", "minima_marks"]

Window = tuple[float, float, float, float]
"""x from, x to, y from, y to."""

COLUMNS, ROWS = 121, 91
LEVELS = 18
HIGHEST = 1e30
FLOOR = 1e-3
"""Added to f - minimum under the logarithm, as a share of its middle value: the lecture's epsilon."""


@dataclass(frozen=True)
class Ground:
    """A surface over a window. heights: f, or log10(f - least + eps) when logarithmic, [ROWS, COLUMNS]."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    heights: NDArray[np.float32]
    logarithmic: bool
    least: float  # what is taken away under the logarithm
    eps: float

    @property
    def name(self) -> str:
        """What the heights are, for the colour bar."""
        return "f" if self.least == 0 else f"f - {number(self.least)}"

    @property
    def span(self) -> tuple[float, float]:
        """The heights between which colours run. A few far heights would take all of them: 1 % is left above."""
        low = float(np.nanmin(self.heights))
        high = float(np.nanmax(self.heights) if self.logarithmic else np.nanquantile(self.heights, 0.99))
        return (low, high) if high > low else (low, low + 1.0)

    @property
    def ticks(self) -> tuple[list[float], list[str]]:
        low, high = self.span
        if not self.logarithmic:
            inside = round_ticks(low, high, about=5)
            return list(inside), [number(float(value)) for value in inside]
        return decade_ticks(10.0**low, 10.0**high, most=6)


def ground(surface: Surface, window: Window) -> Ground:
    """The surface at COLUMNS x ROWS points of a window; its logarithm where `surface.log` says so."""
    fine = 4 / 3 if surface.log else 1  # logarithms have narrow valleys
    x = np.linspace(window[0], window[1], round(COLUMNS * fine))
    y = np.linspace(window[2], window[3], round(ROWS * fine))
    places = torch.from_numpy(np.stack(np.meshgrid(x, y), axis=-1))
    values = surface.value(places).detach().numpy().astype(np.float64)
    values = np.where(
        np.abs(values) < HIGHEST, values, np.nan
    )  # a gap where nothing can be drawn; NaN compares as False
    if not surface.log:
        return Ground(x, y, values.astype(np.float32), False, 0.0, 0.0)
    least = float(np.nanmin(values)) if surface.minimum is None else surface.minimum
    above = np.maximum(values - least, 0.0)
    eps = FLOOR * (float(np.nanmedian(above)) or 1.0)
    return Ground(x, y, np.log10(above + eps).astype(np.float32), True, least, eps)


def level_lines(field: Ground) -> dict[str, Any]:
    """A Plotly contour trace; its colours are those of the layout's `coloraxis`."""
    low, high = field.span
    size = (high - low) / LEVELS
    return {
        "type": "contour",
        "x": field.x,
        "y": field.y,
        "z": field.heights,
        "coloraxis": "coloraxis",
        "autocontour": False,
        "contours": {"start": low + size, "end": high - size / 2, "size": size, "coloring": "fill"},
        "line": {"color": CONTOUR, "width": 1},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def colours(field: Ground, *, length: float = 1.0, y: float = 1.0) -> dict[str, Any]:
    """The layout's `coloraxis`, with a slim bar on the right. length, y: its size and its top, as shares of the figure."""
    ticks, texts = field.ticks
    low, high = field.span
    return {
        "colorscale": ground_scale(),
        "cmin": low,
        "cmax": high,
        "colorbar": {
            "title": {"text": field.name, "side": "top", "font": {"size": 12, "color": LIGHT.quiet}},
            "tickvals": ticks,
            "ticktext": texts,
            "tickfont": {"size": 11, "color": LIGHT.quiet},
            "thickness": 10,
            "outlinewidth": 0,
            "len": length,
            "y": y,
            "yanchor": "top",
            "x": 1.01,
            "xanchor": "left",
        },
    }


def minima_marks(surface: Surface) -> dict[str, Any]:
    """A Plotly trace with a star at each known minimum."""
    where = [place[:2] for place in surface.minima]
    return {
        "type": "scatter",
        "x": [place[0] for place in where],
        "y": [place[1] for place in where],
        "mode": "markers",
        "name": "minimum",
        "marker": {"symbol": "star", "size": 13, "color": LIGHT.card, "line": {"color": LIGHT.ink, "width": 1.5}},
        "hovertemplate": "minimum (%{x:.4g}, %{y:.4g})<extra></extra>",
        "showlegend": False,
    }
