"""Where to look for hyper-parameters: on a grid, or at random."""

from __future__ import annotations

import torch
from torch import Tensor

from ravine.landscapes import surface
from ravine.randomness import generator
from ravine.reports.gallery.chapter import Chapter, Figure
from ravine.reports.landscape.contours import ground, level_lines
from ravine.reports.landscape.drawing import Drawing
from ravine.reports.landscape.shades import ground_scale
from ravine.reports.landscape.sheet import Sheet
from ravine.reports.theme import LIGHT

__all__ = ["SEARCH"]

SIDE = 3
SEED = 0
LAYOUTS = 1000
LOSS = "1 - exp(-((x - 0.33)/0.1)**2) + 0.05*(y - 0.5)**2"
"""The first parameter matters, the second nearly not."""


def layouts() -> Drawing:
    """Nine trials on a grid and nine at random, over one loss; below, what the trials tell of the first parameter."""
    loss = surface(LOSS, window=(0.0, 1.0, 0.0, 1.0))
    ticks = (torch.arange(SIDE, dtype=torch.float64) + 0.5) / SIDE
    grid = torch.cartesian_prod(ticks, ticks)
    random = drawn(SEED)
    best = float(loss.value(grid).min())
    better = sum(float(loss.value(drawn(seed)).min()) < best for seed in range(LAYOUTS)) / LAYOUTS
    sheet = Sheet([(300, 2), (150, 2)], legend=False)
    field = ground(loss, (0.0, 1.0, 0.0, 1.0))
    along = torch.linspace(0, 1, 201, dtype=torch.float64)
    profile = loss.value(torch.stack((along, torch.full_like(along, 0.5)), dim=-1))
    titles = (
        f"grid: {SIDE} values of each, best loss {best:.3f}",
        f"random: {SIDE**2} values of each, best loss {float(loss.value(random).min()):.3f}",
    )
    for column, (places, title, colour) in enumerate(((grid, titles[0], LIGHT.red), (random, titles[1], LIGHT.blue))):
        cell = sheet.cell(0, column, title, "", "unimportant parameter" if column == 0 else "")
        sheet.add(cell, level_lines(field))
        dots = {"type": "scatter", "mode": "markers", "showlegend": False}
        look = {"size": 10, "color": colour, "line": {"width": 1.5, "color": LIGHT.card}}
        sheet.add(cell, {**dots, "x": places[:, 0].tolist(), "y": places[:, 1].tolist(), "marker": look})
        under = sheet.cell(1, column, "what they see of it", "important parameter", "loss" if column == 0 else "")
        line = {"color": LIGHT.quiet, "width": 1.5}
        common = {"type": "scatter", "showlegend": False, "hoverinfo": "skip"}
        sheet.add(under, {**common, "x": along.tolist(), "y": profile.tolist(), "mode": "lines", "line": line})
        sheet.add(under, {**dots, "x": places[:, 0].tolist(), "y": loss.value(places).tolist(), "marker": look})
        for panel in (cell, under):
            sheet.axis(panel, "x", range=[-0.03, 1.03], showgrid=False, zeroline=False)
        sheet.axis(cell, "y", range=[-0.03, 1.03], showgrid=False, zeroline=False)
        sheet.axis(under, "y", range=[-0.08, 1.12])
    low, high = field.span
    figure = sheet.figure(coloraxis={"colorscale": ground_scale(), "cmin": low, "cmax": high, "showscale": False})
    return Drawing(
        figure, note=f"Of {LAYOUTS:,} random layouts of nine, {better:.0%} found a lower loss than this grid."
    )


def drawn(seed: int) -> Tensor:
    """Nine points of the unit square, each coordinate by itself, [9, 2]."""
    return torch.rand(SIDE**2, 2, generator=generator(seed, "gallery layout"), dtype=torch.float64)


SEARCH = Chapter(
    "search",
    "Choosing hyper-parameters",
    (
        "Learning rates and decays are drawn on a log scale: the exponent is uniform, the rate is ten to its power. And rather "
        "at random than on a grid, for some parameters matter and it is not known which (Bergstra and Bengio 2012).",
    ),
    (
        Figure(
            "grid-random",
            "A grid, or at random",
            "Nine trials each; blue is a low loss. The grid spends nine trials on three values of the parameter that matters, the random "
            "layout tries nine.",
            layouts,
        ),
    ),
)
