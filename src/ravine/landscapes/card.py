"""How a notebook shows paths: drawn over the level bands of their surface, with where each ended beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from ravine.landscapes.paths import Path
    from ravine.landscapes.surface import Surface

__all__ = ["drawn"]

GRID = 96
"""Heights along each side."""

MOST = 12
"""So many paths are drawn and listed."""


def drawn(paths: Sequence[Path]) -> str:
    """A card; the drawing is left out where there is no plane to draw on."""
    from ravine.notebook import card, paragraph, table
    from ravine.notebook.shapes import line_of, plane

    if not paths:
        return card("no paths", [])
    surface, shown = paths[0].surface, paths[:MOST]
    parts = []
    if surface is not None and surface.dimension == 2:
        places = [path.points.numpy() for path in shown]
        parts.append(paragraph(plane(places, surface.window, _heights(surface).numpy(), surface.minima)))
    rows = [
        [line_of(k), str(path.rule), path.lr, path.steps, path.stopped, float(path.losses[-1])]
        for k, path in enumerate(shown)
    ]
    parts.append(table(rows, ["", "rule", "rate", "steps", "ended", "loss"]))
    if len(paths) > MOST:
        parts.append(paragraph(f"and {len(paths) - MOST} more", quiet=True))
    return card(f"{surface.name}: {surface.formula}" if surface is not None else "paths", parts)


def _heights(surface: Surface) -> torch.Tensor:
    """The surface over its window, [GRID, GRID] from the bottom up."""
    left, right, bottom, top = surface.window
    x, y = (torch.linspace(a, b, GRID, dtype=torch.float64) for a, b in ((left, right), (bottom, top)))
    points = torch.stack((x.expand(GRID, GRID), y[:, None].expand(GRID, GRID)), dim=-1)
    with torch.no_grad():
        return surface.value(points)
